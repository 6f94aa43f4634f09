"""The app that `shipper setup splunk` writes: files that Splunk reads, whose parts fit together."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import orjson
import pytest

from shipper import cli
from shipper.build import LOG_TYPES
from shipper.enrich.interface_inventory import Inventory
from shipper.errors import ConfigError
from shipper.model import Instance, NetworkInterface, Origin, Record
from shipper.ports import Lookups
from shipper.schemas.splunk import cloudtrail, cloudwatch
from shipper.schemas.splunk.flow_owners import write
from shipper.schemas.splunk.vpc_flow import SOURCETYPE, TRANSIT_GATEWAY_SOURCETYPE
from shipper.sinks.splunk_app import APP, write_app

ORACLE = Path(__file__).parents[3] / "shared/oracles/splunk/sourcetypes.json"

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
    assert set(conf(app / "default/props.conf")) == {"aws:waf"}, "the add-on's sourcetypes need nothing"


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


def test_every_indexed_field_of_an_envelope_is_declared(app):
    """Otherwise Splunk looks for its value in the event's text, and finds nothing."""
    declared = {name for name, stanza in conf(app / "default/fields.conf").items() if stanza["INDEXED"] == "true"}
    place = {
        "geo": {
            "country_name": "A",
            "country_iso_code": "A",
            "region_name": "A",
            "city_name": "A",
            "location": {"lat": 1.0, "lon": 1.0},
        },
        "as": {"number": 1, "organization": {"name": "A"}},
    }
    raw = b'{"eventID":"e","eventTime":"2026-01-01T00:00:00Z","sourceIPAddress":"192.0.2.1"}'
    schema = LOG_TYPES["cloudtrail"].splunk("", "", Lookups(geo=lambda _: place))
    document = schema.encoder(Origin("s3://b/k"))(Record(raw, 0))
    assert document
    fields = set(orjson.loads(document.body)["fields"])
    assert len(fields) == 9
    assert fields <= declared


def test_every_indexed_field_of_a_flow_is_declared(app):
    """Those of machines and services at both ends, too; those of tags by a pattern."""
    declared = {name for name, stanza in conf(app / "default/fields.conf").items() if stanza["INDEXED"] == "true"}
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
    fields = {
        name
        for text in write(owner)
        for name in orjson.loads("{" + text[1:] + "}")
        if not name.removeprefix("src_").removeprefix("dest_").startswith("tag_")
    }
    assert len(fields) == 20
    assert fields <= declared
    assert f"sourcetype::{SOURCETYPE}::src_tag_*" in declared
    assert f"sourcetype::{TRANSIT_GATEWAY_SOURCETYPE}::dest_tag_*" in declared


def test_patterns_of_fields_are_of_one_sourcetype_each(app):
    """fields.conf knows wildcards in names of fields only; every sourcetype that envelopes have is there."""
    patterns = [name.split("::") for name in conf(app / "default/fields.conf") if "::" in name]
    assert not [kind for _, kind, _ in patterns if "*" in kind]
    made = {SOURCETYPE, TRANSIT_GATEWAY_SOURCETYPE, cloudtrail.SOURCETYPE, cloudwatch.SOURCETYPE}
    made |= {cloudwatch.EKS_SOURCETYPE, cloudwatch.ELB_SOURCETYPE, cloudwatch.S3ACCESS_SOURCETYPE}
    assert {kind for _, kind, _ in patterns} == made | {cloudwatch.WAF_SOURCETYPE}


def test_a_sourcetype_of_ones_own_gets_props(tmp_path):
    """And goes again when the add-on's is used again."""
    assert set_up(tmp_path, "index: aws, sourcetypes: {cloudtrail: 'acme:trail'}") == 0
    app = tmp_path / "apps" / APP
    assert conf(app / "default/props.conf")["acme:trail"]["KV_MODE"] == "json"
    assert 'sourcetype="acme:trail"' in conf(app / "default/macros.conf")["aws_log_shipper_cloudtrail"]["definition"]
    assert "sourcetype::acme:trail::iam_*" in conf(app / "default/fields.conf")
    assert set_up(tmp_path) == 0
    assert set(conf(app / "default/props.conf")) == {"aws:waf"}
    assert set_up(tmp_path, "index: aws, sourcetypes: {cloudtrail: 'aws:cloudtrail', waf: 'acme:waf'}") == 0
    assert set(conf(app / "default/props.conf")) == {"acme:waf"}


@pytest.mark.skipif(not ORACLE.exists(), reason="skipped: no ../shared")
def test_props_leave_what_the_add_on_knows_alone(app):
    """Its sourcetypes are its own; the other one that the shipper gives is made known here."""
    known = {
        name
        for each in json.loads(ORACLE.read_text())["sourcetypes"]
        for name in each["sourcetype"].split(" (")[0].split(" / ")
    }
    given = {name.split("::")[1] for name in conf(app / "default/fields.conf") if "::" in name}
    props = conf(app / "default/props.conf")
    assert given - known == {"aws:waf"} == set(props)
    assert props["aws:waf"]["KV_MODE"] == "json"


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
