"""Geography and network owner of addresses, from local databases in the MMDB format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import maxminddb

from shipper.enrich.network_owners import owner_fields
from shipper.enrich.prefixes import reach, read_address
from shipper.enrich.watched import Watched
from shipper.errors import ConfigError

_MOST_ADDRESSES = 65_536
_ORDER = ("geo", "as", "isp", "anonymity")


@dataclass(frozen=True, slots=True)
class Database:
    """What `shipper check` tells of one database.

    Attributes:
        kind: the database's own name of its type, such as `GeoLite2-City`.
        built: when its maker built it.
    """

    path: Path
    kind: str
    built: datetime


class Geo:
    """A `ports.GeoLookup` over some databases. Safe to use from many threads; keeps what it found for the last
    65,536 addresses.

    Understands MaxMind's nested layouts (City, Country, Enterprise, ASN, ISP, Anonymous IP), DB-IP's (which says owners
    under `traits`) and flat ones (IPinfo). Of what several databases say, the first one that says it counts: the owner
    by `asn`, then `city` and the others in their order.

    A file that is replaced (moved over the old one) is used within `look_seconds`, all databases at once; where a new
    one cannot be read, the old ones stay in use, and that is logged.

    Args:
        city: a City, Country or Enterprise database.
        asn: an ASN or ISP database; its geography is not used.
        others: databases of any kind.
        private: look up private and reserved addresses too, for databases that have networks of one's own.
        look_seconds: how often the files are looked at.
        reloads: told whether a replaced file could be read.

    Raises:
        ConfigError: a file is missing, unreadable or no MMDB.
    """

    def __init__(
        self,
        city: Path | None,
        asn: Path | None,
        others: Sequence[Path] = (),
        *,
        private: bool = False,
        look_seconds: float = 30.0,
        reloads: Callable[[bool], None] = lambda _: None,
    ) -> None:
        located = [path for path in (city, *others) if path]
        owning = [asn] if asn else []
        self._databases = Watched(
            [*located, *owning],
            lambda: _Databases(located, owning, private=private),
            "GeoIP databases",
            look_seconds=look_seconds,
            told=reloads,
            describe=lambda now: [f"{known.kind} of {known.built:%Y-%m-%d}" for known in now.describe()],
        )

    def __call__(self, address: str) -> Mapping[str, Any] | None:
        """Return ECS's `{"geo": {…}, "as": {…}}` (any may be absent), shared: never change it.

        None where nothing is known, or where `address` is no IP address. Never raises.
        """
        return self._databases.now().find(address)

    def describe(self) -> list[Database]:
        """Kind and age of the databases, for `shipper check`."""
        return self._databases.now().describe()


class _Databases:
    """Open databases, and what was found in them."""

    def __init__(self, located: Sequence[Path], owning: Sequence[Path], *, private: bool) -> None:
        self._located = [_open(path) for path in located]
        self._owning = [_open(path) for path in owning]
        self._paths = (*located, *owning)
        self._private = private
        self.find = lru_cache(_MOST_ADDRESSES)(self._find)

    def describe(self) -> list[Database]:
        readers = [*self._located, *self._owning]
        return [
            Database(path, metadata.database_type, datetime.fromtimestamp(metadata.build_epoch, UTC))
            for path, metadata in zip(self._paths, (reader.metadata() for reader in readers), strict=True)
        ]

    def _find(self, text: str) -> Mapping[str, Any] | None:
        address = read_address(text)
        if address is None or not (self._private or reach(address) == "public"):
            return None
        found: dict[str, Any] = {}
        for reader in (*self._owning, *self._located):
            entry = _entry(reader, str(address).partition("%")[0])
            if entry:
                place = {} if reader in self._owning else _place(entry)
                for name, part in (("geo", place), *owner_fields(entry)):
                    if part:
                        found.setdefault(name, part)
        return {name: found[name] for name in _ORDER if name in found} or None


def _open(path: Path) -> maxminddb.Reader:
    try:
        return maxminddb.open_database(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror or error}", "name an MMDB file that this user can read, or leave the key out"
        ) from error
    except (maxminddb.InvalidDatabaseError, ValueError) as error:
        raise ConfigError(f"{path}: not a readable MMDB database: {error}", "download the database again") from error


def _entry(reader: maxminddb.Reader, address: str) -> Mapping[str, Any]:
    """The database's entry for an address; empty where it has none.

    A database for IPv4 alone refuses IPv6 with ValueError; a damaged page is no reason to lose a log record.
    """
    try:
        entry = reader.get(address)
    except (ValueError, maxminddb.InvalidDatabaseError):
        return {}
    return entry if isinstance(entry, dict) else {}


def _place(entry: Mapping[str, Any]) -> dict[str, Any]:
    """ECS's geo fields, with the values that Elasticsearch's geoip processor gives."""
    country, region = entry.get("country"), _first(entry.get("subdivisions"))
    country_code = _get(country, "iso_code") or _text(country) or entry.get("country_code")
    region_code = _get(region, "iso_code")
    fields = {
        "continent_name": _name(entry.get("continent")) or entry.get("continent_name"),
        "country_iso_code": country_code,
        "country_name": _name(country) or entry.get("country_name"),
        "region_iso_code": f"{country_code}-{region_code}" if country_code and region_code else None,
        "region_name": _name(region) or _text(entry.get("region")) or entry.get("state1"),
        "city_name": _name(entry.get("city")) or _text(entry.get("city")),
        "location": _location(entry),
    }
    return {key: value for key, value in fields.items() if value}


def _location(entry: Mapping[str, Any]) -> dict[str, float] | None:
    where = entry.get("location")
    where = where if isinstance(where, dict) else entry
    latitude, longitude = where.get("latitude", where.get("lat")), where.get("longitude", where.get("lng"))
    if latitude is None or longitude is None:
        return None
    try:
        return {"lat": float(latitude), "lon": float(longitude)}
    except (TypeError, ValueError):
        return None


def _name(part: object) -> str | None:
    names = _get(part, "names")
    return names.get("en") if isinstance(names, dict) else None


def _get(part: object, key: str) -> Any:
    return part.get(key) if isinstance(part, dict) else None


def _first(parts: object) -> object:
    return parts[0] if isinstance(parts, list) and parts else None


def _text(part: object) -> str | None:
    return part if isinstance(part, str) else None
