"""Detections of Elastic and Sigma over documents of ours: they match what an independent pipeline says, exactly."""

from __future__ import annotations

import uuid
from functools import cache
from typing import Any

import orjson
import pytest

from shipper import native
from shipper.enrich.geo import Geo
from shipper.model import Document, Origin, Record
from shipper.schemas.ecs.cloudtrail import CloudTrailEcs
from shipper.sinks.elasticsearch import ElasticsearchSink
from tests.conformance import piped_queries
from tests.conformance.verdict_records import ORACLES, VERDICTS, all_records, real_records, sequences, verdicts
from tests.contract.sinks import split

pytestmark = pytest.mark.skipif(not VERDICTS.is_dir(), reason=f"the oracles are not here: {VERDICTS}")

KEY = "111122223333_CloudTrail_us-east-1_20240301T1000Z_x.json.gz"
ORIGIN = Origin(f"s3://b/{KEY}", "b", KEY)  # its time is that of records without one
RULES = verdicts("elastic-rule-verdicts.json")
SIGMA = verdicts("sigma-rule-verdicts.json")
PIPED = verdicts("elastic-esql-verdicts.json") + verdicts("elastic-hunt-verdicts.json")
EQL = [rule for rule in RULES if rule["type"] == "eql"]
# Windows of 30 seconds make 13 to 16 groups of these calls, wherever they begin; the verdict's 11 takes longer ones.
GROUPS = {"High Frequency of EC2 Multi-Region `DescribeInstances` API Calls": {3: ["stats", 13]}}
WAYS = [False] if native.CloudTrailEncoder is None else [False, True]


def encoded(records: dict[str, dict[str, Any]], *, natively: bool = True) -> dict[str, Document]:
    """Return the documents of some records under the same names."""
    folder = ORACLES / "geoip" / "elastic-head"
    geo = Geo(folder / "GeoLite2-City.mmdb", folder / "GeoLite2-ASN.mmdb")
    encode = CloudTrailEcs("default", geo, native=natively).encoder(ORIGIN)
    found = {}
    for name, record in records.items():
        document = encode(Record(orjson.dumps(record), 1))
        assert document is not None
        found[name] = document
    return found


@cache
def rows(over: str) -> dict[str, dict[str, Any]]:
    """Return the documents that queries run over, as rows."""
    some = {"all": all_records, "records.ndjson": sequences}.get(over, real_records)()
    return {name: piped_queries.row_of(orjson.loads(made.body)) for name, made in encoded(some).items()}


@pytest.mark.parametrize("natively", WAYS, ids=["native" if way else "python" for way in WAYS])
def test_maps_have_the_text_that_java_gives_them(natively):
    """Every text of the integration is ours, byte by byte."""
    expected = {entry["record"]: entry["expected"] for entry in verdicts("java-map-texts.ndjson")}
    records = all_records()
    made = encoded({name: records[name] for name in expected}, natively=natively)
    trails = {name: orjson.loads(document.body)["aws"]["cloudtrail"] for name, document in made.items()}
    assert {name: {field: trails[name].get(field) for field in texts} for name, texts in expected.items()} == expected


@pytest.mark.parametrize("query", PIPED, ids=lambda query: query["name"])
def test_esql_queries_have_the_same_rows_after_each_stage(query):
    """Rules and hunts, among them those that take two keys in a row out of a map's text."""
    stages = piped_queries.run(query["esql"], list(rows(query["over"]).values()))
    counts = dict(enumerate(query["rows_by_stage"])) | GROUPS.get(query["name"], {})
    assert [[name, len(some)] for name, some in stages] == list(counts.values())
    last = stages[-1][1]
    for expected in query.get("rows", []):
        assert any(all(row.get(name) == value for name, value in expected.items()) for row in last), expected


@pytest.mark.parametrize("rule", EQL, ids=lambda rule: rule["name"])
def test_eql_rules_match_exactly_these(rule):
    query, category = rule["query"], rule["event_category_field"]
    matched = [name for name, row in rows("all").items() if piped_queries.matches(query, row, category)]
    assert sorted(matched) == sorted(rule["must_match"])


@pytest.fixture(scope="module")
def index(elasticsearch_server):
    """All documents on a real server, with our templates; each one's id is its record's name."""
    namespace = uuid.uuid4().hex[:8]
    name = f"logs-aws.cloudtrail-{namespace}"
    sink = ElasticsearchSink("siem", [elasticsearch_server.url], namespace=namespace)
    sink.prepare()
    record = Record(b"{}", 0)
    documents = [Document(key, name, 0, made.body, record, ORIGIN) for key, made in encoded(all_records()).items()]
    sender = sink.open(split())
    for at in range(0, len(documents), 500):
        result = sender.send(documents[at : at + 500])
        assert result.rejected == ()
    sink.close()
    elasticsearch_server.request("POST", f"{name}/_refresh")
    return name


def hits(server: Any, index: str, query: dict[str, Any]) -> list[str]:
    body = {"query": query, "size": 10_000, "_source": False}
    return sorted(hit["_id"] for hit in server.request("POST", f"{index}/_search", body).body["hits"]["hits"])


def test_kql_rules_match_exactly_these_on_a_real_server(elasticsearch_server, index):
    wrong = {}
    for rule in RULES:
        if "dsl" in rule:
            found = hits(elasticsearch_server, index, rule["dsl"])
            expected = sorted(rule["must_match"]) if "must_match" in rule else rule["must_match_count"]
            if (found if "must_match" in rule else len(found)) != expected:
                wrong[rule["name"]] = (found, expected)
    assert wrong == {}


def test_sigma_rules_match_exactly_these_on_a_real_server(elasticsearch_server, index):
    wrong = {}
    for rule in SIGMA:
        found = hits(elasticsearch_server, index, {"query_string": {"query": rule["lucene"]}})
        if found != sorted(rule["must_match"]):
            wrong[rule["title"]] = (found, rule["must_match"])
    assert wrong == {}
