"""A tiny S3 over HTTP on loopback whose answers break off, refuse and lie as a test asks."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from shipper.aws import AwsSessions, AwsSettings

Fault = Literal["reset", "truncate", "slow-down", "denied", "kms", "archived", "missing"]

_REFUSALS: dict[str, tuple[int, str, str]] = {
    "slow-down": (503, "SlowDown", "Please reduce your request rate."),
    "denied": (403, "AccessDenied", "Access Denied"),
    "kms": (403, "AccessDenied", "User is not authorized to perform: kms:Decrypt on the resource"),
    "archived": (403, "InvalidObjectState", "The operation is not valid for the object's storage class"),
    "missing": (404, "NoSuchKey", "The specified key does not exist."),
    "changed": (412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"),
}


@dataclass
class TroubledS3:
    """What the server holds and how it misbehaves.

    Attributes:
        objects: bodies by `bucket/key`.
        faults: for the next requests of a key, in order; `after` bytes of the body are sent before a break.
        denied: bucket/prefix of listings that are refused.
        forbidden: `bucket/key` of objects that are refused.
        requests: (path, Range header) of each request for an object.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    after: int = 0
    denied: set[str] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""

    def clear(self) -> None:
        """Forget objects, faults and requests."""
        for kept in (self.objects, self.faults, self.denied, self.forbidden, self.requests):
            kept.clear()

    def client(self, threads: int = 8) -> Any:
        """Return a boto3 S3 client of the server."""
        return AwsSessions(AwsSettings(region="us-east-1", endpoint_url=self.url), threads=threads).client("s3")


@contextmanager
def running() -> Iterator[TroubledS3]:
    """Run the server on a free port."""
    state = TroubledS3()

    class Handler(_Handler):
        s3 = state

    server = _Server(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that goes away is no news in tests of broken connections."""


class _Handler(BaseHTTPRequestHandler):
    s3: TroubledS3
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path.lstrip("/"))
        if "list-type" in url.query:
            query = parse_qs(url.query)
            self._list(path, query.get("prefix", [""])[0], query.get("delimiter", [""])[0])
            return
        span = self.headers.get("Range")
        self.s3.requests.append((path, span))
        faults = self.s3.faults.get(path)
        fault = faults.pop(0) if faults else "denied" if path in self.s3.forbidden else None
        body = self.s3.objects.get(path)
        if fault in _REFUSALS or body is None:
            self._refuse(fault or "missing")
            return
        etag = f'"{hash(body) & 0xFFFFFFFF:08x}"'
        if self.headers.get("If-Match") not in (None, etag):
            self._refuse("changed")
            return
        first = int(re.sub(r"\D.*", "", span.removeprefix("bytes="))) if span else 0
        last = span.rpartition("-")[2] if span else ""
        part = body[first : int(last) + 1 if last else None]
        headers = {"ETag": etag, "Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(body)}"}
        self._send(206 if span else 200, part, headers, broken=fault)

    def _list(self, bucket: str, prefix: str, delimiter: str) -> None:
        if bucket in self.s3.denied:
            self._refuse("denied")
            return
        found = sorted(path for path in self.s3.objects if path.startswith(f"{bucket.rstrip('/')}/{prefix}"))
        begin = f"{bucket.rstrip('/')}/{prefix}"
        below = [path for path in found if delimiter and delimiter in path[len(begin) :]]
        folders = {prefix + path[len(begin) :].partition(delimiter)[0] + delimiter: None for path in below}
        found = [path for path in found if path not in below]
        items = "".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in folders)
        items += "".join(
            f"<Contents><Key>{path.partition('/')[2]}</Key><Size>{len(self.s3.objects[path])}</Size><ETag>x</ETag>"
            "<LastModified>2026-01-05T00:00:00.000Z</LastModified></Contents>"
            for path in found
        )
        text = f"<ListBucketResult><Name>{bucket}</Name><IsTruncated>false</IsTruncated>{items}</ListBucketResult>"
        self._send(200, text.encode(), {"x-amz-bucket-region": "eu-central-1"})

    def _refuse(self, kind: str) -> None:
        status, code, message = _REFUSALS[kind]
        self._send(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode(), {})

    def _send(self, status: int, body: bytes, headers: dict[str, str], *, broken: str | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if broken is None:
            self.wfile.write(body)
            return
        with suppress(OSError):
            self.wfile.write(body[: self.s3.after])
        self.close_connection = True
        if broken == "reset":
            # Linger of zero: the peer sees a reset instead of an end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR) if broken == "truncate" else self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Stay quiet."""
