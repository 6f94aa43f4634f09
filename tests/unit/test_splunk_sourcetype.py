"""A sourcetype of the operator's choice, in place of the AWS add-on's."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shipper import config
from shipper.build import LOG_TYPES
from shipper.build.sinks import lanes, sinks
from shipper.metrics import Metrics
from shipper.model import Origin, Record
from shipper.ports import Lookups, Schema
from shipper.schemas.splunk.sourcetype import WithSourcetype
from shipper.schemas.splunk.vpc_flow import VpcFlowSplunk

NASTY = 'acme:"x"\\1'
RAW = b'{"eventID":"e","eventTime":"2026-01-01T00:00:00Z","sourcetype":"its own","a":"\\"sourcetype\\":\\"b\\""}'
ORIGIN = Origin('s3://b/a"sourcetype":"k', "b", 'a"sourcetype":"k')


def envelope(schema: Schema, record: Record) -> dict[str, Any]:
    document = schema.encoder(ORIGIN)(record)
    assert document
    found: dict[str, Any] = orjson.loads(document.body)
    return found


@pytest.mark.parametrize("host", ["", "h"])
def test_only_the_envelopes_sourcetype_is_another(host):
    """The event may have a key of that name, and the object's key may look like one."""
    schema = LOG_TYPES["cloudtrail"].splunk("i", host, Lookups())
    plain, chosen = (envelope(made, Record(RAW, 0)) for made in (schema, WithSourcetype(schema, NASTY)))
    assert plain["sourcetype"] == "aws:cloudtrail"
    assert chosen == plain | {"sourcetype": NASTY}


def test_flow_logs_too():
    """A text event, in an envelope that another function writes."""
    line = Record(b'2 123456789012 "sourcetype":"x"', 2, ("version", "account-id", "action"))
    schema = VpcFlowSplunk("i", "h", None, clock=lambda: 0.0)
    plain, chosen = (envelope(made, line) for made in (schema, WithSourcetype(schema, "acme:flow")))
    assert plain["sourcetype"] == "aws:cloudwatchlogs:vpcflow"
    assert chosen == plain | {"sourcetype": "acme:flow"}


def test_the_configuration_routes_a_log_type_to_its_index_and_sourcetype(tmp_path):
    """Two Splunk sinks with different routes get different documents."""
    path = tmp_path / "s.yaml"
    path.write_text(
        "sources: {t: {type: s3, bucket: abc}}\nsinks:\n"
        "  a: {type: splunk_hec, urls: ['https://s'], token: t, index: main, indexes: {cloudtrail: trail}}\n"
        "  b: {type: splunk_hec, urls: ['https://s'], token: t, sourcetypes: {cloudtrail: 'acme:trail'}}\n"
    )
    path.chmod(0o600)
    settings = config.load(path)
    found: dict[str, dict[str, Any]] = {}
    for lane in lanes(settings, "t", sinks(settings, Metrics()), Lookups()):
        found |= {sink.name: envelope(lane.schemas["cloudtrail"], Record(RAW, 0)) for sink in lane.sinks}
    assert (found["a"]["index"], found["a"]["sourcetype"]) == ("trail", "aws:cloudtrail")
    assert "index" not in found["b"]
    assert found["b"]["sourcetype"] == "acme:trail"
