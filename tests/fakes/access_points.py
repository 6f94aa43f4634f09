"""AWS's hosts of access points as an HTTP proxy on loopback: each host stands for a bucket of an emulator."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from tests.fakes.http_server import FakeServer, QuietHandler

ENDPOINT = "http://s3.test"
"""What sources name as their endpoint; every request for it, and for hosts below it, goes through the proxy."""


class AccessPoints(FakeServer):
    """Forwards requests by the host that they are for.

    Args:
        emulator: the address of a server of S3's API, with buckets in the path.

    Attributes:
        buckets: by the first part of the host's name, such as `logs-111122223333`.
        hosts: of all requests, in order.
        chunked: bodies of objects are sent without a length and an ETag, as S3 Object Lambda may do.
    """

    def __init__(self, emulator: str) -> None:
        self.emulator = emulator
        self.buckets: dict[str, str] = {}
        self.hosts: list[str] = []
        self.chunked = False
        super().__init__(_handler(self))


def _handler(points: AccessPoints) -> type[BaseHTTPRequestHandler]:
    class Handler(QuietHandler, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            host = url.hostname or ""
            points.hosts.append(host)
            bucket = points.buckets.get(host.partition(".")[0])
            if bucket is None:
                self._answer(404, {}, b"<Error><Code>NoSuchAccessPoint</Code><Message>unknown host</Message></Error>")
                return
            wanted = f"{points.emulator}/{bucket}{url.path}" + (f"?{url.query}" if url.query else "")
            headers = {name: value for name, value in self.headers.items() if name.lower() in _FORWARDED}
            with _DIRECT.open(Request(wanted, headers=headers), timeout=10) as answer:
                kept = {name: value for name, value in answer.headers.items() if name.lower() in _KEPT}
                self._answer(
                    answer.status, kept, answer.read(), chunked=points.chunked and "list-type" not in url.query
                )

        def _answer(self, status: int, headers: dict[str, str], body: bytes, *, chunked: bool = False) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if not (chunked and name.lower() == "etag"):
                    self.send_header(name, value)
            if chunked:
                self.send_header("Transfer-Encoding", "chunked")
                body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            else:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


# urllib's own opener is made once for the process, with the proxies that the environment has at that moment.
_DIRECT = build_opener(ProxyHandler({}))
_FORWARDED = ("authorization", "if-match", "range", "x-amz-date")  # without a signature, nobody may read
_KEPT = ("content-type", "etag", "last-modified", "content-range")
