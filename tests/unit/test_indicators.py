"""Lists of indicators: what they name is found, in little memory; replaced lists are used, and broken ones are not."""

from __future__ import annotations

import ipaddress
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper import build, config
from shipper.config.values import Surroundings
from shipper.enrich.indicator_files import Source
from shipper.enrich.indicator_stix import confidence_word, pattern_values
from shipper.enrich.indicators import Indicators
from shipper.errors import ConfigError
from shipper.flow_layouts import V2
from shipper.metrics import Metrics
from shipper.model import Indicator, Origin, Record
from shipper.ports import Lookups, Schema, Stop
from shipper.schemas.ecs.cloudtrail import CloudTrailEcs
from shipper.schemas.ecs.vpc_flow import VpcFlowEcs
from shipper.schemas.splunk.cloudtrail import CloudTrailSplunk
from shipper.schemas.splunk.vpc_flow import VpcFlowSplunk

ORIGIN = Origin("s3://b/k", "b", "k")
LAYOUT = (*V2, "pkt-srcaddr")


def lists(tmp_path: Path, text: str, name: str = "bad.txt", **more: Any) -> Indicators:
    path = tmp_path / name
    path.write_text(text)
    return Indicators([Source(path, "soc", **more)], look_seconds=0.0)


def value(found: Indicator | None) -> str | None:
    return None if found is None else found.value


def test_plain_lists_of_addresses_networks_and_domains(tmp_path):
    """One a line, with comments, as hosts files and analysts write them; the smallest network counts."""
    text = (
        "# a feed\n203.0.113.9\n203.0.113.0/24 ; a network\n203.0.0.0/16\n2001:db8::1\n2001:db8:7::/48\n"
        "2001:db8:7::/64\nevil.example.com\n*.worse.example\n0.0.0.0 hosts.example\n198.51.100[.]7\n"
        "http://x.example/path\n192.0.2.1:443\n"
    )
    found = lists(tmp_path, text)
    assert [value(found.address(a)) for a in ("203.0.113.9", "203.0.113.10", "203.0.7.7", "203.1.0.0", "x")] == [
        "203.0.113.9",
        "203.0.113.0/24",
        "203.0.0.0/16",
        None,
        None,
    ]
    assert value(found.address("::ffff:203.0.113.9")) == "::ffff:203.0.113.9"
    assert value(found.address("2001:0db8:0::1")) == "2001:0db8:0::1"
    assert value(found.address("2001:db8:7::9")) == "2001:db8:7::/64"
    assert value(found.address("2001:db8:7:1::9")) == "2001:db8:7::/48"
    assert value(found.address("2001:db8:8::9")) is None
    assert value(found.address("198.51.100.7")) == "198.51.100.7"
    assert value(found.address("192.0.2.1")) == "192.0.2.1"
    assert value(found.domain("a.b.Evil.example.com.")) == "evil.example.com"
    assert value(found.domain("worse.example")) == "worse.example"
    assert value(found.domain("hosts.example")) == "hosts.example"
    assert [value(found.domain(name)) for name in ("notevil.example.com", "example.com", "com", "", ".")] == [None] * 5
    assert found.address("203.0.113.9") == Indicator("ipv4-addr", "203.0.113.9", "soc")
    (state,) = found.describe()
    assert (state.found, state.skipped) == (11, 1)


def test_csv_with_types_and_details(tmp_path):
    """Columns by their usual names, whatever their order; what is of other kinds is counted."""
    text = (
        '# comment\n"ioc_type","ioc_value","malware","confidence_level"\n'
        '"ip:port","203.0.113.9:443","Cobalt Strike","75"\n"domain","c2.example","Qakbot",""\n'
        '"user-agent","BadBot/1.0","",""\n"sha256_hash","00ff","x","1"\n'
    )
    found = lists(tmp_path, text, "feed.csv")
    hit = found.address("203.0.113.9")
    assert hit == Indicator("ipv4-addr", "203.0.113.9", "soc", description="Cobalt Strike", confidence="75")
    assert found.domain("x.c2.example") == Indicator("domain-name", "c2.example", "soc", description="Qakbot")
    assert found.agent("badbot/1.0") == Indicator("software", "badbot/1.0", "soc")
    assert found.describe()[0].skipped == 1
    own = lists(tmp_path, "when,where\n1,203.0.113.1\n", "own.csv", column="where")
    assert own.address("203.0.113.1") is not None


def test_user_agents_whole_and_with_wildcards(tmp_path):
    """Upper and lower case are the same; only `*` has a meaning."""
    found = lists(tmp_path, "sqlmap*\n*[Pacu]*\nMozilla/4.0 (compatible; Bad)\n", kind="user_agent")
    agents = ("sqlmap/1.7", "aws-cli [PACU] x", "mozilla/4.0 (compatible; bad)", "p", "Boto3/1.34")
    assert [bool(found.agent(agent)) for agent in agents] == [True, True, True, False, False]
    assert value(found.agent("SQLmap/1.7")) == "sqlmap*"


def bundle(*objects: dict[str, Any]) -> str:
    return json.dumps({"type": "bundle", "id": "bundle--1", "objects": list(objects)})


def indicator(pattern: str, **more: Any) -> dict[str, Any]:
    return {"type": "indicator", "spec_version": "2.1", "id": "indicator--7", "pattern": pattern, **more}


def test_stix_bundles(tmp_path):
    """Indicators in force, with what the bundle says of them."""
    text = bundle(
        {"type": "identity", "id": "identity--1", "name": "somebody"},
        indicator("[ipv4-addr:value = '203.0.113.9']", pattern_type="stix", description="C2", confidence=80),
        indicator("[ipv4-addr:value = '203.0.113.10']", revoked=True),
        indicator("[ipv4-addr:value = '203.0.113.11']", valid_until="2020-01-01T00:00:00Z"),
        indicator("[domain-name:value = 'c2.example'] OR [ipv6-addr:value ISSUBSET '2001:db8::/32']", name="pair"),
        indicator("[ipv4-addr:value = '203.0.113.12' AND domain-name:value = 'x.example']"),
        indicator("alert tcp any", pattern_type="snort"),
    )
    found = lists(tmp_path, text, "otx.json")
    assert found.address("203.0.113.9") == Indicator(
        "ipv4-addr", "203.0.113.9", "soc", description="C2", id="indicator--7", confidence="High"
    )
    assert [found.address(f"203.0.113.{last}") for last in (10, 11, 12)] == [None] * 3
    assert value(found.address("2001:db8::5")) == "2001:db8::/32"
    hit = found.domain("c2.example")
    assert hit is not None
    assert hit.description == "pair"
    assert (found.describe()[0].found, found.describe()[0].skipped) == (3, 2)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[ipv4-addr:value = '1.2.3.4' OR ipv4-addr:value = '1.2.3.5']", ["1.2.3.4", "1.2.3.5"]),
        ("[ipv4-addr:value IN ('1.2.3.4', '1.2.3.5')]", ["1.2.3.4", "1.2.3.5"]),
        (
            r"[network-traffic:extensions.'http-request-ext'.request_header.'User-Agent' = 'it\'s [bad]']",
            ["it's [bad]"],
        ),
        ("[network-traffic:dst_ref.value = '1.2.3.4']", ["1.2.3.4"]),
        ("[ipv4-addr:value = '1.2.3.4'] FOLLOWEDBY [ipv4-addr:value = '1.2.3.5']", []),
        ("[ipv4-addr:value = '1.2.3.4' AND ipv4-addr:value = '1.2.3.5']", []),
        ("[ipv4-addr:value != '1.2.3.4']", []),
        ("[NOT ipv4-addr:value = '1.2.3.4']", []),
        ("[ipv4-addr:value = '1.2.3.4'] WITHIN 5 SECONDS", []),
        ("[domain-name:value LIKE '%.ru']", []),
        ("[file:hashes.MD5 = 'x' OR ipv4-addr:value = '1.2.3.4']", ["1.2.3.4"]),
        ("", []),
        ("[" * 50, []),
        ("[ipv4-addr:value = 'a" + "\\\\" * 5000, []),
    ],
)
def test_stix_patterns(pattern, expected):
    """Alternatives are lists of values; where more has to be true, no value is bad by itself."""
    assert [text for _, text in pattern_values(pattern)] == expected


def test_confidence_words():
    """Appendix A of STIX 2.1."""
    assert [confidence_word(number) for number in (0, 1, 29, 30, 69, 70, 100)] == [
        *("None", "Low", "Low", "Medium", "Medium", "High", "High")
    ]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.integers(0, 2**12 - 1), st.integers(20, 32)).map(
            lambda pair: ipaddress.ip_network((0xCB007000 | pair[0], pair[1]), strict=False)
        ),
        max_size=40,
    ),
    st.lists(st.integers(0, 2**12 - 1), max_size=30),
)
def test_networks_are_those_of_a_plain_search(tmp_path_factory, networks, addresses):
    """Nested, adjoining and equal ones, against the standard library."""
    path = tmp_path_factory.mktemp("lists") / "networks.txt"
    path.write_text("".join(f"{network}\n" for network in networks))
    found = Indicators([Source(path, "x")])
    for number in addresses:
        address = ipaddress.ip_address(0xCB007000 | number)
        around = [network for network in networks if address in network]
        smallest = max(around, key=lambda network: network.prefixlen, default=None)
        expected = None if smallest is None else str(address) if smallest.prefixlen == 32 else str(smallest)
        assert value(found.address(str(address))) == expected


def test_the_first_list_counts(tmp_path):
    """Whatever else is said of the same thing."""
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text("203.0.113.9\nevil.example\n203.0.113.0/24\n")
    found = Indicators([Source(tmp_path / name, name) for name in ("two.txt", "one.txt")])
    hits = [found.address("203.0.113.9"), found.address("203.0.113.1"), found.domain("evil.example")]
    assert [hit.provider for hit in hits if hit] == ["two.txt"] * 3


def test_the_largest_networks_and_the_last_addresses(tmp_path):
    """From everything down to the last address there is."""
    found = lists(tmp_path, "0.0.0.0/0\n255.255.255.255\n::/0\nffff:ffff:ffff:ffff::/64\n")
    assert value(found.address("9.9.9.9")) == "0.0.0.0/0"
    assert value(found.address("255.255.255.255")) == "255.255.255.255"
    assert value(found.address("1::1")) == "::/0"
    assert value(found.address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")) == "ffff:ffff:ffff:ffff::/64"


def test_many_entries_take_little_memory(tmp_path):
    """A million must fit in 200 MB: a twentieth of it in a twentieth, what reading needs at most included.

    In a process of its own, where nothing else takes memory meanwhile.
    """
    rng = random.Random(1)
    count = 50_000
    path = tmp_path / "many.txt"
    path.write_text("".join(f"{rng.getrandbits(40):x}.example.com\n" for _ in range(count)))
    done = subprocess.run([sys.executable, "-c", MEASURED, str(path)], capture_output=True, text=True, check=True)
    found, peak = map(int, done.stdout.split())
    assert found == count
    tables = 5_000_000  # of bits and indices, whatever the number of entries
    assert peak - tables < 10_000_000


MEASURED = """
import sys, tracemalloc
from pathlib import Path
from shipper.enrich.indicators import Indicators, Source
tracemalloc.start()
found = Indicators([Source(Path(sys.argv[1]), "x")])
print(found.describe()[0].found, tracemalloc.get_traced_memory()[1])
"""


def replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def test_replaced_lists_are_used_and_broken_ones_are_not(tmp_path):
    """All lists change at once; what is broken, empty or gone leaves the old ones, and is counted."""
    path = tmp_path / "bad.txt"
    path.write_text("203.0.113.9\n")
    reloads: list[bool] = []
    known: list[int] = []
    found = Indicators([Source(path, "soc")], look_seconds=0.0, reloads=reloads.append, known=known.append)
    replace(path, "203.0.113.10\n203.0.113.11\n")
    found.reload()
    assert found.version == 1
    assert found.address("203.0.113.9") is None
    assert found.address("203.0.113.10") is not None
    for broken in ("<html><body>503 Service Unavailable</body></html>\n", ""):
        replace(path, broken)
        found.reload()
        assert found.address("203.0.113.10") is not None
    path.unlink()
    found.reload()
    assert found.address("203.0.113.10") is not None
    assert reloads == [True, False, False, False]
    assert known == [1, 2]
    assert found.version == 1


def test_a_look_notices_a_replaced_file(tmp_path):
    """Without waiting for it: the new list is read in a thread."""
    stop = Stop()
    found = lists(tmp_path, "203.0.113.9\n")
    assert found.look() == 0
    replace(tmp_path / "bad.txt", "203.0.113.10\n")
    for _ in range(3_000):
        if found.look():
            break
        stop.rest(0.01)
    assert found.address("203.0.113.10") is not None


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.txt", None, "No such file"),
        ("x.txt", "<html>\n", "nothing in it is an indicator"),
        ("x.json", "[]", "not a STIX bundle"),
        ("x.json", '{"type": "report"}', "not a STIX bundle"),
        ("x.csv", "a,b\n1,2\n", "no column is called"),
        ("x.txt", b"\xff\xfe\x00", "not a list of indicators"),
    ],
)
def test_broken_lists_are_named_at_the_start(tmp_path, name, text, words):
    """With the file, and what to do."""
    path = tmp_path / name
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=words) as caught:
        Indicators([Source(path, "x")])
    assert str(path) in str(caught.value)
    assert caught.value.hint


def encoded(schema: Schema, record: Record) -> bytes:
    document = schema.encoder(ORIGIN)(record)
    assert document is not None
    return document.body


def trail(**more: Any) -> Record:
    fields = {
        "eventTime": "2026-01-05T12:00:00Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": "ListBuckets",
        "sourceIPAddress": "203.0.113.9",
        "userAgent": "sqlmap/1.7",
        "recipientAccountId": "111122223333",
        "eventID": "1",
        **more,
    }
    return Record(json.dumps(fields).encode(), 0)


@pytest.fixture
def known(tmp_path) -> Indicators:
    addresses, agents = tmp_path / "addresses.txt", tmp_path / "agents.txt"
    addresses.write_text("203.0.113.0/24\nevil.example\n")
    agents.write_text("sqlmap*\n")
    return Indicators([Source(addresses, "soc"), Source(agents, "soc", "user_agent")], look_seconds=0.0)


def test_cloudtrail_in_ecs(known):
    """Address and user agent as ECS's threat, the first indicator by itself; nothing where nothing is known."""
    schema = CloudTrailEcs("default", None, indicators=known)
    document = json.loads(encoded(schema, trail()))
    network = {"type": "ipv4-addr", "name": "203.0.113.0/24", "provider": "soc"}
    program = {"type": "software", "name": "sqlmap*", "provider": "soc"}
    assert document["threat"] == {
        "indicator": network,
        "enrichments": [
            {
                "indicator": network,
                "matched": {"atomic": "203.0.113.9", "field": "source.ip", "type": "indicator_match"},
            },
            {
                "indicator": program,
                "matched": {"atomic": "sqlmap/1.7", "field": "user_agent.original", "type": "indicator_match"},
            },
        ],
    }
    for field in ("source.ip", "user_agent.original"):
        one, _, two = field.partition(".")
        assert document[one][two] in {"203.0.113.9", "sqlmap/1.7"}
    host = json.loads(encoded(schema, trail(sourceIPAddress="a.evil.example", userAgent="x")))["threat"]
    assert host["indicator"]["url"] == {"domain": "evil.example"}
    assert host["enrichments"][0]["matched"]["field"] == "source.address"
    assert "threat" not in json.loads(encoded(schema, trail(sourceIPAddress="192.0.2.1", userAgent="x")))
    assert "threat" not in json.loads(encoded(CloudTrailEcs("default", None), trail()))


def test_the_native_encoder_leaves_threats_to_the_mapping(known, tmp_path):
    """The same documents with and without it, before and after the lists were replaced; where it is not installed, both
    are the mapping's.
    """
    usual, plain = (CloudTrailEcs("default", None, indicators=known, native=native) for native in (True, False))
    records = [
        trail(),
        trail(userAgent="x"),
        trail(sourceIPAddress="192.0.2.1"),
        trail(sourceIPAddress="192.0.2.1", userAgent="x"),
    ]
    for text in ("203.0.113.0/24\n", "192.0.2.1\n", "203.0.113.9\n192.0.2.0/24\n"):
        replace(tmp_path / "addresses.txt", text)
        known.reload()
        for record in [*records, *records]:
            found, expected = (json.loads(encoded(schema, record)) for schema in (usual, plain))
            assert found == expected


def test_cloudtrail_in_splunk(known):
    """Flat indexed fields, beside the others."""
    schema = CloudTrailSplunk("aws", "", None, indicators=known)
    fields = json.loads(encoded(schema, trail()))["fields"]
    del fields["event_uid"]
    assert fields == {
        "src_threat_indicator": "203.0.113.0/24",
        "src_threat_type": "ipv4-addr",
        "src_threat_provider": "soc",
        "user_agent_threat_indicator": "sqlmap*",
        "user_agent_threat_type": "software",
        "user_agent_threat_provider": "soc",
    }
    other = json.loads(encoded(schema, trail(sourceIPAddress="192.0.2.1", userAgent=None)))
    assert set(other["fields"]) == {"event_uid"}


def flow(source: str, destination: str, packet: str = "-") -> Record:
    line = f"2 111122223333 eni-1 {source} {destination} 1 2 6 1 40 1767614400 1767614460 ACCEPT OK {packet}"
    return Record(line.encode(), 1, LAYOUT)


def test_flow_logs_on_both_sides(known):
    """Source, destination and the packet's own address; ordinary lines stay as they are."""
    schema, plain = VpcFlowEcs("default", None, indicators=known), VpcFlowEcs("default", None)
    assert encoded(schema, flow("192.0.2.1", "192.0.2.2")) == encoded(plain, flow("192.0.2.1", "192.0.2.2"))
    for record, expected in (
        (flow("203.0.113.9", "192.0.2.2"), ["source.ip"]),
        (flow("192.0.2.1", "203.0.113.9"), ["destination.ip"]),
        (flow("203.0.113.7", "203.0.113.9"), ["source.ip", "destination.ip"]),
        (flow("192.0.2.1", "192.0.2.2", "203.0.113.9"), ["aws.vpcflow.pkt_srcaddr"]),
    ):
        document = json.loads(encoded(schema, record))
        threat = document.pop("threat")
        assert [each["matched"]["field"] for each in threat["enrichments"]] == expected
        assert document == json.loads(encoded(plain, record))
    splunk = VpcFlowSplunk("aws", "", None, indicators=known)
    fields = json.loads(encoded(splunk, flow("203.0.113.7", "203.0.113.9")))["fields"]
    assert {name for name in fields if name.endswith("_indicator")} == {"src_threat_indicator", "dest_threat_indicator"}


def test_documents_follow_replaced_lists(known, tmp_path):
    """From the next object on, whatever was found for the same values before."""
    schemas: list[Schema] = [
        CloudTrailEcs("default", None, indicators=known),
        CloudTrailSplunk("aws", "", None, indicators=known),
        VpcFlowEcs("default", None, indicators=known),
        VpcFlowSplunk("aws", "", None, indicators=known),
    ]
    records = [trail(), trail(), flow("203.0.113.9", "192.0.2.2"), flow("203.0.113.9", "192.0.2.2")]
    for schema, record in zip(schemas, records, strict=True):
        assert b"203.0.113.0/24" in encoded(schema, record)
    replace(tmp_path / "addresses.txt", "198.51.100.1\n")
    known.reload()
    for schema, record in zip(schemas, records, strict=True):
        assert b"203.0.113.0/24" not in encoded(schema, record)


def test_the_configuration_turns_it_on(tmp_path):
    """Paths, providers and kinds reach the lists, and metrics tell; without the section there is nothing."""
    (tmp_path / "bad.txt").write_text("203.0.113.9\n")
    text = "sources: {t: {type: s3, bucket: abc}}\nsinks: {a: {type: archive, path: a}}\n"
    chosen = "enrich: {indicators: [{path: bad.txt, provider: SOC}, {path: bad.txt}]}\n"
    around = Surroundings(folder=tmp_path)
    plain, listed = (config.parse(each, name="f", environ={}, around=around) for each in (text, text + chosen))
    assert build.lookups(plain).indicators is None
    metrics = Metrics()
    found = build.lookups(listed, metrics, Stop()).indicators
    assert found is not None
    hit = found.address("203.0.113.9")
    assert hit is not None
    assert hit.provider == "SOC"
    assert metrics.registry.get_sample_value("shipper_indicators") == 2.0


def test_a_provider_is_named_by_the_file(tmp_path):
    """Where the configuration does not."""
    (tmp_path / "abuse.txt").write_text("203.0.113.9\n")
    text = "sources: {t: {type: s3, bucket: abc}}\nsinks: {a: {type: archive, path: a}}\n"
    text += "enrich: {indicators: [{path: abuse.txt}]}\n"
    chosen = config.parse(text, name="f", environ=dict(os.environ), around=Surroundings(folder=tmp_path))
    found = build.lookups(chosen).indicators
    assert found is not None
    hit = found.address("203.0.113.9")
    assert hit is not None
    assert hit.provider == "abuse"


def test_dns_queries_by_name_and_answer(known):
    """The name that was asked for, or a parent of it, who asked, and what the answer was."""
    query = {
        "query_timestamp": "2026-01-05T12:00:00Z",
        "query_name": "c2.Evil.example.",
        "query_type": "A",
        "rcode": "NOERROR",
    }
    answers = [{"Rdata": "203.0.113.9", "Type": "A", "Class": "IN"}]
    schema = build.LOG_TYPES["route53_resolver"].ecs("default", Lookups(indicators=known))

    def fields(**more: Any) -> list[str]:
        record = Record(json.dumps({**query, "srcaddr": "10.0.0.7", **more}).encode(), 1)
        threat = json.loads(encoded(schema, record)).get("threat", {"enrichments": []})
        return [each["matched"]["field"] for each in threat["enrichments"]]

    assert fields() == ["dns.question.name"]
    assert fields(answers=answers) == ["dns.question.name", "dns.resolved_ip"]
    assert fields(query_name="www.example.org.", srcaddr="203.0.113.4") == ["source.ip"]
    assert fields(query_name="www.example.org.") == []
