"""Who runs the network that an address is in, and whether it hides who uses it, as MMDB entries say it.

Layouts: https://dev.maxmind.com/geoip/docs/databases/isp, …/anonymous-ip and …/enterprise,
https://db-ip.com/db/format/ip-to-isp/mmdb.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_ANONYMITY = {
    "is_anonymous": "anonymous",
    "is_anonymous_vpn": "anonymous_vpn",
    "is_hosting_provider": "hosting_provider",
    "is_public_proxy": "public_proxy",
    "is_residential_proxy": "residential_proxy",
    "is_tor_exit_node": "tor_exit_node",
}
"""MaxMind's names, and those that Elasticsearch's geoip processor gives."""


def owner_fields(entry: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ECS's `as`, and beside it `isp` and `anonymity`, which ECS does not have; empty where unknown."""
    traits = entry.get("traits")
    traits = traits if isinstance(traits, dict) else {}
    both = {**entry, **traits}
    yield "as", _system(both)
    isp = {"name": both.get("isp"), "organization": both.get("organization")}
    yield "isp", {key: value for key, value in isp.items() if isinstance(value, str) and value}
    yield "anonymity", {name: True for key, name in _ANONYMITY.items() if both.get(key) is True}


def _system(entry: Mapping[str, Any]) -> dict[str, Any]:
    number = entry.get("autonomous_system_number", entry.get("asn"))
    name = entry.get("autonomous_system_organization") or entry.get("as_name")
    digits = str(number or "").upper().removeprefix("AS")
    owner: dict[str, Any] = {}
    if digits.isdecimal():
        owner["number"] = int(digits)
    if isinstance(name, str) and name:
        owner["organization"] = {"name": name}
    return owner
