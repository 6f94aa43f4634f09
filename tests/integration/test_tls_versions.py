"""No client speaks TLS older than 1.2, not even where the machine's OpenSSL would allow it."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest
from botocore.credentials import ReadOnlyCredentials

from shipper.aws import AwsSessions, AwsSettings
from shipper.errors import RetryableError
from shipper.model import S3Object
from shipper.sinks.elasticsearch_connection import Access, Connection
from shipper.sinks.splunk_hec import SplunkHecSink
from shipper.sinks.splunk_hec_connection import HecServers
from shipper.sources.s3_get import SmallGet
from tests.contract.sinks import split
from tests.contract.sinks.splunk_hec import document
from tests.integration.test_splunk_hec_tls import certificate

ROOT = Path(__file__).parents[2]
WEAK = """openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = defaults
[defaults]
MinProtocol = TLSv1
CipherString = DEFAULT:@SECLEVEL=0
"""


def plain(url: str, trusted: str) -> None:
    """Connect with whatever version OpenSSL allows: it shows that the server would talk."""
    host, port = url.removeprefix("https://").split(":")
    context = ssl.create_default_context(cafile=trusted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context.minimum_version = ssl.TLSVersion.TLSv1
    with (
        socket.create_connection((host, int(port))) as bare,
        context.wrap_socket(bare, server_hostname=host) as wrapped,
    ):
        wrapped.sendall(b"GET / HTTP/1.1\r\n\r\n")


def elasticsearch(url: str, trusted: str) -> None:
    Connection(Access([url], api_key="key", ca_certs=trusted, request_timeout_seconds=5)).request("GET", "/")


def splunk(url: str, trusted: str) -> None:
    sink = SplunkHecSink("splunk", HecServers([url], "token", ca_certs=trusted, request_timeout_seconds=5))
    sink.open(split()).send([document(1)])


def boto(url: str, trusted: str) -> None:
    os.environ.update(AWS_CA_BUNDLE=trusted, AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")
    AwsSessions(AwsSettings(region="us-east-1", endpoint_url=url)).client("sts").get_caller_identity()


def small_get(url: str, trusted: str) -> None:
    known: Any = ReadOnlyCredentials("a", "b", None)
    get = SmallGet(url, "us-east-1", by_path=True, credentials=lambda: known, certificates=trusted)
    if get.get(S3Object("trail", "a", 3, "x", 0.0)) is None:
        raise RetryableError("TLS")


CLIENTS: dict[str, Callable[[str, str], None]] = {
    "elasticsearch": elasticsearch,
    "splunk": splunk,
    "boto": boto,
    "small_get": small_get,
}


class OldServer:
    """Speaks TLS up to one version, and notes what arrives."""

    def __init__(self, certificate: tuple[str, str], version: ssl.TLSVersion) -> None:
        self.received: list[bytes] = []
        self.refused: list[str] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate)
        self._context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python warns of versions that it should not be used with
            self._context.minimum_version = ssl.TLSVersion.TLSv1
            self._context.maximum_version = version
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                bare, _ = self._socket.accept()
            except OSError:
                return
            bare.settimeout(5)
            try:
                with self._context.wrap_socket(bare, server_side=True) as wrapped:
                    self.received.append(wrapped.recv(65_536))
            except OSError as error:
                self.refused.append(str(error))
                bare.close()


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return certificate(tmp_path_factory.mktemp("tls"), "server")


def run(client: str, url: str, trusted: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a client in a process whose OpenSSL allows anything."""
    (folder / "openssl.cnf").write_text(WEAK)
    program = f"from tests.integration import test_tls_versions as t; t.{client}({url!r}, {trusted!r})"
    environment = {**os.environ, "OPENSSL_CONF": str(folder / "openssl.cnf"), "AWS_MAX_ATTEMPTS": "1"}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["1.0", "1.1"])
@pytest.mark.parametrize("client", CLIENTS)
def test_an_old_version_is_refused(
    client: str, version: ssl.TLSVersion, certified: tuple[str, str], tmp_path: Path
) -> None:
    """The handshake fails, so that the server sees neither credentials nor events; a client that allows it connects."""
    with OldServer(certified, version) as server:
        assert run("plain", server.url, certified[0], tmp_path).returncode == 0
        assert server.received
        server.received.clear()
        done = run(client, server.url, certified[0], tmp_path)
    assert done.returncode != 0
    assert "SSL" in done.stderr or "TLS" in done.stderr, done.stderr
    assert server.received == []
    assert server.refused
