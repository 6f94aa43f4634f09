"""Elastic's own server, unmodified, from Maven Central: `python -m tests.parts.elasticsearch` runs one until Ctrl-C.

It is the distribution that Elastic tests its plugins with: the server and its data structures, without the modules on
top (no ILM, ingest processors, Painless, ES|QL, `_data_stream` REST). Real clusters have those.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import signal
import ssl
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tests.parts import java
from tests.parts.cache import cache_folder, locked
from tests.parts.search_server import SearchServer, as_nobody, give_to_nobody, run

Major = Literal["8", "9"]


class _Release(NamedTuple):
    version: str
    java: int


_RELEASES: dict[Major, _Release] = {"8": _Release("8.19.21", 17), "9": _Release("9.5.3", 21)}
USER, READER = "shipper", "reader"
PASSWORD = "correct-horse-battery"


class ElasticsearchServer(SearchServer):
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
        super().__init__(f"Elasticsearch {major}")
        self._heap = heap
        self._home = _installed(_RELEASES[major].version)
        self._java = java.java_home(_RELEASES[major].java)
        if secure:
            self.ca_certs = self.folder / "config" / "http.crt"
            self.login = (USER, PASSWORD)
        self._configure(dict(settings or {}), secure=secure)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate (secure servers only)."""
        if self.ca_certs is None:
            raise AssertionError("this server has no certificate")
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.ca_certs.read_text())).hexdigest()

    def command(self) -> list[str]:
        """Elastic's own start script."""
        return [str(self._home / "bin" / "elasticsearch")]

    def environment(self) -> dict[str, str]:
        """Java and the folders of this run."""
        return super().environment() | {
            "ES_JAVA_HOME": str(self._java),
            "ES_PATH_CONF": str(self.folder / "config"),
            "ES_TMPDIR": str(self.folder / "tmp"),
            "ES_JAVA_OPTS": f"-Xms{self._heap} -Xmx{self._heap}",
        }

    def _configure(self, settings: dict[str, Any], *, secure: bool) -> None:
        shutil.copytree(self._home / "config", self.folder / "config")
        lines: dict[str, Any] = {
            "cluster.name": "shipper-tests",
            "node.name": "n1",
            "path.data": str(self.folder / "data"),
            "path.logs": str(self.folder / "logs"),
            "http.host": "127.0.0.1",
            "http.port": self.port,
            "transport.host": "127.0.0.1",
            "transport.port": 0,
            "discovery.type": "single-node",
            "cluster.routing.allocation.disk.threshold_enabled": False,
            "xpack.security.enabled": secure,
        }
        if secure:
            lines |= self._tls()
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in (lines | settings).items())
        (self.folder / "config" / "elasticsearch.yml").write_text(text)
        (self.folder / "tmp").mkdir()
        give_to_nobody(self.folder)
        if secure:
            self._add_user(USER, "superuser")
            self._add_user(READER, "monitoring_user")

    def _tls(self) -> dict[str, Any]:
        config = self.folder / "config"
        key, certificate = config / "http.key", config / "http.crt"
        names = "subjectAltName=IP:127.0.0.1,DNS:localhost"
        usage = "keyUsage=critical,digitalSignature,keyCertSign"
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        run([*made, "-addext", names, "-addext", usage, "-keyout", str(key), "-out", str(certificate)])
        return {
            "xpack.security.http.ssl.enabled": True,
            "xpack.security.http.ssl.key": "http.key",
            "xpack.security.http.ssl.certificate": "http.crt",
        }

    def _add_user(self, name: str, role: str) -> None:
        command = [self._home / "bin" / "elasticsearch-users", "useradd", name, "-p", PASSWORD, "-r", role]
        run([str(part) for part in command], env=self.environment(), **as_nobody())


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


def main() -> None:
    """Run a server in the foreground: `python -m tests.parts.elasticsearch [8|9]`."""
    major: Major = "8" if sys.argv[1:] == ["8"] else "9"
    with elasticsearch(major) as server, contextlib.suppress(KeyboardInterrupt):
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    main()
