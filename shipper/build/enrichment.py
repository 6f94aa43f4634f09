"""What records are enriched with."""

from __future__ import annotations

from shipper.config import Settings
from shipper.ports import GeoLookup, Lookups


def lookups(settings: Settings) -> Lookups:
    """All that records can be enriched with.

    Raises:
        ConfigError: a database is missing or broken.
    """
    return Lookups(geo=geo(settings))


def geo(settings: Settings) -> GeoLookup | None:
    """The GeoIP databases, or None where none is configured.

    Raises:
        ConfigError: a database is missing or broken.
    """
    paths = settings.enrich.geoip
    if paths.city is None and paths.asn is None:
        return None
    from shipper.enrich.geo import Geo

    return Geo(paths.city, paths.asn)
