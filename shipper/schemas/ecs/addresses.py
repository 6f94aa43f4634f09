"""Tells IP addresses from the service names that AWS writes in their place, and says what is known of them."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Any

from shipper.ports import AddressLookup, GeoLookup


@lru_cache(maxsize=65_536)
def is_address(text: str) -> bool:
    """Whether a text is an IPv4 or IPv6 address that Elasticsearch's `ip` type takes (no zone, no network)."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def address_fields(address: str, geo: GeoLookup | None, addresses: AddressLookup | None) -> dict[str, Any]:
    """What is known of an address that is no end of a document's traffic, for `aws.addresses`; empty where nothing is.

    ECS has geography of ends only.
    """
    known = dict((geo(address) if geo is not None else None) or {})
    facts = addresses(address) if addresses is not None else None
    if facts is not None and facts.cloud is not None:
        known["cloud"] = facts.cloud
    return {"ip": address, **known} if known else {}
