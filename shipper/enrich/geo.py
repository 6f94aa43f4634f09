"""Geography and network owner of addresses, from local databases in the MMDB format."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any

import maxminddb
import structlog

from shipper.errors import ConfigError

_MOST_ADDRESSES = 65_536
_LONGEST_ADDRESS = 64

log = structlog.get_logger(__name__)


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
    """A `ports.GeoLookup` over up to two databases. Safe to use from many threads; keeps what it found for the last
    65,536 addresses.

    Understands MaxMind's nested layout (City, Country, ASN and their relatives; DB-IP's too) and flat layouts (IPinfo).
    Private addresses are looked up as well: a company may have put its own networks into a database.

    A file that is replaced (moved over the old one) is used within `look_seconds`, both databases at once; where a new
    one cannot be read, the old ones stay in use, and that is logged.

    Args:
        city: a City or Country database.
        asn: an ASN or ISP database.
        look_seconds: how often the files are looked at.
        reloads: told whether a replaced file could be read.

    Raises:
        ConfigError: a file is missing, unreadable or no MMDB.
    """

    def __init__(
        self,
        city: Path | None,
        asn: Path | None,
        *,
        look_seconds: float = 30.0,
        reloads: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._paths = (city, asn)
        self._look_seconds = look_seconds
        self._reloads = reloads
        self._mutex = threading.Lock()
        self._seen = self._stamps()
        self._now = _Databases(city, asn)
        self._look_at = time.monotonic() + look_seconds

    def __call__(self, address: str) -> Mapping[str, Any] | None:
        """Return ECS's `{"geo": {…}, "as": {…}}` (either may be absent), shared: never change it.

        None where nothing is known, or where `address` is no IP address. Never raises.
        """
        if time.monotonic() > self._look_at:
            self._look()
        return self._now.find(address) if len(address) <= _LONGEST_ADDRESS else None

    def describe(self) -> list[Database]:
        """Kind and age of the databases, for `shipper check`."""
        return self._now.describe()

    def _look(self) -> None:
        """Open files that were replaced; one thread does, the others go on with what is open."""
        if not self._mutex.acquire(blocking=False):
            return
        try:
            self._look_at = time.monotonic() + self._look_seconds
            stamps = self._stamps()
            if stamps == self._seen:
                return
            self._seen = stamps
            try:
                self._now = _Databases(*self._paths)
            except ConfigError as error:
                log.error("a GeoIP database cannot be read, the old ones stay in use", why=str(error), hint=error.hint)  # noqa: TRY400 - no traceback wanted
                self._reloads(False)
            else:
                built = [f"{known.kind} of {known.built:%Y-%m-%d}" for known in self._now.describe()]
                log.info("GeoIP databases were replaced", databases=built)
                self._reloads(True)
        finally:
            self._mutex.release()

    def _stamps(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(path) for path in self._paths if path)


class _Databases:
    """Two open databases, and what was found in them."""

    def __init__(self, city: Path | None, asn: Path | None) -> None:
        self._city = _open(city) if city else None
        self._asn = _open(asn) if asn else None
        self._paths = tuple(path for path in (city, asn) if path)
        self.find = lru_cache(_MOST_ADDRESSES)(self._find)

    def describe(self) -> list[Database]:
        readers = [reader for reader in (self._city, self._asn) if reader]
        return [
            Database(path, metadata.database_type, datetime.fromtimestamp(metadata.build_epoch, UTC))
            for path, metadata in zip(self._paths, (reader.metadata() for reader in readers), strict=True)
        ]

    def _find(self, address: str) -> Mapping[str, Any] | None:
        try:
            parsed = ip_address(address)
        except ValueError:
            return None
        if isinstance(parsed, IPv6Address):
            parsed = parsed.ipv4_mapped or parsed
        found: dict[str, Any] = {}
        for reader in (self._city, self._asn):
            entry = _entry(reader, str(parsed)) if reader else {}
            if reader is self._city and (place := _place(entry)):
                found["geo"] = place
            if owner := _owner(entry):
                found["as"] = owner
        return found or None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What tells one file of a name from the next."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


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


def _owner(entry: Mapping[str, Any]) -> dict[str, Any]:
    number = entry.get("autonomous_system_number", entry.get("asn"))
    name = entry.get("autonomous_system_organization") or entry.get("as_name")
    digits = str(number or "").upper().removeprefix("AS")
    owner: dict[str, Any] = {}
    if digits.isdecimal():
        owner["number"] = int(digits)
    if name:
        owner["organization"] = {"name": name}
    return owner


def _name(part: object) -> str | None:
    names = _get(part, "names")
    return names.get("en") if isinstance(names, dict) else None


def _get(part: object, key: str) -> Any:
    return part.get(key) if isinstance(part, dict) else None


def _first(parts: object) -> object:
    return parts[0] if isinstance(parts, list) and parts else None


def _text(part: object) -> str | None:
    return part if isinstance(part, str) else None
