"""An HTTP proxy on a free port of 127.0.0.1: tunnels (CONNECT) and plain requests with the whole address."""

from __future__ import annotations

import base64
import http.client
import select
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from tests.fakes.http_server import FakeServer, QuietHandler


class FakeProxy(FakeServer):
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
        super().__init__(_handler(self))


def _handler(proxy: FakeProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(QuietHandler, BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            proxy.asked.append(("CONNECT", self.path))
            if self._refused():
                return
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=5) as far:
                self.send_response_only(200)
                self.end_headers()
                self.wfile.flush()
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
                self.reset()
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

    return Handler


def _join(near: socket.socket, far: socket.socket, stopping: threading.Event) -> None:
    while not stopping.is_set():
        ready, _, _ = select.select([near, far], [], [], 0.05)
        for end in ready:
            data = end.recv(65_536)
            if not data:
                return
            (far if end is near else near).sendall(data)
