"""Where the demo's people, machines and intruders sit, and the GeoIP databases that know it.

Only addresses reserved for documentation (RFC 5737, RFC 3849) and AS numbers likewise (RFC 5398) are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet


@dataclass(frozen=True, slots=True)
class Network:
    """A network with its place and owner, as a GeoIP database tells them."""

    cidr: str
    city: str
    region: tuple[str, str]
    country: tuple[str, str]
    continent: tuple[str, str]
    place: tuple[float, float]
    asn: int
    owner: str


_EUROPE = ("EU", "Europe")
_AMERICA = ("NA", "North America")
_GERMANY = ("DE", "Germany")

HAMBURG = Network(
    "198.51.100.0/27", "Hamburg", ("HH", "Hamburg"), _GERMANY, _EUROPE, (53.55, 9.99), 64496, "Alsternet Fibre"
)
LISBON = Network(
    "198.51.100.32/27", "Lisbon", ("11", "Lisbon"), ("PT", "Portugal"), _EUROPE, (38.72, -9.14), 64497, "Tejo Telecom"
)
TORONTO = Network(
    "2001:db8:70::/48", "Toronto", ("ON", "Ontario"), ("CA", "Canada"), _AMERICA, (43.65, -79.38), 64498, "Maple Line"
)
RUNNERS = Network(
    "198.51.100.128/26",
    "Ashburn",
    ("VA", "Virginia"),
    ("US", "United States"),
    _AMERICA,
    (39.04, -77.49),
    64499,
    "Runner Farm CI",
)
CLOUD = Network(
    "192.0.2.0/25", "Frankfurt am Main", ("HE", "Hesse"), _GERMANY, _EUROPE, (50.11, 8.68), 64500, "Our NAT gateways"
)
INTRUDER = Network(
    "203.0.113.0/26",
    "Reykjavík",
    ("1", "Capital Region"),
    ("IS", "Iceland"),
    _EUROPE,
    (64.15, -21.94),
    64511,
    "Fjord VPS Hosting",
)
SCANNERS = Network(
    "203.0.113.128/26",
    "São Paulo",
    ("SP", "São Paulo"),
    ("BR", "Brazil"),
    ("SA", "South America"),
    (-23.55, -46.63),
    64510,
    "Bandeirante Broadband",
)
NIGHTSHIFT = Network(
    "203.0.113.64/26",
    "Hanoi",
    ("HN", "Hanoi"),
    ("VN", "Vietnam"),
    ("AS", "Asia"),
    (21.03, 105.85),
    64509,
    "Red River Host",
)
SPRAYERS = Network(
    "198.51.100.192/26",
    "Chicago",
    ("IL", "Illinois"),
    ("US", "United States"),
    _AMERICA,
    (41.88, -87.63),
    64508,
    "Lakeside Cheap VPS",
)
MADRID = Network(
    "192.0.2.128/26", "Madrid", ("MD", "Madrid"), ("ES", "Spain"), _EUROPE, (40.42, -3.70), 64501, "Meseta Móvil"
)
WARSAW = Network(
    "192.0.2.192/26", "Warsaw", ("14", "Mazovia"), ("PL", "Poland"), _EUROPE, (52.23, 21.01), 64502, "Wisła Broadband"
)
COPENHAGEN = Network(
    "198.51.100.64/26",
    "Copenhagen",
    ("84", "Capital Region"),
    ("DK", "Denmark"),
    _EUROPE,
    (55.68, 12.57),
    64503,
    "Øresund Net",
)

CUSTOMERS = (MADRID, WARSAW, COPENHAGEN)
KNOCKERS = (SCANNERS, NIGHTSHIFT, SPRAYERS)
NETWORKS = (HAMBURG, LISBON, TORONTO, RUNNERS, CLOUD, INTRUDER, *KNOCKERS, *CUSTOMERS)


def write_geoip(folder: Path) -> tuple[Path, Path]:
    """Write a City and an ASN database in MaxMind's layout.

    Args:
        folder: an existing folder.

    Returns:
        The paths of the City and of the ASN database.
    """
    city, asn = _writer("GeoLite2-City"), _writer("GeoLite2-ASN")
    for network in NETWORKS:
        city.insert_network(IPSet([network.cidr]), _city(network))
        asn.insert_network(
            IPSet([network.cidr]),
            {"autonomous_system_number": network.asn, "autonomous_system_organization": network.owner},
        )
    paths = folder / "demo-City.mmdb", folder / "demo-ASN.mmdb"
    city.to_db_file(str(paths[0]))
    asn.to_db_file(str(paths[1]))
    return paths


def _writer(kind: str) -> Any:
    return MMDBWriter(
        ip_version=6, ipv4_compatible=True, database_type=kind, languages=["en"], description="shipper's demo"
    )


def _city(network: Network) -> dict[str, Any]:
    return {
        "continent": {"code": network.continent[0], "names": {"en": network.continent[1]}},
        "country": {"iso_code": network.country[0], "names": {"en": network.country[1]}},
        "subdivisions": [{"iso_code": network.region[0], "names": {"en": network.region[1]}}],
        "city": {"names": {"en": network.city}},
        "location": {"latitude": network.place[0], "longitude": network.place[1]},
    }
