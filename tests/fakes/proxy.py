"""An HTTP proxy on a free port of 127.0.0.1: tunnels (CONNECT) and plain requests with the whole address."""

from __future__ import annotations

import base64
import http.client
import select
import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit


class FakeProxy:
    """Forwards, and notes what it was asked for.

    Attributes:
        asked: (method, address) of each request.
        accepts: the Accept headers of each forwarded request.
        wants: (user name, password) of whoever may use it; 407 for everyone else.
        losing: asked with each request's path after the server has answered; true loses the answer with a reset.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.accepts: list[list[str]] = []
        self.wants: tuple[str, str] | None = None
        self.losing: Callable[[str], bool] = lambda _: False
        self.stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that was reset is what tests do on purpose."""


def _handler(proxy: FakeProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self) -> None:
            proxy.asked.append(("CONNECT", self.path))
            if self._refused():
                return
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=5) as far:
                self.send_response_only(200)
                self.end_headers()
                _join(self.connection, far, proxy.stopping)
            self.close_connection = True

        def do_GET(self) -> None:
            self._forward()

        def do_POST(self) -> None:
            self._forward()

        def do_PUT(self) -> None:
            self._forward()

        def _forward(self) -> None:
            proxy.asked.append((self.command, self.path))
            if self._refused():
                return
            proxy.accepts.append(self.headers.get_all("accept") or [])
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            address = urlsplit(self.path)
            far = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
            target = address.path + (f"?{address.query}" if address.query else "")
            far.request(self.command, target, body, dict(self.headers))
            answer = far.getresponse()
            content = answer.read()
            far.close()
            if proxy.losing(target):
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
                return
            self.send_response_only(answer.status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _refused(self) -> bool:
            """Answer 407 (RFC 9110 §11.7) to whoever shows other credentials than are wanted."""
            words = base64.b64encode(":".join(proxy.wants or ()).encode()).decode()
            if proxy.wants is None or self.headers.get("proxy-authorization") == f"Basic {words}":
                return False
            self.send_response_only(407)
            self.send_header("proxy-authenticate", 'Basic realm="proxy"')
            self.send_header("content-length", "0")
            self.end_headers()
            self.close_connection = True
            return True

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Handler


def _join(near: socket.socket, far: socket.socket, stopping: threading.Event) -> None:
    while not stopping.is_set():
        ready, _, _ = select.select([near, far], [], [], 0.05)
        for end in ready:
            data = end.recv(65_536)
            if not data:
                return
            (far if end is near else near).sendall(data)
