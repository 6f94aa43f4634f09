"""Tells IP addresses from the service names that AWS writes in their place."""

from __future__ import annotations

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=65_536)
def is_address(text: str) -> bool:
    """Whether a text is an IPv4 or IPv6 address that Elasticsearch's `ip` type takes (no zone, no network)."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text
