"""moto's AWS emulator, over HTTP on loopback."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from moto.server import ThreadedMotoServer

from shipper.aws import AwsSessions, AwsSettings


@dataclass(frozen=True)
class Moto:
    """A running emulator."""

    url: str

    def settings(self, **changes: Any) -> AwsSettings:
        """Return settings that reach the emulator; credentials come from the environment (see `set_credentials`)."""
        return AwsSettings(**{"region": "us-east-1", "endpoint_url": self.url, **changes})

    def client(self, service: str) -> Any:
        """Return a boto3 client of the emulator."""
        return AwsSessions(self.settings()).client(service)


@contextmanager
def running() -> Iterator[Moto]:
    """Run the emulator on a free port, with nothing in it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        # Its state is the process's, not the server's.
        requests.post(f"{url}/moto-api/reset", timeout=30).raise_for_status()
        yield Moto(url)
    finally:
        server.stop()


def set_credentials(patch: pytest.MonkeyPatch) -> None:
    """Set credentials that nobody honours, and hide files and metadata services of this machine."""
    patch.setenv("AWS_ACCESS_KEY_ID", "testing")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    patch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        patch.delenv(name, raising=False)
