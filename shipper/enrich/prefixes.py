"""Finds the networks that an address lies in, and reads addresses as logs write them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Generic, Literal, TypeVar

Value = TypeVar("Value")
Address = IPv4Address | IPv6Address
Reach = Literal["private", "reserved", "public"]

_LONGEST_ADDRESS = 64
_MOST_ADDRESSES = 65_536
# What AWS's NAT64 makes of an IPv4 address: https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-nat64-dns64.html
_NAT64 = IPv6Network("64:ff9b::/96")

# https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry (RFC 6890), and multicast.
# Networks for documentation count as public: examples and the demo use them as such, and no traffic has them.
_PRIVATE = (
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)
_RESERVED = (
    "0.0.0.0/8",
    "192.0.0.0/24",
    "192.88.99.0/24",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "64:ff9b:1::/48",
    "100::/64",
    "2001:2::/48",
    "2001:10::/28",
    "2001:20::/28",
    "5f00::/16",
    "ff00::/8",
)


class Prefixes(Generic[Value]):
    """Networks with a value each, many thousand of them. Never changes, so that any thread may ask.

    Args:
        entries: networks such as `10.0.0.0/8` or `2001:db8::/32`.

    Raises:
        ValueError: one is no network.
    """

    def __init__(self, entries: Iterable[tuple[str, Value]]) -> None:
        tables: dict[tuple[int, int], dict[int, Value]] = {}
        for text, value in entries:
            network = ip_network(text)
            shift = network.max_prefixlen - network.prefixlen
            tables.setdefault((network.version, shift), {})[int(network.network_address) >> shift] = value
        self._tables = [(version, shift, tables[version, shift]) for version, shift in sorted(tables)]

    def find(self, address: Address) -> list[Value]:
        """The values of all networks that an address lies in, the smallest network's first."""
        number, version = int(address), address.version
        found = [table.get(number >> shift) for kind, shift, table in self._tables if kind == version]
        return [value for value in found if value is not None]


_SPECIAL: Prefixes[Reach] = Prefixes([*((text, "private") for text in _PRIVATE), *((t, "reserved") for t in _RESERVED)])


@lru_cache(_MOST_ADDRESSES)
def read_address(text: str) -> Address | None:
    """An address as it stands in a log; IPv4 inside IPv6 (mapped, NAT64) is IPv4. None where the text is none."""
    if len(text) > _LONGEST_ADDRESS:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or (IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address)
    return address


def reach(address: Address) -> Reach:
    """Whether an address means something on the internet.

    Returns:
        `private` where it belongs to a network, host or link of one's own (carriers' shared ones included), `reserved`
        where no host has it: multicast, broadcast, benchmarks.
    """
    found = _SPECIAL.find(address)
    return found[0] if found else "public"
