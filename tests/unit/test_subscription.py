"""Subscription filters' envelopes: each event as its own type, under the id that it has on every other way."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from shipper import config
from shipper.build import LOG_TYPES
from shipper.build.sinks import lanes, sinks
from shipper.metrics import Metrics
from shipper.model import (
    Document,
    LogEvent,
    LogStream,
    Origin,
    Payload,
    ReadLimits,
    Record,
    Rejected,
    S3Object,
    S3Split,
)
from shipper.ports import Lookups
from shipper.sources.s3_keys import account_and_region
from shipper.sources.s3_objects import S3Reader

TIME = 1_767_323_045_678
ACCOUNT = "123456789012"
FLOW = f"2 {ACCOUNT} eni-1 203.0.113.7 10.0.0.5 51000 22 6 10 840 1767323000 1767323040 REJECT OK"
PUBLIC = "1.0 2026-01-02T03:04:06.130Z Z123412341234 example.com AAAA NXDOMAIN UDP FRA6 2001:db8::1 -"
TRAIL = {
    "eventVersion": "1.11",
    "userIdentity": {"type": "IAMUser", "accountId": ACCOUNT, "userName": "ann"},
    "eventTime": "2026-01-02T03:04:05Z",
    "eventSource": "s3.amazonaws.com",
    "eventName": "GetObject",
    "awsRegion": "us-east-1",
    "sourceIPAddress": "203.0.113.7",
    "userAgent": "aws-cli/2",
    "requestParameters": {"bucketName": "b", "key": 'a }{"messageType" key'},
    "responseElements": None,
    "requestID": "r",
    "eventID": "8f507cfc-0001-4697-b07a-ac58fc914c95",
    "recipientAccountId": ACCOUNT,
}
TRAIL_TEXT = json.dumps(TRAIL, separators=(",", ":"))


def envelope(group: str, *messages: str, docs_order: bool = False) -> bytes:
    events = [{"id": f"{n:056}", "timestamp": TIME + n, "message": message} for n, message in enumerate(messages)]
    head = {"messageType": "DATA_MESSAGE"}
    rest = {"owner": ACCOUNT, "logGroup": group, "logStream": "s", "subscriptionFilters": ["all"]}
    parts = {**rest, **head} if docs_order else {**head, **rest}
    return json.dumps({**parts, "logEvents": events}, separators=(",", ":")).encode()


def documents(data: bytes, name: str, target: str = "ecs", region: str = "") -> list[Document]:
    chosen = LOG_TYPES[name]
    schema = chosen.ecs("default", Lookups()) if target == "ecs" else chosen.splunk("", "", Lookups())
    origin = Origin("s3://b/k", "b", "k", region=region)
    encode = schema.encoder(origin)
    made = []
    for record in chosen.format(ReadLimits()).records(Payload(origin, iter([data]))):
        assert isinstance(record, Record), record
        document = encode(record)
        assert document is not None
        made.append(document)
    return made


def body(document: Document) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(document.body)
    return found


@pytest.mark.parametrize("target", ["ecs", "splunk"])
@pytest.mark.parametrize("name", ["cloudtrail", "subscription"])
@pytest.mark.parametrize("docs_order", [False, True])
def test_cloudtrail_in_an_envelope_is_the_document_of_its_copy_in_s3(name, target, docs_order):
    """Id, time and every field but the places are the same as in CloudTrail's own object, and as read directly."""
    (copy,) = documents(b'{"Records":[%b]}' % TRAIL_TEXT.encode(), "cloudtrail", target)
    wrapped = gzip.compress(envelope("aws-cloudtrail-logs-1", TRAIL_TEXT, docs_order=docs_order))
    (found,) = documents(wrapped, name, target)
    assert (found.id, found.time_ms, found.index) == (copy.id, copy.time_ms, copy.index)
    assert body(found) == body(copy)
    chosen = LOG_TYPES["cloudtrail"]
    schema = chosen.ecs("default", Lookups()) if target == "ecs" else chosen.splunk("", "", Lookups())
    event = LogEvent("0" * 56, TIME, LogStream(ACCOUNT, "us-east-1", "trail", "s"), TIME)
    direct = schema.encoder(Origin("arn"))(Record(TRAIL_TEXT.encode(), 7, None, event))
    assert direct is not None
    assert (direct.id, direct.time_ms, direct.index) == (copy.id, copy.time_ms, copy.index)


@pytest.mark.parametrize(
    "joined",
    [
        lambda parts: b"".join(map(gzip.compress, parts)),
        lambda parts: b"\n".join(map(gzip.compress, parts)) + b"\n",
        lambda parts: gzip.compress(b"".join(map(gzip.compress, parts))),
        lambda parts: gzip.compress(b"".join(parts)),
        b"\n".join,
    ],
    ids=["members", "members and line ends", "gzip in gzip", "one member", "lines"],
)
def test_every_event_of_an_object_gets_its_own_type(joined):
    """As Firehose may write them: concatenated, with its line ends, with its own compression around theirs."""
    trail, queries = "CloudTrail/DefaultLogGroup", "/aws/route53/example.com"
    parts = [envelope(trail, TRAIL_TEXT, "no trail"), envelope(queries, PUBLIC), envelope("/aws/lambda/x", "text")]
    found = documents(joined(parts), "subscription")
    assert [document.index.split("-")[1] for document in found] == [
        "aws.cloudtrail",
        "aws.cloudwatch_logs",
        "aws.route53_public_logs",
        "aws.cloudwatch_logs",
    ]
    kinds = [body(document)["sourcetype"] for document in documents(joined(parts), "subscription", "splunk")]
    assert kinds == ["aws:cloudtrail", *["aws:cloudwatchlogs"] * 3]


def test_flow_logs_in_envelopes_may_have_a_format_of_their_own():
    """`format` names the fields of lines that no documented layout tells."""
    chosen = LOG_TYPES["vpcflow"]
    assert chosen.laid_out is not None
    format_ = chosen.laid_out(ReadLimits(), ("srcaddr", "dstaddr", "action"))
    payload = Payload(Origin("s3://b/k"), iter([gzip.compress(envelope("net", "10.0.0.1 10.0.0.2 ACCEPT"))]))
    (record,) = format_.records(payload)
    assert not isinstance(record, Rejected)
    document = chosen.ecs("default", Lookups()).encoder(payload.origin)(record)
    assert document is not None
    assert body(document)["source"]["ip"] == "10.0.0.1"


def test_the_region_is_said_by_the_source_and_is_no_part_of_the_id():
    """With and without it the same documents, one of which says more."""
    (bare,), (told,) = (
        documents(envelope("/aws/lambda/x", "text"), "subscription", region=r) for r in ("", "eu-west-1")
    )
    assert bare.id == told.id
    assert body(told)["cloud"]["region"] == "eu-west-1"
    assert "region" not in body(bare)["cloud"]
    (splunk,) = documents(envelope("/aws/lambda/x", "text"), "subscription", "splunk", "eu-west-1")
    assert body(splunk)["source"] == "eu-west-1:/aws/lambda/x:s"


def test_a_source_says_the_region_where_keys_do_not(tmp_path):
    """AWS's own key layouts count for more; a VPC's id in a key is no region."""
    data = {"get_object": lambda **asked: {"ContentLength": 1, "ETag": '"e"', "Body": io.BytesIO(b"x")}}
    reader = S3Reader(SimpleNamespace(**data), logs_region="eu-west-1")
    keys = ["2026/01/02/03/firehose-1", "AWSLogs/123456789012/CloudTrail/us-east-2/2026/01/02/x.json.gz"]
    items = tuple(S3Object("b", key, 1, "e", 0.0) for key in keys)
    split = S3Split("i", "s", "scope", "subscription", items)
    regions = [payload.origin.region for payload in reader.open(split) if isinstance(payload, Payload)]
    reader.close()
    assert regions == ["eu-west-1", "us-east-2"]
    assert account_and_region("AWSLogs/123456789012/vpcdnsquerylogs/vpc-0a1/2026/01/02/x.log.gz") == (ACCOUNT, "")


CONFIG = """
sources:
  s: {type: s3, bucket: logs, logs: subscription, logs_region: eu-west-1, filter: 'drop action == "REJECT"',
      log_group_types: {"net-*": vpcflow, trail: cloudtrail}}
sinks:
  hec: {type: splunk_hec, urls: ["https://localhost:8088"], token: t, indexes: {vpcflow: net},
        sourcetypes: {cloudtrail: my:trail}}
"""


def test_filters_indexes_and_sourcetypes_are_those_of_each_events_type(tmp_path: Path):
    """A rule sees flow log fields of flow logs and JSON fields of records; plain lines it cannot read are kept."""
    file = tmp_path / "shipper.yaml"
    file.write_text(CONFIG)
    file.chmod(0o600)
    settings = config.load(file, secrets=False)
    all_sinks = sinks(settings, Metrics())
    (lane,) = lanes(settings, "s", all_sinks, Lookups())
    encode = lane.schemas["subscription"].encoder(Origin("s3://b/k"))
    flow, trail = envelope("net-1", FLOW, FLOW.replace("REJECT", "ACCEPT")), envelope("trail", TRAIL_TEXT, "text")
    payload = Payload(Origin("s3://b/k"), iter([flow + trail]))
    records = LOG_TYPES["subscription"].format(ReadLimits()).records(payload)
    made = [encode(record) for record in records if isinstance(record, Record)]
    assert made[0] is None
    assert [(body(one)["sourcetype"], body(one).get("index")) for one in made[1:] if one] == [
        ("aws:cloudwatchlogs:vpcflow", "net"),
        ("my:trail", None),
        ("aws:cloudwatchlogs", None),
    ]
    for sink in all_sinks.values():
        sink.close()
