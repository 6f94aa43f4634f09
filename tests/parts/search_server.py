"""A search server process of the tests: started in a folder of its own, asked over HTTP, stopped or killed."""

from __future__ import annotations

import atexit
import base64
import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

from tests.parts.cache import cache_folder
from tests.parts.processes import end_session, free_port

_NOBODY = 65534
_START_SECONDS = 120


class Answer(NamedTuple):
    """What the server said: HTTP status and decoded JSON (or text)."""

    status: int
    body: Any


class SearchServer:
    """One server process with its own folder, on a free port of 127.0.0.1.

    Args:
        name: of the product, for messages.

    Attributes:
        folder: everything the process writes; removed by `stop`.
        ca_certs: the certificate to trust, where it speaks TLS.
        login: user and password to ask with, where it wants them.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.ca_certs: Path | None = None
        self.login: tuple[str, str] | None = None
        runs = cache_folder() / "runs"
        runs.mkdir(exist_ok=True)
        _remove_leftovers(runs)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=runs))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.stop)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self.ca_certs else 'http'}://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """What to run."""
        raise AssertionError("each server says what to run")

    def environment(self) -> dict[str, str]:
        """What it sees of the environment: no secrets of the tests' own."""
        return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(self.folder)}

    def start(self) -> None:
        """Start it and wait until it answers; after `kill` it comes up with the same data on the same port."""
        with (self.folder / "console.log").open("ab") as console:
            self._process = subprocess.Popen(
                self.command(),
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **as_nobody(),
            )
        (self.folder / "pid").write_text(str(self._process.pid))
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """Stop it in order, then remove its folder. Harmless when it is stopped already."""
        self._end(signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """End it at once, as a crash would (SIGKILL to all its processes)."""
        self._end(signal.SIGKILL)

    def request(self, method: str, path: str, body: Any = None) -> Answer:
        """Ask the server, as a test's own eyes (the code under test has its own client)."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if self.login:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(self.login).encode()).decode()
        request = urllib.request.Request(f"{self.url}/{path.lstrip('/')}", data, headers, method=method)
        trust = ssl.create_default_context(cafile=str(self.ca_certs)) if self.ca_certs else None
        try:
            with self._opener(trust).open(request, timeout=30) as answer:
                return Answer(answer.status, _decoded(answer.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _decoded(error.read()))

    def _opener(self, trust: ssl.SSLContext | None) -> urllib.request.OpenerDirector:
        """Return what asks this server without a proxy, whatever a test has put into the environment."""
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if trust is not None:
            handlers.append(urllib.request.HTTPSHandler(context=trust))
        return urllib.request.build_opener(*handlers)

    def documents(self, index: str) -> dict[str, dict[str, Any]]:
        """Return every stored document's source by id, after a refresh (at most 10,000)."""
        self.request("POST", f"{index}/_refresh")
        found = self.request("POST", f"{index}/_search", {"size": 10_000, "query": {"match_all": {}}})
        if found.status != 200:
            raise AssertionError(f"search of {index} failed: {found}")
        return {hit["_id"]: hit["_source"] for hit in found.body["hits"]["hits"]}

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            with contextlib.suppress(OSError):  # URLError too: it does not listen yet
                if self.request("GET", "_cluster/health?wait_for_status=yellow&timeout=1s").status == 200:
                    return
            time.sleep(0.1)
        words = (self.folder / "console.log").read_text(errors="replace")[-3000:]
        self.stop()
        raise RuntimeError(f"{self.name} did not start: {words}")

    def _end(self, with_signal: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            end_session(process, with_signal)


def as_nobody() -> dict[str, Any]:
    """Popen's arguments for servers that refuse to run as root."""
    return {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def give_to_nobody(folder: Path) -> None:
    """Let such a server write into a folder."""
    folder.chmod(0o755)
    if os.geteuid() == 0:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, _NOBODY, _NOBODY)


def run(command: list[str], **options: Any) -> None:
    """Run a tool to its end; its words are in the error."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stdout}{done.stderr}")


def _remove_leftovers(runs: Path) -> None:
    """Remove what test runs left that were killed: their folders, and servers that still run in them."""
    for folder in runs.iterdir():
        if Path(f"/proc/{folder.name.split('-')[0]}").exists():
            continue
        with contextlib.suppress(OSError, ValueError):
            pid = int((folder / "pid").read_text())
            if str(folder).encode() in Path(f"/proc/{pid}/environ").read_bytes():
                os.killpg(pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
