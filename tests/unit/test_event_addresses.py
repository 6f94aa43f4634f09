"""Addresses, names and agents of every log type but CloudTrail and flow logs: each is looked up, for both schemas."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shipper.build import LOG_TYPES
from shipper.enrich.indicator_files import Source
from shipper.enrich.indicators import Indicators
from shipper.model import AddressFacts, LogEvent, LogStream, Origin, Record
from shipper.ports import Lookups
from tests.unit.test_access_logs import APPLICATION, CONNECTION, REFUSED
from tests.unit.test_log_event_types import ACCESS, AUDIT, POD, POSTGRES, PUBLIC, RESOLVER
from tests.unit.test_waf import BLOCKED

ORIGIN = Origin("s3://b/k", "b", "k", "111122223333", "eu-west-1")
AUTHENTICATED = 'time="2026-01-02T03:04:05Z" level=info msg="access granted" client="198.51.100.9:4242" username=ann'


def place(address: str) -> dict[str, Any] | None:
    """A country for each address, none for private ones."""
    if address.startswith("10."):
        return None
    return {"geo": {"country_name": f"land of {address}"}, "as": {"number": 64500}}


def whose(address: str) -> AddressFacts | None:
    return (
        AddressFacts({"provider": "aws", "region": "eu-west-1"}, internal=False) if address == "203.0.113.9" else None
    )


def both(name: str, message: str | dict[str, Any], lookups: Lookups, group: str = "g") -> tuple[dict[str, Any], Any]:
    """The ECS document and Splunk's indexed fields of a log event."""
    text = message if isinstance(message, str) else json.dumps(message)
    event = LogEvent("3" * 56, 1_767_323_045_678, LogStream("111122223333", "eu-west-1", group, "s"), None)
    record = Record(text.encode(), 1, None, event)
    schemas = (LOG_TYPES[name].ecs("default", lookups), LOG_TYPES[name].splunk("", "", lookups))
    document, envelope = (schema.encoder(ORIGIN)(record) for schema in schemas)
    assert document is not None
    assert envelope is not None
    said = json.loads(envelope.body)
    assert said["event"] == text
    return json.loads(document.body), said["fields"]


@pytest.mark.parametrize(
    ("name", "message", "side", "address"),
    [
        ("route53_public", PUBLIC, "source", "2001:db8::1"),
        ("apigateway", ACCESS, "source", "203.0.113.7"),
        ("rds", f"{POSTGRES}LOG:  connection received", "source", "203.0.113.7"),
        ("eks", AUDIT, "source", "203.0.113.7"),
        ("eks", AUTHENTICATED, "source", "198.51.100.9"),
        ("elb", APPLICATION, "source", "203.0.113.7"),
        ("elb", CONNECTION, "client", "203.0.113.7"),
        ("s3access", REFUSED, "client", "203.0.113.7"),
        ("waf", BLOCKED, "source", "203.0.113.7"),
    ],
)
def test_who_asked(name, message, side, address):
    """Country and network of the address, in each schema's own place."""
    group = "/aws/rds/instance/d/postgresql" if name == "rds" else "g"
    document, fields = both(name, message, Lookups(geo=place), group)
    assert document[side]["ip"] == address
    assert document[side]["geo"]["country_name"] == fields["src_country"] == f"land of {address}"
    assert document[side]["as"]["number"] == fields["src_asn"] == 64500


def test_what_a_name_led_to():
    """Answers are no end of the query's traffic: their geography and owner stand apart."""
    document, fields = both("route53_resolver", RESOLVER, Lookups(geo=place, addresses=whose))
    assert "geo" not in document["source"]
    assert document["aws"]["addresses"] == [
        {
            "ip": "203.0.113.9",
            "geo": {"country_name": "land of 203.0.113.9"},
            "as": {"number": 64500},
            "cloud": {"provider": "aws", "region": "eu-west-1"},
        }
    ]
    assert fields["related_country"] == ["land of 203.0.113.9"]
    assert fields["related_cloud_region"] == ["eu-west-1"]
    assert "src_country" not in fields


def test_addresses_on_the_way():
    """Proxies of a call to Kubernetes, the network that a resolver asks for, pods that are public."""
    proxied = {**AUDIT, "sourceIPs": ["203.0.113.7", "198.51.100.1", "198.51.100.2", "10.0.0.1", "198.51.100.1"]}
    document, fields = both("eks", proxied, Lookups(geo=place))
    assert [each["ip"] for each in document["aws"]["addresses"]] == ["198.51.100.1", "198.51.100.2"]
    assert fields["related_country"] == ["land of 198.51.100.1", "land of 198.51.100.2"]
    assert fields["related_asn"] == [64500]
    document, _ = both("route53_public", PUBLIC, Lookups(geo=place))
    assert [each["ip"] for each in document["aws"]["addresses"]] == ["203.0.113.0"]
    pod = {**POD, "kubernetes": {**POD["kubernetes"], "pod_ip": "2001:db8::9"}}  # type: ignore[dict-item]
    document, fields = both("containers", pod, Lookups(geo=place))
    assert [each["ip"] for each in document["aws"]["addresses"]] == ["2001:db8::9"]
    assert fields["related_country"] == ["land of 2001:db8::9"]


def test_what_lists_call_bad(tmp_path):
    """Names asked for, names and addresses answered, callers behind proxies, user agents: once each."""
    path, agents = tmp_path / "bad.txt", tmp_path / "agents.txt"
    path.write_text("198.51.100.0/24\nweb.example.net\nexample.com\n")
    agents.write_text("kubectl/*\n")
    lookups = Lookups(indicators=Indicators([Source(path, "soc"), Source(agents, "soc", "user_agent")]))
    document, fields = both("route53_resolver", RESOLVER, lookups)
    matched = {each["matched"]["field"]: each["matched"]["atomic"] for each in document["threat"]["enrichments"]}
    assert matched == {"dns.question.name": "www.example.com", "related.hosts": "web.example.net"}
    assert (fields["query_threat_indicator"], fields["related_threat_indicator"]) == (
        "example.com",
        ["web.example.net"],
    )
    document, fields = both("eks", {**AUDIT, "sourceIPs": ["203.0.113.7", "198.51.100.1"]}, lookups)
    matched = {each["matched"]["field"]: each["matched"]["atomic"] for each in document["threat"]["enrichments"]}
    assert matched == {"related.ip": "198.51.100.1", "user_agent.original": "kubectl/v1.30"}
    assert fields["related_threat_indicator"] == ["198.51.100.0/24"]
    assert fields["user_agent_threat_indicator"] == "kubectl/*"
    document, fields = both("eks", {**AUDIT, "sourceIPs": ["198.51.100.1"]}, lookups)
    assert [each["matched"]["field"] for each in document["threat"]["enrichments"]] == [
        "source.ip",
        "user_agent.original",
    ]
    assert fields["src_threat_type"] == "ipv4-addr"


@pytest.mark.parametrize("name", sorted(name for name, of in LOG_TYPES.items() if of.dataset))
@pytest.mark.parametrize(
    "message", ["", "{}", '{"httpRequest": 7, "answers": [7], "sourceIPs": {"a": 1}}', "\udcff", "-"]
)
def test_nothing_in_a_message_stops_it(name, message):
    """What Splunk gets is never refused for what a message says; lines that ECS cannot have go without fields."""
    record = Record(message.encode("utf-8", "replace"), 1)
    if name not in {"cloudtrail", "vpcflow"}:
        schema = LOG_TYPES[name].splunk("", "", Lookups(geo=place, addresses=whose))
        document = schema.encoder(ORIGIN)(record)
        assert document is not None
        assert set(json.loads(document.body)["fields"]) <= {"event_uid", "shipper_tags"}


def test_nothing_is_read_where_nothing_is_asked():
    """Without look-ups a message is not taken apart for Splunk."""
    _, fields = both("waf", BLOCKED, Lookups())
    assert set(fields) == {"event_uid"}
