"""What is added to records: the keys of the `enrich` section."""

from __future__ import annotations

from pydantic import Field

from shipper.config.part import Part
from shipper.config.values import FilePath


class Geoip(Part):
    """Databases in MaxMind's layout."""

    city: FilePath | None = Field(None, description="City database (.mmdb).")
    asn: FilePath | None = Field(None, description="ASN database (.mmdb).")


class Enrich(Part):
    """What is added to records."""

    geoip: Geoip = Field(Geoip(), description="Geography and network owner of addresses.")
