"""Whose addresses are: private ones, AWS's own, services by name; and the file of AWS's ranges while it is replaced."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from shipper import build, config
from shipper.commands.check import _enrich_files
from shipper.config import Enrich, Settings
from shipper.config.values import Surroundings
from shipper.enrich.aws_addresses import AwsAddresses
from shipper.enrich.geo import Geo
from shipper.enrich.prefixes import Prefixes, reach, read_address
from shipper.errors import ConfigError
from shipper.flow_layouts import V2, V10
from shipper.metrics import Metrics
from shipper.model import AddressFacts, Origin, Record
from shipper.ports import Stop
from shipper.schemas.ecs.cloudtrail import CloudTrailEcs
from shipper.schemas.ecs.vpc_flow import VpcFlowEcs
from shipper.schemas.splunk.cloudtrail import CloudTrailSplunk
from shipper.schemas.splunk.vpc_flow import VpcFlowSplunk
from tests.unit.test_geo import NESTED, write

RANGES = {
    "syncToken": "1767614400",
    "createDate": "2026-01-05-12-00-00",
    "prefixes": [
        {"ip_prefix": "52.94.0.0/16", "region": "us-east-1", "service": "AMAZON", "network_border_group": "us-east-1"},
        {
            "ip_prefix": "52.94.8.0/24",
            "region": "us-west-2",
            "service": "DYNAMODB",
            "network_border_group": "us-west-2",
        },
        {"ip_prefix": "52.94.9.0/24", "region": "eu-west-1", "service": "S3", "network_border_group": "eu-west-1"},
        {"ip_prefix": "52.94.9.0/24", "region": "eu-west-1", "service": "EC2", "network_border_group": "eu-west-1"},
        {"ip_prefix": "13.32.0.0/15", "region": "GLOBAL", "service": "CLOUDFRONT", "network_border_group": "GLOBAL"},
    ],
    "ipv6_prefixes": [
        {
            "ipv6_prefix": "2600:1f14::/35",
            "region": "us-west-2",
            "service": "EC2",
            "network_border_group": "us-west-2",
        }
    ],
}
DYNAMODB = {"provider": "aws", "region": "us-west-2", "service": {"name": "dynamodb"}}
CALL = {"eventTime": "2026-01-05T12:00:01Z", "eventID": "1", "eventName": "Get", "eventSource": "kms.amazonaws.com"}


@pytest.fixture
def ranges(tmp_path: Path) -> Path:
    path = tmp_path / "ip-ranges.json"
    path.write_text(json.dumps(RANGES))
    return path


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.1.2.3", "private"),
        ("172.31.255.255", "private"),
        ("172.32.0.0", "public"),
        ("100.64.0.1", "private"),
        ("100.128.0.1", "public"),
        ("169.254.169.254", "private"),
        ("127.0.0.1", "private"),
        ("fd12::1", "private"),
        ("fe80::1", "private"),
        ("fe80::1%eth0", "private"),
        ("::1", "private"),
        ("::ffff:10.0.0.1", "private"),
        ("64:ff9b::10.0.0.1", "private"),
        ("64:ff9b::8.8.8.8", "public"),
        ("224.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("0.0.0.0", "reserved"),
        ("198.19.0.1", "reserved"),
        ("ff02::1", "reserved"),
        ("8.8.8.8", "public"),
        ("203.0.113.9", "public"),
        ("2600:1f14::1", "public"),
    ],
)
def test_where_an_address_means_something(address, expected):
    """By IANA's registries, IPv4 inside IPv6 as the IPv4 address that it stands for."""
    found = read_address(address)
    assert found is not None
    assert reach(found) == expected


@pytest.mark.parametrize("text", ["", "kms.amazonaws.com", "10.0.0", "1" * 5_000, "10.0.0.0/8", "AWS Internal"])
def test_other_texts_are_no_addresses(text):
    """Whatever stands in an address's place, nothing is raised."""
    assert read_address(text) is None


def test_the_smallest_network_comes_first():
    """Overlapping networks of both kinds of address are all found, and the others not."""
    networks = Prefixes([("10.0.0.0/8", "a"), ("10.1.0.0/16", "b"), ("10.1.1.1/32", "c"), ("::/0", "six")])
    found = {text: networks.find(ip_address(text)) for text in ("10.1.1.1", "10.2.0.0", "1.1.1.1")}
    assert found == {"10.1.1.1": ["c", "b", "a"], "10.2.0.0": ["a"], "1.1.1.1": []}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("52.94.8.1", AddressFacts(DYNAMODB, internal=False)),
        (
            "52.94.9.1",
            AddressFacts(
                {"provider": "aws", "region": "eu-west-1", "service": {"name": ["ec2", "s3"]}}, internal=False
            ),
        ),
        (
            "52.94.1.1",
            AddressFacts({"provider": "aws", "region": "us-east-1", "service": {"name": "amazon"}}, internal=False),
        ),
        ("13.33.1.1", AddressFacts({"provider": "aws", "service": {"name": "cloudfront"}}, internal=False)),
        (
            "2600:1f14::7",
            AddressFacts({"provider": "aws", "region": "us-west-2", "service": {"name": "ec2"}}, internal=False),
        ),
        ("8.8.8.8", AddressFacts(None, internal=False)),
        ("10.0.0.1", AddressFacts(None, internal=True)),
        ("198.51.100.7", AddressFacts(None, internal=True)),
        (
            "169.254.169.254",
            AddressFacts({"provider": "aws", "service": {"name": "ec2-instance-metadata"}}, internal=True),
        ),
        (
            "cloudtrail.amazonaws.com",
            AddressFacts({"provider": "aws", "service": {"name": "cloudtrail"}}, internal=False),
        ),
        (
            "s3.cn-north-1.amazonaws.com.cn",
            AddressFacts({"provider": "aws", "service": {"name": "s3"}}, internal=False),
        ),
        ("AWS Internal", AddressFacts({"provider": "aws"}, internal=False)),
        ("amazonaws.com", None),
        ("evil.amazonaws.com.example.com", None),
        ("kms.amazonaws.com\n", None),
    ],
)
def test_whose_an_address_is(ranges, address, expected):
    """By the smallest range of AWS, by name, or by one's own networks."""
    assert AwsAddresses(ranges, ["198.51.100.0/24"])(address) == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not AWS's"),
        ("{}", "prefixes"),
        ('{"prefixes": []}', "no ranges"),
        ('{"prefixes": [{"ip_prefix": "1.2.3.4/8", "region": "r", "service": "S3"}]}', "host bits"),
        ('{"prefixes": [{"region": "r", "service": "S3"}]}', "not AWS's"),
        ("[" * 100_000, "not AWS's"),
    ],
)
def test_a_broken_file_is_refused_at_the_start(tmp_path, content, words):
    """A mistake in the configuration is told at once, and by check; so is a file that is not there."""
    path = tmp_path / "ranges.json"
    with pytest.raises(ConfigError, match="No such file"):
        AwsAddresses(path)
    path.write_text(content)
    with pytest.raises(ConfigError, match=words):
        AwsAddresses(path)
    enrich = Enrich.model_validate({"addresses": {"aws_ip_ranges": path}})
    (problem,) = _enrich_files(Settings.model_construct(sources={}, sinks={}, enrich=enrich))
    assert problem.serious
    assert "ip-ranges.json" in problem.hint


def test_a_replaced_file_is_used_and_a_broken_one_is_not(ranges, capsys):
    """The new one is taken whole; a broken one keeps the old, counts, and is said once."""
    told = list[bool]()
    addresses = AwsAddresses(ranges, look_seconds=0.0, told=told.append)
    before = addresses("52.94.8.1")
    ranges.write_text('{"prefixes": [')
    assert [addresses("52.94.8.1"), addresses("52.94.8.1")] == [before, before]
    ranges.write_text('{"prefixes": [{"ip_prefix": "52.94.8.0/24", "region": "GLOBAL", "service": "NEW"}]}')
    after = addresses("52.94.8.1")
    assert after is not None
    assert after.cloud == {"provider": "aws", "service": {"name": "new"}}
    assert told == [False, True]
    captured = capsys.readouterr()
    assert (captured.out + captured.err).count("the old ones stay in use") == 1


def test_geography_is_not_looked_up_where_there_is_none(tmp_path):
    """Private addresses are asked for only where a database has one's own networks."""
    entry = {**NESTED, "city": {"names": {"en": "Our office"}}}
    write(tmp_path / "city.mmdb", entry, networks=["10.0.0.0/8", "100.64.0.0/10", "fd00::/8"])
    public, own = Geo(tmp_path / "city.mmdb", None), Geo(tmp_path / "city.mmdb", None, private=True)
    for address in ("10.0.0.1", "100.64.0.1", "fd00::1", "::ffff:10.0.0.1"):
        assert public(address) is None
        found = own(address)
        assert found is not None
        assert found["geo"]["city_name"] == "Our office"


def call(schema: CloudTrailEcs | CloudTrailSplunk, address: str) -> dict[str, Any]:
    sent = Record(json.dumps({**CALL, "sourceIPAddress": address}).encode(), 0)
    document = schema.encoder(Origin("s3://a/b", "a", "b"))(sent)
    assert document is not None
    found: dict[str, Any] = json.loads(document.body)
    return found


def test_cloudtrail_says_whose_the_source_is(ranges):
    """cloud.origin where it is AWS's; nothing is added elsewhere, or without the section."""
    addresses = AwsAddresses(ranges)
    ecs, splunk = CloudTrailEcs("d", None, addresses=addresses), CloudTrailSplunk("", "", None, addresses=addresses)
    assert call(ecs, "52.94.8.1")["cloud"]["origin"] == DYNAMODB
    assert call(ecs, "52.94.8.1")["cloud"]["service"] == {"name": "kms"}
    service = call(ecs, "cloudtrail.amazonaws.com")
    assert service["cloud"]["origin"] == {"provider": "aws", "service": {"name": "cloudtrail"}}
    assert service["source"] == {"address": "cloudtrail.amazonaws.com"}
    assert "origin" not in call(ecs, "8.8.8.8")["cloud"]
    assert "origin" not in call(CloudTrailEcs("d", None), "52.94.8.1")["cloud"]
    fields = call(splunk, "52.94.8.1")["fields"]
    named = {"src_cloud_provider": "aws", "src_cloud_region": "us-west-2", "src_cloud_service": "dynamodb"}
    assert fields == {"event_uid": fields["event_uid"], **named}
    assert set(call(splunk, "8.8.8.8")["fields"]) == {"event_uid"}


def flow(
    addresses: AwsAddresses | None, source: str, destination: str, *, layout: tuple[str, ...] = V2
) -> tuple[dict[str, Any], dict[str, Any]]:
    values = {"version": "2", "srcaddr": source, "dstaddr": destination, "flow-direction": "egress", "protocol": "6"}
    numbers = dict.fromkeys(("srcport", "dstport", "packets", "bytes", "start", "end"), "1772366765")
    values = {**numbers, "srcport": "1", "dstport": "2", "action": "ACCEPT", **values}
    line = Record(" ".join(values.get(name, "-") for name in layout).encode(), 0, layout)
    origin = Origin("s3://a/b", "a", "b")
    ecs = VpcFlowEcs("d", None, addresses=addresses).encoder(origin)(line)
    splunk = VpcFlowSplunk("", "", None, addresses=addresses).encoder(origin)(line)
    assert ecs is not None
    assert splunk is not None
    return json.loads(ecs.body), json.loads(splunk.body)["fields"]


@pytest.mark.parametrize(
    ("source", "destination", "direction"),
    [
        ("10.0.0.1", "52.94.8.1", "outbound"),
        ("8.8.8.8", "10.0.0.1", "inbound"),
        ("10.0.0.1", "10.0.0.2", "internal"),
        ("8.8.8.8", "52.94.8.1", "external"),
        ("10.0.0.1", "224.0.0.1", "internal"),
        ("2600:1f14::1", "2600:1f14::2", "internal"),
    ],
)
def test_flow_logs_have_a_direction(ranges, source, destination, direction):
    """From one's own networks out, or into them, where AWS does not say how the interface saw it."""
    addresses = AwsAddresses(ranges, ["2600:1f14::/56"])
    ecs, splunk = flow(addresses, source, destination)
    assert ecs["network"]["direction"] == direction
    assert splunk["network_direction"] == direction
    ecs, splunk = flow(addresses, source, destination, layout=V10)
    assert ecs["network"]["direction"] == "egress"
    assert "network_direction" not in splunk
    ecs, splunk = flow(None, source, destination)
    assert "direction" not in ecs["network"]
    assert set(splunk) == {"event_uid"}


def test_flow_logs_say_whose_both_ends_are(ranges):
    """cloud.origin of the source and cloud.target of the destination, beside the cloud of the interface itself."""
    ecs, splunk = flow(AwsAddresses(ranges), "13.33.0.1", "52.94.8.1")
    assert ecs["cloud"]["origin"] == {"provider": "aws", "service": {"name": "cloudfront"}}
    assert ecs["cloud"]["target"] == DYNAMODB
    assert ecs["cloud"]["provider"] == "aws"
    assert splunk["src_cloud_service"] == "cloudfront"
    assert splunk["dest_cloud_service"] == "dynamodb"
    assert splunk["dest_cloud_region"] == "us-west-2"
    ecs, _ = flow(AwsAddresses(ranges), "10.0.0.1", "8.8.8.8")
    assert not {"origin", "target"} & ecs["cloud"].keys()


def test_the_configuration_turns_it_on(ranges):
    """The section alone is enough; networks that are none are named with their place."""
    text = "sources: {t: {type: s3, bucket: abc}}\nsinks: {a: {type: archive, path: a}}\n"
    around = Surroundings(folder=ranges.parent)
    section = "enrich: {addresses: {aws_ip_ranges: ip-ranges.json, own_networks: [198.51.100.0/24]}}\n"
    metrics = Metrics()
    lookup = build.lookups(config.parse(text + section, name="f", environ={}, around=around), metrics, Stop()).addresses
    assert lookup is not None
    assert lookup("52.94.8.1") == AddressFacts(DYNAMODB, internal=False)
    assert build.lookups(config.parse(text, name="f", environ={}, around=around)).addresses is None
    with pytest.raises(ConfigError, match="must be a network such as"):
        config.parse(text + section.replace("198.51.100.0/24", "10.0.0.1/8"), name="f", environ={}, around=around)
