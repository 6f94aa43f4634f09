"""Threats in a real Elasticsearch: each match is found by itself, addresses as addresses, nothing is left out."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from shipper.enrich.indicator_files import Source
from shipper.enrich.indicators import Indicators
from shipper.model import Document, Origin, Record
from shipper.schemas.ecs.cloudtrail import CloudTrailEcs
from shipper.sinks.elasticsearch import ElasticsearchSink
from tests.contract.sinks import split


def documents(folder: Path, namespace: str) -> list[Document]:
    """A call from a bad address with a good program, one the other way round, and one that is neither."""
    (folder / "bad.txt").write_text("203.0.113.9\n198.51.100.0/24\n")
    (folder / "agents.txt").write_text("sqlmap*\n")
    lists = Indicators([Source(folder / "bad.txt", "soc"), Source(folder / "agents.txt", "other", "user_agent")])
    encode = CloudTrailEcs(namespace, None, indicators=lists).encoder(Origin("s3://b/k", "b", "k"))
    found = []
    for number, (address, agent) in enumerate(
        [("203.0.113.9", "aws-cli"), ("192.0.2.1", "sqlmap/1.7"), ("192.0.2.1", "aws-cli"), ("198.51.100.7", "x")]
    ):
        record = {
            "eventTime": "2026-01-05T12:00:00Z",
            "eventSource": "s3.amazonaws.com",
            "eventName": "ListBuckets",
            "sourceIPAddress": address,
            "userAgent": agent,
            "eventID": f"event-{number}",
        }
        found.append(encode(Record(json.dumps(record).encode(), number)))
    return [document for document in found if document is not None]


def test_threats_can_be_searched_for(elasticsearch9, tmp_path):
    """By network of the indicator's address, by the first indicator, and by one match's own provider and field."""
    namespace = uuid.uuid4().hex[:8]
    sink = ElasticsearchSink("siem", [elasticsearch9.url], namespace=namespace)
    sink.prepare()
    sent = documents(tmp_path, namespace)
    result = sink.open(split()).send(sent)
    sink.close()
    assert (result.delivered, result.rejected) == (4, ())
    index = f"logs-aws.cloudtrail-{namespace}"
    elasticsearch9.request("POST", f"{index}/_refresh")

    def events(query: dict[str, object]) -> list[str]:
        hits = elasticsearch9.request("POST", f"{index}/_search", {"query": query}).body["hits"]["hits"]
        return sorted(hit["_source"]["event"]["id"] for hit in hits)

    def one(field: str, value: str) -> dict[str, object]:
        """A match by one of its own fields."""
        path = "threat.enrichments"
        return {"nested": {"path": path, "query": {"term": {f"{path}.{field}": value}}}}

    assert events({"term": {"threat.indicator.ip": "203.0.113.0/24"}}) == ["event-0"]
    assert events({"term": {"threat.indicator.type": "ipv4-addr"}}) == ["event-0", "event-3"]
    assert events({"term": {"threat.indicator.name": "198.51.100.0/24"}}) == ["event-3"]
    assert events(one("indicator.ip", "203.0.113.0/24")) == ["event-0"]
    assert events(one("matched.field", "user_agent.original")) == ["event-1"]
    assert events({"exists": {"field": "_ignored"}}) == []
