"""Our own documents of log events, sent to a real server with our templates."""

from __future__ import annotations

import uuid
from typing import Any

import orjson

from shipper.build import LOG_TYPES
from shipper.model import LogEvent, LogStream, Origin, Record
from shipper.ports import Lookups
from shipper.sinks.elasticsearch import ElasticsearchSink
from tests.contract.sinks import split
from tests.unit.test_access_logs import LINES, S3_LINES
from tests.unit.test_log_event_types import ACCESS, AUDIT, POD, POSTGRES, PUBLIC, RESOLVER, SLOW, TASK
from tests.unit.test_waf import EVENTS

SAID: list[tuple[str, dict[str, Any]]] = [
    ("route53_resolver", RESOLVER),
    ("apigateway", ACCESS),
    ("eks", AUDIT),
    ("containers", POD),
    ("containers", TASK),
]
REQUEST = "8f507cfc-0001-4697-b07a-ac58fc914c95"
MESSAGES = [
    ("cloudwatch", "plain text"),
    ("cloudwatch", '{"level":"INFO","a":{"b":[1,{"c":"x"}]},"n":null}'),
    ("cloudwatch", '{"level":"INFO","a":"the same name with another type"}'),
    ("cloudwatch", '{"x":"' + "y" * 40_000 + '"}'),
    ("cloudwatch", f"REPORT RequestId: {REQUEST}\tDuration: 12.3 ms\tMemory Size: 128 MB\tInit Duration: 235 ms\t"),
    ("ec2", "2020-02-20T07:02:18.000Z Feb 20 07:02:18 ip-172-31-81-156 dhclient[3000]: XMT: Solicit"),
    ("vpcflow", "2 123456789012 eni-1 203.0.113.7 10.0.0.5 51000 22 6 10 840 1772366710 1772366765 REJECT OK"),
    *((name, orjson.dumps(said).decode()) for name, said in SAID),
    ("route53_public", PUBLIC),
    ("rds", POSTGRES + "ERROR:  duration: 1.5 ms  statement: " + "select 1 -- " * 500),
    ("rds", SLOW),
    ("rds", "20260102 03:04:05,ip-10-1-2-3,ann,10.0.0.7,58,0,FAILED_CONNECT,,,1045"),
    *(("elb", line) for line in LINES),
    *(("s3access", line) for line in S3_LINES),
    *(("waf", orjson.dumps(said).decode()) for said in EVENTS),
]


def test_log_events_of_every_kind_are_accepted_whole(elasticsearch_server):
    """None is rejected, and no field of one is left out of the index for not fitting its mapping."""
    namespace = uuid.uuid4().hex[:8]
    sink = ElasticsearchSink("siem", [elasticsearch_server.url], namespace=namespace)
    sink.prepare()
    stream, documents = LogStream("123456789012", "us-east-1", "/aws/lambda/x", "s"), []
    for number, (name, message) in enumerate(MESSAGES):
        event = LogEvent(f"{number:056}", 1_780_000_000_000, stream, 1_780_000_001_000)
        document = (
            LOG_TYPES[name]
            .ecs(namespace, Lookups())
            .encoder(Origin("arn"))(Record(message.encode(), number, None, event))
        )
        assert document is not None
        documents.append(document)
    result = sink.open(split()).send(documents)
    sink.close()
    assert (result.delivered, result.rejected) == (len(documents), ())
    index = f"logs-*-{namespace}"
    elasticsearch_server.request("POST", f"{index}/_refresh")
    query = {"query": {"exists": {"field": "_ignored"}}, "fields": ["_ignored"], "_source": False}
    hits = elasticsearch_server.request("POST", f"{index}/_search", query).body["hits"]["hits"]
    assert [hit["fields"]["_ignored"] for hit in hits] == []
    flat = {"query": {"term": {"aws.cloudwatch.fields.a.b.c": "x"}}}
    assert len(elasticsearch_server.request("POST", f"{index}/_search", flat).body["hits"]["hits"]) == 1
    slow = {"query": {"range": {"aws.lambda.duration_ms": {"gt": 12}}}}
    assert len(elasticsearch_server.request("POST", f"{index}/_search", slow).body["hits"]["hits"]) == 1
    for field, value in (
        ("dns.resolved_ip", "203.0.113.0/24"),
        ("kubernetes.labels.app.kubernetes.io/name", "web"),
        ("kubernetes.audit.annotations.authorization_k8s_io/decision", "forbid"),
        ("postgresql.log.database", "shop"),
    ):
        found = {"query": {"term": {field: value}}}
        assert len(elasticsearch_server.request("POST", f"{index}/_search", found).body["hits"]["hits"]) == 1, field
    long = {"query": {"range": {"event.duration": {"gte": 1_500_000, "lte": 2_000_123_000}}}}
    assert len(elasticsearch_server.request("POST", f"{index}/_search", long).body["hits"]["hits"]) == 3
    # What one match says belongs together: no other match may lend it a value.
    inner = "aws.waf.non_terminating_matching_rules.ruleMatchDetails"
    for location, hits in (("HEADER", 1), ("BODY", 0)):
        terms = [
            {"term": {f"{inner}.{name}": value}}
            for name, value in (("sensitivityLevel", "HIGH"), ("location", location))
        ]
        nested = {"nested": {"path": inner, "query": {"bool": {"filter": terms}}}}
        wanted = {"query": {"nested": {"path": inner.rpartition(".")[0], "query": nested}}}
        answer = elasticsearch_server.request("POST", f"logs-aws.waf-{namespace}/_search", wanted)
        assert len(answer.body["hits"]["hits"]) == hits
