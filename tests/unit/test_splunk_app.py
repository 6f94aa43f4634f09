"""The app that `shipper setup splunk` writes: files that Splunk reads, whose parts fit together."""

from __future__ import annotations

import configparser
import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import orjson
import pytest

from shipper import cli
from shipper.build import LOG_TYPES
from shipper.enrich.indicator_files import Source
from shipper.enrich.indicators import Indicators
from shipper.enrich.interface_inventory import Inventory
from shipper.errors import ConfigError
from shipper.flow_layouts import KNOWN_FIELDS, V2, V5
from shipper.model import (
    AccountFacts,
    AddressFacts,
    Instance,
    LogEvent,
    LogStream,
    NetworkInterface,
    Origin,
    Record,
    Resource,
)
from shipper.ports import Lookups
from shipper.schemas.splunk import cloudtrail, cloudwatch
from shipper.schemas.splunk.flow_events import SELECT_ALL, splunk_name
from shipper.schemas.splunk.flow_owners import write
from shipper.schemas.splunk.vpc_flow import SOURCETYPE, TRANSIT_GATEWAY_SOURCETYPE
from shipper.sinks.splunk_app import APP, write_app
from tests.conformance.test_cloudwatch_mappings import MESSAGES

FLOWS = {SOURCETYPE, TRANSIT_GATEWAY_SOURCETYPE}
ORACLE = Path(__file__).parents[3] / "shared/oracles/splunk/sourcetypes.json"
SEARCH_NAMES = Path(__file__).parents[3] / "shared/oracles/verdicts/splunk-search-time-names.json"

CONFIGURATION = """
sources: {t: {type: s3, bucket: abc}}
sinks:
  s: {type: splunk_hec, urls: ['https://s'], token_file: /none, %s}
"""


def conf(path: Path) -> dict[str, dict[str, str]]:
    """A .conf file as Splunk reads it: `key = value`, no key twice."""
    parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",), strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # Splunk tells upper case from lower
    parser.read_string(path.read_text().replace("[]\n", "[all]\n"))  # of metadata: everything that has no own stanza
    return {name: dict(parser[name]) for name in parser.sections()}


def set_up(folder: Path, keys: str = "index: aws", *more: str) -> int:
    (folder / "s.yaml").write_text(CONFIGURATION % keys)
    (folder / "s.yaml").chmod(0o600)
    return cli.run(["setup", "splunk", "-c", str(folder / "s.yaml"), "--to", str(folder / "apps"), *more])


@pytest.fixture
def app(tmp_path: Path) -> Path:
    assert set_up(tmp_path) == 0
    return tmp_path / "apps" / APP


def queries(app: Path) -> list[str]:
    views = ET.parse(app / "default/data/ui/views/aws_log_shipper.xml")
    found = [element.text or "" for element in views.iter("query")]
    return found + [stanza["search"] for stanza in conf(app / "default/savedsearches.conf").values()]


def test_the_folder_is_an_app(app, capsys):
    """Splunk needs app.conf, and metadata that lets other apps use what is in it."""
    settings = conf(app / "default/app.conf")
    assert settings["package"]["id"] == settings["id"]["name"] == APP
    assert re.fullmatch(r"\d+\.\d+\.\d+", settings["launcher"]["version"])
    assert conf(app / "metadata/default.meta")["macros"]["export"] == "system"
    assert "@@" not in "".join(path.read_text() for path in app.rglob("*") if path.is_file())
    assert set(conf(app / "default/props.conf")) == {"aws:waf", *FLOWS}, "the add-on's other sourcetypes need nothing"


def test_searches_use_macros_that_are_there_and_are_whole(app):
    """Every macro in the dashboard and the saved searches is defined; quotes and brackets are balanced."""
    macros = conf(app / "default/macros.conf")
    assert macros["aws_log_shipper_dedup"]["definition"].startswith("dedup event_uid")
    found = queries(app)
    assert len(found) > 10
    for query in [*found, *(macro["definition"] for macro in macros.values())]:
        assert set(re.findall(r"`([^`]+)`", query)) <= set(macros)
        assert query.count('"') % 2 == query.count("`") % 2 == 0
        assert query.count("(") == query.count(")")
    assert any("aws_log_shipper_dedup" in query for query in found)


def test_the_dashboard_is_well_formed_and_its_tokens_are_set(app):
    """Each search has a query and the chosen time."""
    view = ET.parse(app / "default/data/ui/views/aws_log_shipper.xml").getroot()
    assert view.tag == "form"
    searches = list(view.iter("search"))
    assert searches
    for search in searches:
        assert [child.tag for child in search] == ["query", "earliest", "latest"]
        assert search.findtext("earliest") == "$time.earliest$"
    assert [element.get("token") for element in view.iter("input")] == ["time"]


def test_nothing_is_scheduled(app):
    """The operator chooses."""
    assert all("enableSched" not in stanza for stanza in conf(app / "default/savedsearches.conf").values())


@pytest.mark.parametrize(
    ("keys", "definition"),
    [
        ("index: aws", 'index="aws" event_uid=*'),
        ("index: aws, indexes: {cloudtrail: trail}", '(index="aws" OR index="trail") event_uid=*'),
        ("indexes: {cloudtrail: trail}", "index=* event_uid=*"),
        ("ack: true", "index=* event_uid=*"),
    ],
)
def test_searches_look_where_the_events_go(tmp_path, keys, definition):
    """In the configured indexes; everywhere where the token chooses."""
    assert set_up(tmp_path, keys) == 0
    assert conf(tmp_path / "apps" / APP / "default/macros.conf")["aws_log_shipper"]["definition"] == definition


PLACE = {
    "geo": {
        "country_name": "A",
        "country_iso_code": "A",
        "region_name": "A",
        "city_name": "A",
        "location": {"lat": 1.0, "lon": 1.0},
    },
    "as": {"number": 1, "organization": {"name": "A"}},
    "isp": {"name": "A", "organization": "A"},
    "anonymity": ["hosting"],
}
TAGS = {"team": "web", "cost centre": "7"}


class _Accounts:
    version = 1

    def __call__(self, account: str) -> AccountFacts:
        return AccountFacts("prod", "o-1", "ou", TAGS)


class _Resources:
    version = 1

    def __call__(self, resource: Resource) -> dict[str, str]:
        return TAGS


def everything(tmp_path: Path) -> Lookups:
    """Look-ups that know of all that they are asked for."""
    lists = {"a.txt": "0.0.0.0/0\n::/0\n", "d.txt": "example.com\nexample.net\n", "u.txt": "*\n"}
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
    agents = Source(tmp_path / "u.txt", "soc", "user_agent")
    return Lookups(
        geo=lambda _: PLACE,
        addresses=lambda _: AddressFacts({"provider": "aws", "service": {"name": "S3"}, "region": "r"}, internal=True),
        regions={"eu-west-1": "Ireland", "us-east-1": "Virginia"},
        accounts=_Accounts(),
        resources=_Resources(),
        indicators=Indicators([Source(tmp_path / "a.txt", "soc"), Source(tmp_path / "d.txt", "soc"), agents]),
    )


def samples() -> list[tuple[str, str]]:
    """A message of each kind that the schemas know, by log type."""
    trail = {
        "eventID": "e",
        "eventTime": "2026-01-01T00:00:00Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": "GetObject",
        "awsRegion": "eu-west-1",
        "recipientAccountId": "111122223333",
        "sourceIPAddress": "192.0.2.1",
        "userAgent": "aws-cli/2",
        "requestParameters": {"bucketName": "b"},
    }
    flow = "2 111122223333 eni-1 192.0.2.1 10.0.0.5 1 2 6 10 840 1772366710 1772366765 REJECT OK"
    return [*MESSAGES, ("cloudtrail", json.dumps(trail)), ("vpcflow", flow)]


def declared(app: Path) -> dict[str, set[str]]:
    """The names and patterns of fields.conf by sourcetype; there is no other stanza."""
    found: dict[str, set[str]] = {}
    for stanza, settings in conf(app / "default/fields.conf").items():
        scope, kind, name = re.fullmatch(r"(sourcetype)::([\w:]+)::([A-Za-z][\w*]*)", stanza).groups()  # type: ignore[union-attr]
        assert (scope, settings) == ("sourcetype", {"INDEXED": "true"})
        found.setdefault(kind, set()).add(name)
    return found


def test_every_indexed_field_of_an_envelope_is_declared_for_its_sourcetype(app, tmp_path):
    """Otherwise Splunk looks for its value in the event's text, and finds nothing."""
    known, made = declared(app), set()
    for name, message in samples():
        schema = LOG_TYPES[name].splunk("", "", everything(tmp_path))
        stream = LogStream("111122223333", "eu-west-1", "/aws/x", "s")
        events = [None, LogEvent("3" * 56, 1_780_000_000_000, stream, None)]
        for event in events[: 1 if name == "cloudtrail" else 2]:
            layout = V2 if name == "vpcflow" else None
            document = schema.encoder(Origin("s3://b/k", "b", "k", "111122223333", "eu-west-1"))(
                Record(message.encode(), 0, layout, event)
            )
            assert document
            envelope = orjson.loads(document.body)
            kind = envelope["sourcetype"]
            made.add(kind)
            for field in envelope["fields"]:
                assert any(fnmatchcase(field, pattern) for pattern in known[kind]), (name, kind, field)
    assert made == set(known) - {TRANSIT_GATEWAY_SOURCETYPE}


def test_every_indexed_field_of_a_flow_is_declared(app):
    """Those of machines and services at both ends, too; those of tags by a pattern."""
    interface = NetworkInterface(
        id="eni-1",
        account="111122223333",
        region="eu-west-1",
        vpc="vpc-1",
        subnet="subnet-1",
        private=("10.0.0.5",),
        groups=("sg-1",),
        service="ec2",
        resource="r",
        name="n",
        tags={"team": "web"},
        instance="i-1",
    )
    inventory = Inventory(10, across=False)
    inventory.begin(interface, 0.0)
    inventory.tagged(Instance("i-1", 0.0, "web-1"))
    owner = inventory.address("10.0.0.5", "vpc-1", 1.0)
    fields = {name for text in write(owner) for name in orjson.loads("{" + text[1:] + "}")}
    assert len(fields) == 22
    for kind in FLOWS:
        patterns = declared(app)[kind]
        assert [name for name in fields if not any(fnmatchcase(name, pattern) for pattern in patterns)] == []
        assert {"src_tag_*", "dest_tag_*"} <= patterns


# Of the add-on's public copy, and of the names in the JSON of flow logs: what is extracted at search time.
SEARCH_TIME = {
    cloudtrail.SOURCETYPE: {"src_ip", "src_user", "user", "user_agent", "region", "dest", "action", "src_user_type"},
    SOURCETYPE: {splunk_name(name) for name in KNOWN_FIELDS} | {"src", "dest", "transport", "protocol", "duration"},
    TRANSIT_GATEWAY_SOURCETYPE: {splunk_name(name) for name in KNOWN_FIELDS} | {"src", "dest"},
    cloudwatch.S3ACCESS_SOURCETYPE: {"bucket_name", "bucket_owner", "user_agent", "src_ip", "dest", "operation", "key"},
    cloudwatch.ELB_SOURCETYPE: {"src_ip", "src_port", "dest_port", "dest", "http_user_agent", "url", "status"},
}


def collisions(app: Path, extracted: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (kind, pattern, name)
        for kind, names in extracted.items()
        for pattern in declared(app).get(kind, ())
        for name in names
        if fnmatchcase(name, pattern)
    ]


def test_no_name_that_is_extracted_at_search_time_is_declared(app):
    """Searches for it would find nothing any more."""
    assert collisions(app, SEARCH_TIME) == []


@pytest.mark.skipif(not SEARCH_NAMES.exists(), reason="skipped: no ../shared")
def test_the_add_ons_own_names_stay_searchable(app):
    """Those of its sourcetypes, and of CIM and asset look-ups for all data but that of our envelopes."""
    names = json.loads(SEARCH_NAMES.read_text())
    assert collisions(app, names["addon"]) == []
    assert all(stanza.startswith("sourcetype::") for stanza in conf(app / "default/fields.conf"))


def test_each_sourcetype_of_envelopes_has_its_fields(app):
    """fields.conf knows wildcards in names of fields only; every sourcetype that envelopes have is there."""
    made = {*FLOWS, cloudtrail.SOURCETYPE, cloudwatch.SOURCETYPE, cloudwatch.WAF_SOURCETYPE}
    made |= {cloudwatch.EKS_SOURCETYPE, cloudwatch.ELB_SOURCETYPE, cloudwatch.S3ACCESS_SOURCETYPE}
    assert set(declared(app)) == made


def test_a_sourcetype_of_ones_own_gets_props(tmp_path):
    """And goes again when the add-on's is used again."""
    assert set_up(tmp_path, "index: aws, sourcetypes: {cloudtrail: 'acme:trail'}") == 0
    app = tmp_path / "apps" / APP
    assert conf(app / "default/props.conf")["acme:trail"]["KV_MODE"] == "json"
    assert 'sourcetype="acme:trail"' in conf(app / "default/macros.conf")["aws_log_shipper_cloudtrail"]["definition"]
    assert "sourcetype::acme:trail::iam_tag_*" in conf(app / "default/fields.conf")
    assert set_up(tmp_path) == 0
    assert set(conf(app / "default/props.conf")) == {"aws:waf", *FLOWS}
    assert set_up(tmp_path, "index: aws, sourcetypes: {cloudtrail: 'aws:cloudtrail', waf: 'acme:waf'}") == 0
    assert set(conf(app / "default/props.conf")) == {"acme:waf", *FLOWS}


def test_flow_logs_under_a_sourcetype_of_ones_own_are_taken_apart(tmp_path):
    """Lines that are shipped as lines for the add-on by their places, all others are JSON; both under its names."""
    assert set_up(tmp_path, "index: aws, sourcetypes: {vpcflow: 'acme:flow'}") == 0
    props = conf(tmp_path / "apps" / APP / "default/props.conf")
    assert props["acme:flow"]["KV_MODE"] == props[SOURCETYPE]["KV_MODE"] == "json"
    patterns = [text.replace("(?<", "(?P<") for name, text in props["acme:flow"].items() if name.startswith("EXTRACT-")]
    for layout in (V2, V5, SELECT_ALL):
        values = [f"v{number}" for number in range(len(layout))]
        found = [match.groupdict() for each in patterns if (match := re.match(each, " ".join(values)))]
        assert dict(zip(map(splunk_name, layout), values, strict=True)) in found


@pytest.mark.skipif(not ORACLE.exists(), reason="skipped: no ../shared")
def test_props_leave_what_the_add_on_knows_alone(app):
    """Its sourcetypes are its own; the other one that the shipper gives is made known here."""
    known = {
        name
        for each in json.loads(ORACLE.read_text())["sourcetypes"]
        for name in each["sourcetype"].split(" (")[0].split(" / ")
    }
    given = {name.split("::")[1] for name in conf(app / "default/fields.conf")}
    props = conf(app / "default/props.conf")
    assert given - known == {"aws:waf"}
    assert set(props) - {"aws:waf"} == FLOWS
    assert props["aws:waf"]["KV_MODE"] == "json"
    assert all(name == "KV_MODE" or "ASNEW" in text for kind in FLOWS for name, text in props[kind].items())


def test_what_the_operator_changed_stays(app, tmp_path):
    """local/ is theirs; default/ is brought up to date."""
    (app / "local").mkdir()
    (app / "local/macros.conf").write_text("[mine]\n")
    (app / "default/macros.conf").write_text("old")
    assert set_up(tmp_path) == 0
    assert (app / "local/macros.conf").read_text() == "[mine]\n"
    assert "aws_log_shipper" in conf(app / "default/macros.conf")
    assert not list(app.rglob("*.part"))


@pytest.mark.parametrize("name", ['a" OR index="b', "a]\n[b", "`x`", "a*"])
def test_a_name_cannot_change_the_searches(tmp_path, name):
    """It is refused, and says so."""
    with pytest.raises(ConfigError, match="cannot stand"):
        write_app(tmp_path, [name], {})
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    """A file is in the way."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_app(tmp_path / "file", ["aws"], {})


def test_a_splunk_sink_is_needed(tmp_path, capfd):
    """And a name has to be one of them."""
    assert set_up(tmp_path, "index: aws", "--sink", "siem") == 2
    assert "no Splunk sink called 'siem'" in capfd.readouterr().err
