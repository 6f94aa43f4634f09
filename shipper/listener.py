"""The HTTP listener: /metrics, /healthz, /readyz; read-only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from shipper.errors import ConfigError
from shipper.escaping import printable


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

    Raises:
        ConfigError: the address cannot be listened on.
    """

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry, health: Health) -> None:
        class Handler(_Handler):
            pages = _pages(registry, health)

        try:
            self._server = ThreadingHTTPServer(address, Handler)
        except OSError as error:
            raise ConfigError(
                f"listen: cannot listen on {address[0]}:{address[1]}: {error.strerror}",
                "another process may have the port; set another one with `listen: 127.0.0.1:PORT`",
            ) from error
        self._server.daemon_threads = True
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


class _Handler(BaseHTTPRequestHandler):
    pages: dict[str, _Page]
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        page = self.pages.get(self.path.partition("?")[0])
        code, kind, body = page() if page else (404, "text/plain", b"see /metrics, /healthz, /readyz\n")
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Scrapes are not worth a log line."""
