"""Geography from MMDB files: what is found, and files that are replaced while they are used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from shipper.commands.check import _geoip
from shipper.config import Enrich, Geoip, Settings
from shipper.enrich.geo import Geo
from shipper.errors import ConfigError
from shipper.schemas.splunk.vpc_flow import flat_geography

NESTED = {"country": {"iso_code": "SE", "names": {"en": "Sweden"}}, "city": {"names": {"en": "Linköping"}}}
PLACE = {"country_iso_code": "SE", "country_name": "Sweden"}
NETWORKS = ("89.160.20.0/24", "2001:db8::/32")
FLAT = {"country_code": "SE", "city": "Linköping", "state1": "Östergötland", "latitude": 58.4, "longitude": 15.6}


def write(path: Path, entry: dict[str, Any], kind: str = "GeoLite2-City", networks: Sequence[str] = NETWORKS) -> None:
    """Put a database in a place, as a downloader does: written aside, then moved there."""
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type=kind, description="test", float_type="f64")
    writer.insert_network(IPSet(networks), entry)
    aside = path.with_suffix(".new")
    writer.to_db_file(str(aside))
    aside.replace(path)


@pytest.mark.parametrize("address", ["89.160.20.112", "2001:db8::1", "::ffff:89.160.20.112"])
@pytest.mark.parametrize("entry", [NESTED, FLAT], ids=["nested", "flat"])
def test_both_layouts_give_the_same_fields(tmp_path, entry, address):
    """MaxMind's nested layout and DB-IP's flat one, for addresses of both kinds."""
    write(tmp_path / "city.mmdb", entry)
    found = Geo(tmp_path / "city.mmdb", None)(address)
    assert found is not None
    assert found["geo"]["country_iso_code"] == "SE"
    assert found["geo"]["city_name"] == "Linköping"
    if entry is FLAT:
        assert found["geo"]["region_name"] == "Östergötland"
        assert found["geo"]["location"] == {"lat": 58.4, "lon": 15.6}


def test_a_replaced_database_is_used(tmp_path):
    """Both files are looked at, and what was cached of the old one is forgotten."""
    city, asn, told = tmp_path / "city.mmdb", tmp_path / "asn.mmdb", list[bool]()
    write(city, NESTED)
    write(asn, {"autonomous_system_number": 1}, "GeoLite2-ASN")
    geo = Geo(city, asn, look_seconds=0.0, reloads=told.append)
    assert geo("89.160.20.1") == {
        "geo": {"country_iso_code": "SE", "country_name": "Sweden", "city_name": "Linköping"},
        "as": {"number": 1},
    }
    assert told == []
    write(asn, {"autonomous_system_number": 2}, "GeoLite2-ASN")
    found = geo("89.160.20.1")
    assert found is not None
    assert found["as"] == {"number": 2}
    assert told == [True]


def test_a_broken_database_keeps_the_old_one_and_alarms_once(tmp_path, capsys):
    """Damaged and missing files change nothing but the log and a counter; a good one is then used again."""
    city, told = tmp_path / "city.mmdb", list[bool]()
    write(city, NESTED)
    geo = Geo(city, None, look_seconds=0.0, reloads=told.append)
    before = geo("89.160.20.1")
    (tmp_path / "broken").write_bytes(b"no database")
    (tmp_path / "broken").replace(city)
    assert geo("89.160.20.1") == before
    assert geo("89.160.20.1") == before
    assert told == [False]
    captured = capsys.readouterr()
    assert (captured.out + captured.err).count("the old ones stay in use") == 1
    city.unlink()
    assert geo("89.160.20.1") == before
    write(city, {"country": {"iso_code": "NO"}})
    assert geo("89.160.20.1") == {"geo": {"country_iso_code": "NO"}}
    assert told == [False, False, True]


def test_a_broken_database_is_refused_at_the_start(tmp_path):
    """A mistake in the configuration is told at once."""
    (tmp_path / "city.mmdb").write_bytes(b"no database")
    with pytest.raises(ConfigError, match="not a readable MMDB"):
        Geo(tmp_path / "city.mmdb", None)


def test_check_tells_kind_build_date_and_age(tmp_path):
    """A fresh database is a note; `describe` has the maker's own name of its kind."""
    write(tmp_path / "city.mmdb", NESTED, "DBIP-City-Lite")
    enrich = Enrich(geoip=Geoip(city=tmp_path / "city.mmdb"))
    (note,) = _geoip(Settings.model_construct(sources={}, sinks={}, enrich=enrich))
    assert note.note
    assert "DBIP-City-Lite, built 2" in note.what
    assert note.what.endswith("0 days old")


OWNER = {"number": 64500, "organization": {"name": "Example Net"}}
SYSTEM = {"autonomous_system_number": 64500, "autonomous_system_organization": "Example Net"}
PROVIDER = {"isp": "Example ISP", "organization": "Example Org"}
ISP = {"name": "Example ISP", "organization": "Example Org"}
HIDING = {"is_anonymous": True, "is_tor_exit_node": True, "is_hosting_provider": False}
HIDDEN = {"anonymous": True, "tor_exit_node": True}


@pytest.mark.parametrize(
    ("kind", "entry", "expected"),
    [
        ("GeoLite2-ASN", SYSTEM, {"as": OWNER}),
        ("ipinfo standard_asn", {"asn": "AS64500", "as_name": "Example Net"}, {"as": OWNER}),
        ("GeoIP2-ISP", SYSTEM | PROVIDER, {"as": OWNER, "isp": ISP}),
        ("GeoIP2-ISP", {"isp": "Example ISP"}, {"isp": {"name": "Example ISP"}}),
        ("GeoIP2-Anonymous-IP", HIDING, {"anonymity": HIDDEN}),
        (
            "GeoIP2-Enterprise",
            NESTED | {"traits": SYSTEM | PROVIDER | HIDING},
            {
                "geo": {"country_iso_code": "SE", "country_name": "Sweden", "city_name": "Link\u00f6ping"},
                "as": OWNER,
                "isp": ISP,
                "anonymity": HIDDEN,
            },
        ),
        (
            "DBIP-Location-ISP (compat=Enterprise)",
            {"country": NESTED["country"], "traits": SYSTEM | {"isp": "Example ISP"}},
            {
                "geo": {"country_iso_code": "SE", "country_name": "Sweden"},
                "as": OWNER,
                "isp": {"name": "Example ISP"},
            },
        ),
        ("DBIP-Country", {"country_code": "SE", "country_name": "Sweden"}, {"geo": PLACE}),
        ("odd", {"traits": 5, "isp": 7, "autonomous_system_number": "many", "location": [1]}, None),
    ],
)
def test_databases_of_every_kind(tmp_path, kind, entry, expected):
    """MaxMind's, DB-IP's and IPinfo's kinds, nested and flat, give the same fields; odd values give none."""
    write(tmp_path / "any.mmdb", entry, kind)
    geo = Geo(None, None, [tmp_path / "any.mmdb"])
    for address in ("89.160.20.112", "2001:db8::1"):
        assert geo(address) == expected


def test_what_several_databases_know_is_laid_together(tmp_path):
    """The first that knows counts: owners by the ASN database, places by the City database."""
    city, asn, isp, hiding = (tmp_path / f"{name}.mmdb" for name in ("city", "asn", "isp", "hiding"))
    write(city, NESTED)
    write(asn, {"autonomous_system_number": 1, "country_code": "NO"}, "GeoLite2-ASN")
    write(isp, SYSTEM | PROVIDER, "GeoIP2-ISP")
    write(hiding, HIDING, "GeoIP2-Anonymous-IP")
    found = Geo(city, asn, [isp, hiding])("89.160.20.112")
    assert found is not None
    assert list(found) == ["geo", "as", "isp", "anonymity"]
    assert found["geo"]["country_iso_code"] == "SE"
    assert found["as"] == {"number": 1}
    assert found["isp"] == ISP


def test_owners_and_anonymity_are_flat_fields_in_splunk():
    """Names of documented indexed fields, several values where there are several."""
    assert flat_geography({"as": OWNER, "isp": ISP, "anonymity": HIDDEN}, "src") == {
        "src_asn": 64500,
        "src_as_org": "Example Net",
        "src_isp": "Example ISP",
        "src_isp_organization": "Example Org",
        "src_anonymity": ["anonymous", "tor_exit_node"],
    }


def test_check_tells_of_each_database_by_its_key(tmp_path):
    """One that is broken does not hide the others."""
    keys = ("country", "enterprise", "isp", "anonymous")
    for key in keys:
        write(tmp_path / f"{key}.mmdb", NESTED, f"Some-{key}")
    (tmp_path / "isp.mmdb").write_bytes(b"no database")
    enrich = Enrich.model_validate({"geoip": {key: tmp_path / f"{key}.mmdb" for key in keys}})
    found = {
        problem.where: problem for problem in _geoip(Settings.model_construct(sources={}, sinks={}, enrich=enrich))
    }
    assert set(found) == {f"enrich.geoip.{key}" for key in keys}
    assert [key for key in keys if found[f"enrich.geoip.{key}"].serious] == ["isp"]
    assert "Some-anonymous, built 2" in found["enrich.geoip.anonymous"].what
