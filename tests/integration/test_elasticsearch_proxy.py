"""Ways to Elasticsearch: an HTTP proxy (in full for http, a tunnel for https), certificates at both ends, Cloud IDs."""

from __future__ import annotations

import base64
import hashlib
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


@pytest.mark.parametrize(("host", "port"), [("cloud.example", 443), ("cloud.example:9243", 9243)])
def test_a_cloud_id_names_the_cluster(host, port):
    """Host, then Elasticsearch, then Kibana; the port is 443 where it names none."""
    cloud_id = "name:" + base64.b64encode(f"{host}$cluster$kibana".encode()).decode()
    with FakeProxy() as proxy:
        sink = ElasticsearchSink("siem", [], cloud_id=cloud_id, proxy=proxy.url, request_timeout_seconds=5)
        with pytest.raises(RetryableError):
            sink.open(split()).send([document(1)])
        sink.close()
        assert set(proxy.asked) == {("CONNECT", f"cluster.cloud.example:{port}")}


@pytest.mark.parametrize("cloud_id", ["no colon", "name:!!!", "name:YWJj"])
def test_a_cloud_id_that_is_none_is_told(cloud_id):
    """With where to find the right one."""
    sink = ElasticsearchSink("siem", [], cloud_id=cloud_id)
    (problem,) = sink.problems()
    assert "cloud_id is as Elastic Cloud shows it" in problem.hint
    sink.close()


def test_both_ends_show_a_certificate(tmp_path: Path):
    """The client's pair is shown where the server asks for it; without it nothing arrives, and nothing is given up."""
    certificate, context = server_side(tmp_path)
    (tmp_path / "client").mkdir()
    client, _ = server_side(tmp_path / "client")
    context.load_verify_locations(client)
    context.verify_mode = ssl.CERT_REQUIRED
    with FakeElasticsearch(tls=context) as server:
        options: dict[str, Any] = {"ca_certs": certificate, "request_timeout_seconds": 5}
        pair: dict[str, Any] = {"client_cert": client, "client_key": str(tmp_path / "client" / "key.pem")}
        sink = ElasticsearchSink("siem", [server.url], **options, **pair)
        assert sink.open(split()).send([document(1)]).delivered == 1
        sink.close()
        stranger = ElasticsearchSink("siem", [server.url], **options)
        with pytest.raises(RetryableError):
            stranger.open(split()).send([document(2)])
        stranger.close()
        assert len(server.stored) == 1


def test_a_pinned_fingerprint_trusts_one_certificate_alone(tmp_path: Path):
    """Its own is enough, without an authority; another's pauses the sink."""
    certificate, context = server_side(tmp_path)
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(Path(certificate).read_text())).hexdigest()
    with FakeElasticsearch(tls=context) as server:
        sink = ElasticsearchSink("siem", [server.url], ssl_assert_fingerprint=digest, request_timeout_seconds=5)
        assert sink.open(split()).send([document(1)]).delivered == 1
        sink.close()
        other = digest[::-1]
        stranger = ElasticsearchSink("siem", [server.url], ssl_assert_fingerprint=other, request_timeout_seconds=5)
        with pytest.raises(RetryableError) as caught:
            stranger.open(split()).send([document(2)])
        assert caught.value.paused
        stranger.close()
        assert len(server.stored) == 1
