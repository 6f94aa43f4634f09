"""Documents as Elastic's AWS integration makes them, sent to real servers with our templates."""

from __future__ import annotations

import uuid
from pathlib import Path

import orjson
import pytest

from shipper.model import Document, Origin, Record
from shipper.sinks.elasticsearch import ElasticsearchSink
from tests.contract.sinks import split

ORACLES = Path(__file__).parents[3] / "shared" / "oracles" / "ecs"
KINDS = {
    "cloudtrail": "cloudtrail",
    "cloudtrail_current": "cloudtrail",
    "cloudtrail_digest": "cloudtrail",
    "vpcflow": "vpcflow",
    "vpcflow_current": "vpcflow",
    "cloudwatch_logs": "cloudwatch_logs",
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_integrations_documents_are_accepted_whole(elasticsearch_server, kind):
    """None is rejected, and no field of one is left out of the index for not fitting its mapping."""
    file = ORACLES / kind / "expected.json"
    if not file.exists():
        pytest.skip(f"the conformance set is not here: {file}")
    namespace = uuid.uuid4().hex[:8]
    index = f"logs-aws.{KINDS[kind]}-{namespace}"
    bodies = [{"@timestamp": "2026-01-01T00:00:00Z"} | body for body in orjson.loads(file.read_bytes())["expected"]]
    sink = ElasticsearchSink("siem", [elasticsearch_server.url], namespace=namespace)
    sink.prepare()
    record, origin = Record(b"{}", 0), Origin("s3://b/k")
    documents = [Document(f"{kind}-{n}", index, 0, orjson.dumps(b), record, origin) for n, b in enumerate(bodies)]
    result = sink.open(split()).send(documents)
    sink.close()
    assert (result.delivered, result.rejected) == (len(documents), ())
    elasticsearch_server.request("POST", f"{index}/_refresh")
    query = {"query": {"exists": {"field": "_ignored"}}, "fields": ["_ignored"], "_source": False}
    hits = elasticsearch_server.request("POST", f"{index}/_search", query).body["hits"]["hits"]
    assert [hit["_ignored"] for hit in hits] == []
