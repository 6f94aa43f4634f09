"""MaxMind's own test databases of every kind, read as they are."""

from __future__ import annotations

from pathlib import Path

import maxminddb
import pytest

from shipper.enrich.geo import Geo

MAXMIND = Path(__file__).parents[3] / "shared" / "oracles" / "geoip" / "maxmind"
pytestmark = pytest.mark.skipif(not MAXMIND.exists(), reason=f"the oracles are not here: {MAXMIND}")


@pytest.mark.parametrize(
    ("name", "address", "expected"),
    [
        ("GeoIP2-Anonymous-IP-Test", "1.2.0.1", {"anonymity": {"anonymous": True, "anonymous_vpn": True}}),
        ("GeoLite2-ASN-Test", "12.81.96.1", {"as": {"number": 7018}}),
    ],
)
def test_databases_of_maxmind(name, address, expected):
    """MaxMind's own test databases are read as they are."""
    assert Geo(None, None, [MAXMIND / f"{name}.mmdb"])(address) == expected


def test_every_entry_of_maxminds_databases_is_read():
    """Each network of each test database, IPv4 and IPv6, gives what its kind is for, or nothing, and no error."""
    given = {path.stem: maxminddb.open_database(path) for path in sorted(MAXMIND.glob("*.mmdb"))}
    assert given
    for name, reader in given.items():
        geo = Geo(None, None, [MAXMIND / f"{name}.mmdb"], private=True)
        kinds = {kind for network, _ in reader for kind in geo(str(network[0])) or ()}
        assert kinds <= {"geo", "as", "isp", "anonymity"}
        wanted = {"City": "geo", "Country": "geo", "ASN": "as", "ISP": "isp", "Anonymous": "anonymity"}
        assert wanted[name.split("-")[1]] in kinds
