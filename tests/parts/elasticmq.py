"""ElasticMQ, an SQS server fast enough for volume, in a process of its own, from Maven Central."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shipper.aws import AwsSessions, AwsSettings
from tests.parts import java
from tests.parts.cache import kept
from tests.parts.processes import end_session, free_port

VERSION = "1.7.1"
_ARTIFACT = f"org.elasticmq:elasticmq-server_2.13:{VERSION}"
_START_SECONDS = 90
_CONFIG = """
include classpath("application.conf")
node-address {{ protocol = http, host = "127.0.0.1", port = {port}, context-path = "" }}
rest-sqs {{ enabled = true, bind-hostname = "127.0.0.1", bind-port = {port}, sqs-limits = strict }}
rest-stats {{ enabled = false }}
"""


class ElasticMq:
    """One server on a free port of 127.0.0.1; its queues live as long as it does."""

    def __init__(self) -> None:
        self._java = java.java_home(17)
        self._libraries = kept("elasticmq", VERSION, _fetched)
        self.folder = Path(tempfile.mkdtemp(prefix="shipper-elasticmq-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.stop)

    def client(self) -> Any:
        """Return a boto3 client of it; credentials come from the environment."""
        return AwsSessions(AwsSettings(region="us-east-1", endpoint_url=self.url)).client("sqs")

    def start(self) -> None:
        """Start it and wait until it listens."""
        config = self.folder / "elasticmq.conf"
        config.write_text(_CONFIG.format(port=self.port))
        words = self.folder / "console.log"
        with words.open("wb") as console:
            self._process = subprocess.Popen(
                [
                    str(self._java / "bin" / "java"),
                    "-Xmx256m",
                    f"-Dconfig.file={config}",
                    "-cp",
                    f"{self._libraries}/*",
                    "org.elasticmq.server.Main",
                ],
                env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(self.folder)},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.1)
        said = words.read_text(errors="replace")[-3000:]
        self.stop()
        raise RuntimeError(f"ElasticMQ did not start: {said}")

    def stop(self) -> None:
        """Stop it and remove its folder. Harmless when it is stopped already."""
        process, self._process = self._process, None
        if process is not None:
            end_session(process)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def elasticmq() -> Iterator[ElasticMq]:
    """Run a server for the length of a block."""
    server = ElasticMq()
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _fetched(folder: Path) -> Path:
    java.fetch_with_dependencies([_ARTIFACT], folder)
    return folder
