"""Geography from MMDB files: what is found, and files that are replaced while they are used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from shipper.commands.check import _geoip
from shipper.config import Enrich, Geoip, Settings
from shipper.enrich.geo import Geo
from shipper.errors import ConfigError

NESTED = {"country": {"iso_code": "SE", "names": {"en": "Sweden"}}, "city": {"names": {"en": "Linköping"}}}
FLAT = {"country_code": "SE", "city": "Linköping", "state1": "Östergötland", "latitude": 58.4, "longitude": 15.6}


def write(path: Path, entry: dict[str, Any], kind: str = "GeoLite2-City") -> None:
    """Put a database in a place, as a downloader does: written aside, then moved there."""
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type=kind, description="test", float_type="f64")
    writer.insert_network(IPSet(["89.160.20.0/24", "2001:db8::/32"]), entry)
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
