"""The HTTP listener: /metrics, /healthz, /readyz; read-only, and bounded in connections, time and bytes."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from shipper.errors import ConfigError
from shipper.escaping import printable

MAX_CONNECTIONS = 32
"""More at once are closed unanswered: each costs a thread."""
HEADER_SECONDS = 10.0
"""A request that has not arrived by then is given up, however slowly its bytes come."""
ANSWER_SECONDS = 30.0
MAX_HEADER_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Health:
    """Two questions a supervisor asks.

    Attributes:
        alive: the threads live and move; false means restart.
        ready: the sinks were reached and reading has begun.
        waiting: what waits for a person while the rest goes on, a line each; told beside the verdict.
    """

    alive: Callable[[], bool]
    ready: Callable[[], bool]
    waiting: Callable[[], list[str]] = list


class Listener:
    """Serves on one address in a thread of its own.

    Args:
        address: host and port; port 0 picks a free one (see `port`).
        header_seconds: how long a request may take to arrive.

    Raises:
        ConfigError: the address cannot be listened on.
    """

    def __init__(
        self,
        address: tuple[str, int],
        registry: CollectorRegistry,
        health: Health,
        *,
        header_seconds: float = HEADER_SECONDS,
    ) -> None:
        class Handler(_Handler):
            pages = _pages(registry, health)
            local_only = _is_loopback(address[0])

        try:
            self._server = _Server(address, Handler, header_seconds)
        except OSError as error:
            raise ConfigError(
                f"listen: cannot listen on {address[0]}:{address[1]}: {error.strerror}",
                "another process may have the port; set another one with `listen: 127.0.0.1:PORT`",
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="listener", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def close(self) -> None:
        """Stop serving and free the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    """Threads for a bounded number of connections, each with a deadline."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], header_seconds: float) -> None:
        self._header_seconds = header_seconds
        self._lock = threading.Lock()
        self._deadlines: dict[socket.socket, float] = {}
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection, unless there are too many."""
        with self._lock:
            full = len(self._deadlines) >= MAX_CONNECTIONS
            if not full:
                self._deadlines[request] = time.monotonic() + self._header_seconds
        if full:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def extend(self, request: socket.socket) -> None:
        """Give a connection whose request has arrived the time for its answer."""
        with self._lock:
            if request in self._deadlines:
                self._deadlines[request] = time.monotonic() + ANSWER_SECONDS

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._deadlines.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """End the connections whose time is over; `serve_forever` calls it a few times a second."""
        now = time.monotonic()
        with self._lock:
            late = [request for request, deadline in self._deadlines.items() if deadline < now]
        for request in late:
            with contextlib.suppress(OSError):  # closed meanwhile
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is worth no line in the log."""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_Page = Callable[[], tuple[int, str, bytes]]


def _pages(registry: CollectorRegistry, health: Health) -> dict[str, _Page]:
    def verdict(question: Callable[[], bool]) -> _Page:
        def page() -> tuple[int, str, bytes]:
            ok = question()
            lines = ["ok" if ok else "not ok", *(f"waiting: {printable(line)}" for line in health.waiting())]
            return 200 if ok else 503, "text/plain; charset=utf-8", "".join(f"{line}\n" for line in lines).encode()

        return page

    return {
        "/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest(registry)),
        "/healthz": verdict(health.alive),
        "/readyz": verdict(health.ready),
    }


class _BoundedLines:
    """A connection's request line and headers, bounded in bytes together."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._left = MAX_HEADER_BYTES

    def readline(self, limit: int = -1) -> bytes:
        """Return the next line, or nothing when all of them are too long."""
        line: bytes = self._stream.readline(min(limit if limit >= 0 else self._left, self._left + 1))
        self._left -= len(line)
        return line if self._left >= 0 else b""

    @property
    def exceeded(self) -> bool:
        """Whether there was more than is read."""
        return self._left < 0

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


class _Handler(BaseHTTPRequestHandler):
    pages: dict[str, _Page]
    local_only: bool
    protocol_version = "HTTP/1.1"
    timeout = ANSWER_SECONDS

    def setup(self) -> None:
        super().setup()
        self.rfile: Any = _BoundedLines(self.rfile)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        self.close_connection = True  # an idle connection would keep one of the few places
        if isinstance(self.server, _Server):
            self.server.extend(self.connection)
        code, kind, text = self._page()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Connection", "close")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if body:
            self.wfile.write(text)

    def _page(self) -> tuple[int, str, bytes]:
        if self.rfile.exceeded:
            return 431, "text/plain", b"the request's headers are too large\n"
        if self.local_only and not _is_loopback(_host_name(self.headers.get("Host", "localhost"))):
            # A page of another origin whose name leads to this machine (DNS rebinding) must not read what is here.
            return 421, "text/plain", b"this address answers for localhost only\n"
        page = self.pages.get(self.path.partition("?")[0])
        return page() if page else (404, "text/plain", b"see /metrics, /healthz, /readyz\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Scrapes are not worth a log line."""


def _host_name(header: str) -> str:
    """Return the host of a Host header, without its port and without the brackets of an IPv6 address."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower().removesuffix(".")
