"""GetObject for small objects over a kept connection; whatever is not a plain answer is left to boto3."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import getproxies

from botocore.httpsession import get_cert_path

from shipper.aws import AWS_ERRORS
from shipper.model import S3Object
from shipper.ports import Clock, wall_clock
from shipper.sources.s3_signature import Credentials, GetSigner, encoded_path

_CONNECT_SECONDS = 10.0
_READ_SECONDS = 60.0
_MOST_LINE_BYTES = 65_536
_MOST_HEADERS = 100
_MOST_REFUSALS = 20


class SmallGet:
    """Gets whole objects with a fifteenth of boto3's CPU time, which is most of the cost of small log objects.

    It knows one answer: 200 with a length and that many bytes. For anything else (an error, a redirect to another
    region, a proxy, a broken connection) it returns None, and boto3 is asked, whose retries and errors are the ones
    the rest of the program knows. Safe to use from many threads; each keeps one connection.

    Args:
        endpoint: the service's address, as the boto3 client has it.
        region: the region that requests are signed for.
        by_path: the bucket is part of the path, not of the host's name.
        credentials: current ones, at each call.
        certificates: a PEM file of authorities instead of the usual ones.
        most_bytes: a larger object is left to boto3, which streams it, whatever was said of its size before.
        expected_owner: account id; S3 refuses the bucket where another account owns it.
    """

    def __init__(
        self,
        endpoint: str,
        region: str,
        *,
        by_path: bool,
        credentials: Callable[[], Credentials | None],
        certificates: str | None = None,
        most_bytes: int = 8_388_608,
        expected_owner: str | None = None,
        clock: Clock = wall_clock,
    ) -> None:
        url = urlsplit(endpoint)
        self._tls = _tls(certificates) if url.scheme == "https" else None
        self._host = url.netloc
        self._by_path = by_path
        self._credentials = credentials
        self._clock = clock
        self._most_bytes = most_bytes
        self._extra = {"x-amz-expected-bucket-owner": expected_owner} if expected_owner else {}
        self._signer = GetSigner(region)
        self._local = threading.local()
        self._refusals: Counter[str] = Counter()
        self._usable = url.path in ("", "/") and not ({url.scheme, "all"} & getproxies().keys())

    def get(self, item: S3Object) -> bytes | None:
        """Return the object's bytes; None where boto3 has to be asked. Blocks on the network; raises nothing of it."""
        if not self._usable or not self._reaches(item.bucket):
            return None
        try:
            credentials = self._credentials()
        except AWS_ERRORS:
            return None
        if credentials is None:
            return None
        host = self._host if self._by_path else f"{item.bucket}.{self._host}"
        path = encoded_path(item.bucket if self._by_path else "", item.key)
        query = f"versionId={quote(item.version_id, safe='')}" if item.version_id else ""
        headers = self._signer.headers(host, path, query, self._extra, credentials, self._clock())
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"GET {path}{'?' if query else ''}{query} HTTP/1.1\r\n{lines}\r\n".encode("ascii")
        # A kept connection may have been closed by the server meanwhile; a new one gets a second chance.
        data = self._ask(host, request) if self._kept(host) else None
        if data is None:
            data = self._ask(host, request)
        # Never an end of it, such as a bucket in another region: do not ask twice for each object.
        self._refusals[item.bucket] = 0 if data is not None else self._refusals[item.bucket] + 1
        return data

    def _reaches(self, bucket: str) -> bool:
        """Return whether the bucket is at the usual host.

        ARNs of access points and aliases of those on Outposts have hosts of their own; a name with dots does not fit
        S3's certificate.
        """
        plain = ":" not in bucket and not bucket.endswith("--op-s3") and (self._by_path or "." not in bucket)
        return plain and self._refusals[bucket] <= _MOST_REFUSALS

    def _kept(self, host: str) -> bool:
        return host in getattr(self._local, "connections", {})

    def _ask(self, host: str, request: bytes) -> bytes | None:
        """Send a request and read its answer; the connection is kept only after a plain one."""
        connections: dict[str, _Connection] = self._local.__dict__.setdefault("connections", {})
        connection = connections.pop(host, None)
        try:
            if connection is None:
                connection = _Connection(host, self._tls)
            data = connection.ask(request, self._most_bytes)
        except (OSError, ValueError, http.client.HTTPException):
            data = None
        if data is not None and connection is not None and connection.usable:
            connections[host] = connection
        elif connection is not None:
            connection.close()
        return data


class _Connection:
    """One connection to S3, one request at a time; closed when its thread ends, or nobody needs it any more."""

    def __init__(self, host: str, tls: ssl.SSLContext | None) -> None:
        self.usable = True
        self._http: http.client.HTTPConnection = (
            http.client.HTTPConnection(host, timeout=_CONNECT_SECONDS)
            if tls is None
            else http.client.HTTPSConnection(host, timeout=_CONNECT_SECONDS, context=tls)
        )
        self._file: Any = None
        self._http.connect()
        self._socket = self._http.sock
        self._socket.settimeout(_READ_SECONDS)
        self._file = self._socket.makefile("rb", buffering=65_536)

    def ask(self, request: bytes, most_bytes: int) -> bytes | None:
        """Return the body of a plain answer; None for any other, after which the connection is of no use.

        Raises:
            OSError, ValueError: the connection broke, or the answer is no HTTP.
        """
        file = self._file
        if file is None:
            return None
        self._socket.sendall(request)
        status = file.readline(_MOST_LINE_BYTES)
        if not status.startswith(b"HTTP/1.1 200"):
            return None
        length = None
        for _ in range(_MOST_HEADERS):
            line = file.readline(_MOST_LINE_BYTES)
            if line in (b"\r\n", b"\n"):
                break
            name, _, value = line.partition(b":")
            name = name.lower()
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                return None
            elif name == b"connection" and b"close" in value.lower():
                self.usable = False
        else:
            return None
        if length is None or not 0 <= length <= most_bytes:
            return None
        data = file.read(length)
        return data if len(data) == length else None

    def close(self) -> None:
        """Give the connection up; harmless when done twice."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._http.close()

    __del__ = close


def _tls(certificates: str | None) -> ssl.SSLContext:
    """The authorities that botocore trusts, so that both ways reach the same servers."""
    context = ssl.create_default_context(cafile=certificates or get_cert_path(verify=True))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
