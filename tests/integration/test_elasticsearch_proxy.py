"""Elasticsearch by way of an HTTP proxy: in full for http, through a tunnel for https."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from shipper.errors import RetryableError
from shipper.sinks.elasticsearch import ElasticsearchSink
from tests.contract.sinks import split
from tests.contract.sinks.elasticsearch import document
from tests.fakes.elasticsearch import FakeElasticsearch
from tests.fakes.proxy import FakeProxy


def test_plain_requests_name_the_whole_address():
    """The proxy forwards what it is given, and the documents arrive."""
    with FakeElasticsearch() as server, FakeProxy() as proxy:
        sink = ElasticsearchSink("siem", [server.url], proxy=proxy.url, request_timeout_seconds=5)
        result = sink.open(split()).send([document(n) for n in range(3)])
        sink.close()
        assert result.delivered == 3
        assert len(server.stored) == 3
        ((method, address),) = proxy.asked
        assert method == "POST"
        assert address.startswith(f"{server.url}/_bulk?")
        assert proxy.accepts == [["application/json"]], "Elasticsearch refuses two"


def server_side(folder: Path) -> tuple[str, ssl.SSLContext]:
    """A certificate that vouches for itself, and the server's side of it."""
    key, certificate = folder / "key.pem", folder / "crt.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    subprocess.run([*command, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return str(certificate), context


@pytest.mark.parametrize("tls", [False, True], ids=["forwarded", "tunnelled"])
def test_a_proxy_that_asks_who_we_are(tmp_path: Path, tls):
    """With the right credentials documents arrive; with others none does, and none is given up."""
    certificate, context = server_side(tmp_path)
    with FakeElasticsearch(tls=context if tls else None) as server, FakeProxy() as proxy:
        proxy.wants = ("us", "p@ss:/word")
        options: dict[str, Any] = {"proxy": proxy.url, "request_timeout_seconds": 5, "ca_certs": certificate}
        sink = ElasticsearchSink("siem", [server.url], proxy_auth=proxy.wants, **options)
        assert sink.open(split()).send([document(1)]).delivered == 1
        sink.close()
        stranger = ElasticsearchSink("siem", [server.url], proxy_auth=("us", "guess"), **options)
        with pytest.raises(RetryableError, match="407"):
            stranger.open(split()).send([document(2)])
        stranger.close()
        assert len(server.stored) == 1


def test_https_goes_through_a_tunnel_and_the_servers_certificate_is_verified(tmp_path: Path):
    """The proxy learns host and port; whoever does not trust the certificate gets no answer."""
    certificate, context = server_side(tmp_path)
    with FakeElasticsearch(tls=context) as server, FakeProxy() as proxy:
        options: dict[str, Any] = {"proxy": proxy.url, "request_timeout_seconds": 5}
        sink = ElasticsearchSink("siem", [server.url], ca_certs=certificate, **options)
        assert sink.open(split()).send([document(1)]).delivered == 1
        sink.close()
        assert set(proxy.asked) == {("CONNECT", server.url.removeprefix("https://"))}
        stranger = ElasticsearchSink("siem", [server.url], **options)
        with pytest.raises(RetryableError, match="TLS") as caught:
            stranger.open(split()).send([document(2)])
        assert caught.value.paused
        stranger.close()
