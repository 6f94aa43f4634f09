"""Shopify's Toxiproxy, from the Go module proxy: TCP connections that are slow, cut short, reset or never answered."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.parts.cache import kept
from tests.parts.debian import MissingPartError, install

VERSION = "2.12.0"
_MODULE = "github.com/Shopify/toxiproxy/v2/cmd/server"
_BUILD_SECONDS = 900
_START_SECONDS = 30


class Toxiproxy:
    """One server on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        self._program = kept("toxiproxy", VERSION, _built)
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = [str(self._program), "-host", "127.0.0.1", "-port", str(self._port)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self._request("GET", "/version")
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self.stop()
                    raise
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End it, and every connection with it."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)

    def before(self, url: str) -> Link:
        """Return a new way to an http server on this machine."""
        port, name = _free_port(), f"to-{urlsplit(url).port}-{time.monotonic_ns()}"
        proxy = {"name": name, "listen": f"127.0.0.1:{port}", "upstream": urlsplit(url).netloc, "enabled": True}
        self._request("POST", "/proxies", proxy)
        return Link(self, name, f"http://127.0.0.1:{port}")

    def _request(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                said = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{method} {path}: {error.read()!r}") from error
        return json.loads(said) if said.startswith((b"{", b"[")) else None


class Link:
    """One way through the proxy, at `url`."""

    def __init__(self, server: Toxiproxy, name: str, url: str) -> None:
        self.url = url
        self._server = server
        self._path = f"/proxies/{name}"

    @contextlib.contextmanager
    def toxic(self, kind: str, attributes: Mapping[str, int], *, stream: str = "downstream") -> Iterator[None]:
        """Do harm to all connections, also to those that are open.

        Args:
            kind, attributes: https://github.com/Shopify/toxiproxy#toxics
            stream: downstream harms answers, upstream harms requests.
        """
        body = {"name": kind, "type": kind, "stream": stream, "toxicity": 1.0, "attributes": dict(attributes)}
        self._server._request("POST", f"{self._path}/toxics", body)
        try:
            yield
        finally:
            self._server._request("DELETE", f"{self._path}/toxics/{kind}")

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Close all connections, and refuse new ones."""
        self._server._request("POST", self._path, {"enabled": False})
        try:
            yield
        finally:
            self._server._request("POST", self._path, {"enabled": True})


@contextlib.contextmanager
def toxiproxy() -> Iterator[Toxiproxy]:
    """Run a server for the length of a block."""
    server = Toxiproxy()
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _built(folder: Path) -> Path:
    if shutil.which("go") is None:
        install(["golang-go"])
    done = subprocess.run(
        ["go", "install", f"{_MODULE}@v{VERSION}"],
        env={**os.environ, "GOBIN": str(folder), "GOFLAGS": "-trimpath", "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=_BUILD_SECONDS,
        check=False,
    )
    if done.returncode:
        raise MissingPartError(f"go does not build {_MODULE}, Go 1.23 or newer is needed: {done.stderr[-2000:]}")
    return folder / "server"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
