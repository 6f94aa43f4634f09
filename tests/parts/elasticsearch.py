"""Elastic's own server, unmodified, from Maven Central: `python -m tests.parts.elasticsearch` runs one until Ctrl-C.

It is the distribution that Elastic tests its plugins with: the server and its data structures, without the modules on
top (no ILM, ingest processors, Painless, ES|QL, `_data_stream` REST). Real clusters have those.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tests.parts import java
from tests.parts.cache import cache_folder, locked

Major = Literal["8", "9"]


class _Release(NamedTuple):
    version: str
    java: int


_RELEASES: dict[Major, _Release] = {"8": _Release("8.19.21", 17), "9": _Release("9.5.3", 21)}
_NOBODY = 65534
_START_SECONDS = 120
USER, READER = "shipper", "reader"
PASSWORD = "correct-horse-battery"


class Answer(NamedTuple):
    """What the server said: HTTP status and decoded JSON (or text)."""

    status: int
    body: Any


class ElasticsearchServer:
    """One server process with its own folder, on a free port of 127.0.0.1.

    Args:
        major: the release line.
        settings: more lines for elasticsearch.yml.
        secure: TLS with a certificate of its own (`ca_certs`) and the users `USER` (superuser) and `READER` (may
            write nothing), both with `PASSWORD`.
        heap: Java's heap.
    """

    def __init__(
        self, major: Major = "9", settings: Mapping[str, Any] | None = None, *, secure: bool = False, heap: str = "512m"
    ) -> None:
        self.major: Major = major
        self.secure = secure
        self._heap = heap
        self._home = _installed(_RELEASES[major].version)
        self._java = java.java_home(_RELEASES[major].java)
        runs = cache_folder() / "runs"
        runs.mkdir(exist_ok=True)
        _remove_leftovers(runs)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-es{major}-", dir=runs))
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._configure(dict(settings or {}))
        atexit.register(self.stop)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self.secure else 'http'}://127.0.0.1:{self._port}"

    @property
    def ca_certs(self) -> Path:
        """The certificate to trust (secure servers only)."""
        return self.folder / "config" / "http.crt"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate (secure servers only)."""
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.ca_certs.read_text())).hexdigest()

    def start(self) -> None:
        """Start it and wait until it answers; after `kill` it comes up with the same data on the same port."""
        with (self.folder / "console.log").open("ab") as console:
            self._process = subprocess.Popen(
                [self._home / "bin" / "elasticsearch"],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **_as_nobody(),
            )
        (self.folder / "pid").write_text(str(self._process.pid))
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """Stop it in order, then remove its folder. Harmless when it is stopped already."""
        self._end(signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """End it at once, as a crash would (SIGKILL to its launcher and to the server)."""
        self._end(signal.SIGKILL)

    def request(self, method: str, path: str, body: Any = None) -> Answer:
        """Ask the server, as a test's own eyes (the code under test has its own client)."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if self.secure:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(f"{self.url}/{path.lstrip('/')}", data, headers, method=method)
        trust = ssl.create_default_context(cafile=str(self.ca_certs)) if self.secure else None
        try:
            with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
                return Answer(answer.status, _decoded(answer.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _decoded(error.read()))

    def documents(self, index: str) -> dict[str, dict[str, Any]]:
        """Return every stored document's source by id, after a refresh (at most 10,000)."""
        self.request("POST", f"{index}/_refresh")
        found = self.request("POST", f"{index}/_search", {"size": 10_000, "query": {"match_all": {}}})
        if found.status != 200:
            raise AssertionError(f"search of {index} failed: {found}")
        return {hit["_id"]: hit["_source"] for hit in found.body["hits"]["hits"]}

    def _configure(self, settings: dict[str, Any]) -> None:
        shutil.copytree(self._home / "config", self.folder / "config")
        lines: dict[str, Any] = {
            "cluster.name": "shipper-tests",
            "node.name": "n1",
            "path.data": str(self.folder / "data"),
            "path.logs": str(self.folder / "logs"),
            "http.host": "127.0.0.1",
            "http.port": self._port,
            "transport.host": "127.0.0.1",
            "transport.port": 0,
            "discovery.type": "single-node",
            "cluster.routing.allocation.disk.threshold_enabled": False,
            "xpack.security.enabled": self.secure,
        }
        if self.secure:
            lines |= self._tls()
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in (lines | settings).items())
        (self.folder / "config" / "elasticsearch.yml").write_text(text)
        (self.folder / "tmp").mkdir()
        _give_to_nobody(self.folder)
        if self.secure:
            self._add_user(USER, "superuser")
            self._add_user(READER, "monitoring_user")

    def _tls(self) -> dict[str, Any]:
        config = self.folder / "config"
        key, certificate = config / "http.key", config / "http.crt"
        names = "subjectAltName=IP:127.0.0.1,DNS:localhost"
        usage = "keyUsage=critical,digitalSignature,keyCertSign"
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        _run([*made, "-addext", names, "-addext", usage, "-keyout", str(key), "-out", str(certificate)])
        return {
            "xpack.security.http.ssl.enabled": True,
            "xpack.security.http.ssl.key": "http.key",
            "xpack.security.http.ssl.certificate": "http.crt",
        }

    def _add_user(self, name: str, role: str) -> None:
        command = [self._home / "bin" / "elasticsearch-users", "useradd", name, "-p", PASSWORD, "-r", role]
        _run([str(part) for part in command], env=self._environment(), **_as_nobody())

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.folder),
            "ES_JAVA_HOME": str(self._java),
            "ES_PATH_CONF": str(self.folder / "config"),
            "ES_TMPDIR": str(self.folder / "tmp"),
            "ES_JAVA_OPTS": f"-Xms{self._heap} -Xmx{self._heap}",
        }

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
        raise RuntimeError(f"Elasticsearch {self.major} did not start: {words}")

    def _end(self, with_signal: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        os.killpg(process.pid, with_signal)  # a session of its own: the launcher and the server, nothing else
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def elasticsearch(
    major: Major = "9", settings: Mapping[str, Any] | None = None, *, secure: bool = False
) -> Iterator[ElasticsearchServer]:
    """Run a server for the length of a block."""
    server = ElasticsearchServer(major, settings, secure=secure)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _installed(version: str) -> Path:
    home = cache_folder() / f"elasticsearch-{version}"
    with locked("elasticsearch"):
        if not home.exists():
            downloads = cache_folder() / "download"
            downloads.mkdir(exist_ok=True)
            archive = java.fetch(
                f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{version}:zip", downloads
            )
            unpacked = Path(tempfile.mkdtemp(prefix="unpack-", dir=cache_folder()))
            _unzip(archive, unpacked)
            (unpacked / home.name).rename(home)  # whole or not at all
            unpacked.rmdir()
            archive.unlink()
    return home


def _unzip(archive: Path, folder: Path) -> None:
    """Unpack with the files' permissions, which the standard library leaves out."""
    with zipfile.ZipFile(archive) as zipped:
        for entry in zipped.infolist():
            path = zipped.extract(entry, folder)
            Path(path).chmod((entry.external_attr >> 16) & 0o777 | 0o644 | (0o111 if entry.is_dir() else 0))


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


def _as_nobody() -> dict[str, Any]:
    """Elasticsearch refuses to run as root."""
    return {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def _give_to_nobody(folder: Path) -> None:
    folder.chmod(0o755)
    if os.geteuid() == 0:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, _NOBODY, _NOBODY)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run(command: list[str], **options: Any) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stdout}{done.stderr}")


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def main() -> None:
    """Run a server in the foreground: `python -m tests.parts.elasticsearch [8|9]`."""
    major: Major = "8" if sys.argv[1:] == ["8"] else "9"
    with elasticsearch(major) as server, contextlib.suppress(KeyboardInterrupt):
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    main()
