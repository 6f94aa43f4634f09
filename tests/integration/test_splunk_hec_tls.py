"""The HEC sink over TLS: who the server is, who we are, and by way of a proxy."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shipper.errors import RetryableError
from shipper.model import SendResult
from shipper.sinks.splunk_hec import SplunkHecSink
from shipper.sinks.splunk_hec_connection import HecServers
from tests.contract.sinks import split
from tests.contract.sinks.splunk_hec import document
from tests.fakes.proxy import FakeProxy
from tests.fakes.splunk_hec import TOKEN, FakeSplunk


def certificate(folder: Path, name: str) -> tuple[str, str]:
    """A certificate that vouches for itself, and its key."""
    key, crt = folder / f"{name}.key", folder / f"{name}.crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    subprocess.run([*command, *names, "-keyout", key, "-out", crt], check=True, capture_output=True)
    return str(crt), str(key)


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[tuple[FakeSplunk, str, tuple[str, str]]]:
    """A collector that asks for the client's certificate, its own certificate, and the client's pair."""
    server, client = certificate(tmp_path, "server"), certificate(tmp_path, "client")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*server)
    context.load_verify_locations(client[0])
    context.verify_mode = ssl.CERT_REQUIRED
    with FakeSplunk(tls=context) as fake:
        yield fake, server[0], client


def send(server: FakeSplunk, **options: Any) -> SendResult:
    sink = SplunkHecSink("splunk", HecServers([server.url], TOKEN, request_timeout_seconds=5, **options))
    try:
        return sink.open(split()).send([document(1)])
    finally:
        sink.close()


def test_both_ends_show_a_certificate(strict):
    """The server is verified against ca_certs, the client shows client_cert."""
    server, trusted, (crt, key) = strict
    assert send(server, ca_certs=trusted, client_cert=crt, client_key=key).delivered == 1


def test_without_the_clients_certificate_nothing_arrives(strict):
    """It is an error to try again, and the event stays."""
    server, trusted, _ = strict
    with pytest.raises(RetryableError):
        send(server, ca_certs=trusted)
    assert server.events == []


def test_a_certificate_and_key_in_one_file_will_do(strict, tmp_path):
    """client_cert alone."""
    server, trusted, (crt, key) = strict
    both = tmp_path / "both.pem"
    both.write_text(Path(crt).read_text() + Path(key).read_text())
    assert send(server, ca_certs=trusted, client_cert=str(both)).delivered == 1


def test_a_server_that_is_not_trusted_gets_nothing(strict):
    """It waits for a person; the environment's certificates do not count."""
    server, _, (crt, key) = strict
    with pytest.raises(RetryableError, match="TLS") as caught:
        send(server, client_cert=crt, client_key=key)
    assert caught.value.paused
    assert server.requests == []


def test_a_server_that_is_not_trusted_is_served_where_that_is_wanted(strict):
    """verify_certs: false."""
    server, _, (crt, key) = strict
    with pytest.warns(match="Unverified HTTPS request"):
        assert send(server, verify_certs=False, client_cert=crt, client_key=key).delivered == 1


def test_a_proxy_is_tunnelled_through(strict, monkeypatch):
    """The named one, whatever the environment says; it learns host and port alone."""
    server, trusted, (crt, key) = strict
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with FakeProxy() as proxy:
        send(server, ca_certs=trusted, client_cert=crt, client_key=key, proxy=proxy.url)
        assert set(proxy.asked) == {("CONNECT", server.url.removeprefix("https://"))}
    assert send(server, ca_certs=trusted, client_cert=crt, client_key=key).delivered == 1


@pytest.mark.parametrize("tls", [False, True], ids=["forwarded", "tunnelled"])
def test_a_proxy_that_asks_who_we_are(strict, tls):
    """With the right credentials events arrive; with others none does, and what is said names no password."""
    server, trusted, (crt, key) = strict
    with FakeSplunk() as plain, FakeProxy() as proxy:
        proxy.wants = ("us", "p@ss:/word")
        options = {"proxy": proxy.url, "ca_certs": trusted, "client_cert": crt, "client_key": key}
        far = server if tls else plain
        assert send(far, proxy_auth=proxy.wants, **options).delivered == 1
        with pytest.raises(RetryableError, match="407") as caught:
            send(far, proxy_auth=("us", "guess"), **options)
        assert "guess" not in str(caught.value)
        assert len(far.stored) == 1
