"""`shipper trace`: a document's origin and its end in each sink, on a real Elasticsearch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shipper import cli
from shipper.deadletters.sqlite import SqliteDeadLetters
from shipper.sinks.elasticsearch import ElasticsearchSink
from tests.contract.sinks import split
from tests.contract.sinks.elasticsearch import document
from tests.parts.elasticsearch import ElasticsearchServer
from tests.unit.test_replay import letter


def config_file(folder: Path, url: str, namespace: str, mode: str) -> str:
    path = folder / "shipper.yaml"
    siem = {"type": "elasticsearch", "hosts": [url], "data_stream_namespace": namespace, "mode": mode}
    settings = {
        "state": {"path": str(folder / "state")},
        "listen": "off",
        "sources": {"trail": {"type": "s3", "bucket": "my-trail"}},
        "sinks": {"siem": siem, "files": {"type": "archive", "path": str(folder / "archive")}},
    }
    path.write_text(json.dumps(settings))
    path.chmod(0o600)
    return str(path)


@pytest.mark.parametrize("mode", ["data_stream", "strict"])
def test_a_stored_document_is_found_with_its_origin(
    mode: str, tmp_path: Path, elasticsearch9: ElasticsearchServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """Index, object and event time; a sink that is not asked says so."""
    namespace = f"trace{mode.replace('_', '')}"
    sink = ElasticsearchSink("siem", [elasticsearch9.url], namespace=namespace, strict=mode == "strict")
    sink.prepare()
    wanted = document(7, namespace, log={"file": {"path": "s3://my-trail/key.json.gz"}})
    assert sink.open(split()).send([document(6, namespace), wanted]).delivered == 2
    sink.close()
    names = "shipper-aws" if mode == "strict" else "logs-aws"
    elasticsearch9.request("POST", f"{names}.cloudtrail-{namespace}*/_refresh")
    path = config_file(tmp_path, elasticsearch9.url, namespace, mode)
    capfd.readouterr()
    assert cli.run(["trace", "-c", path, wanted.id, "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["event_time"] == "2026-01-01T00:00:00.007+00:00"
    (hit,) = found["sinks"]["siem"]["stored"]
    assert hit["event"]["id"] == "7"
    assert hit["log"]["file"]["path"] == "s3://my-trail/key.json.gz"
    assert "archive" in found["sinks"]["files"]["note"]
    assert cli.run(["trace", "-c", path, wanted.id]) == 0
    assert "s3://my-trail/key.json.gz" in capfd.readouterr().out


def test_a_dead_letter_is_found_and_an_unknown_id_is_not(
    tmp_path: Path, elasticsearch9: ElasticsearchServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """The letter says what the sink answered; an id that is nowhere exits 1."""
    path = config_file(tmp_path, elasticsearch9.url, "traceless", "data_stream")
    store = SqliteDeadLetters(tmp_path / "state" / "dead_letters.sqlite", 10**7)
    store.put([letter(3, sink="siem", answer="no such type\x1b[2J")])
    store.close()
    assert cli.run(["trace", "-c", path, "id3"]) == 0
    out = capfd.readouterr().out
    assert "dead letter 1 of s3://bucket/key record 3, split split: mapper_parsing_exception: no such type" in out
    assert "\x1b" not in out
    assert cli.run(["trace", "-c", path, "nobody"]) == 1
    assert "not stored" in capfd.readouterr().out


def test_a_cluster_that_is_away_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Not knowing is not the same as not stored."""
    path = config_file(tmp_path, "http://127.0.0.1:1", "x", "data_stream")
    assert cli.run(["trace", "-c", path, "id"]) == 1
    assert "cannot be asked" in capfd.readouterr().out
