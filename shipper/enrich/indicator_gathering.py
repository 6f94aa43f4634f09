"""Gathers the indicators of lists into the numbers that compact tables are built of."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field

import msgspec

from shipper.enrich.indicator_files import Entry
from shipper.enrich.indicator_tables import Details, packed_address, packed_hash, packed_network
from shipper.errors import ConfigError

_MOST_WILD_AGENTS = 1_000

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Gathered:
    """Indicators on their way into tables, as numbers that tables take.

    Attributes:
        details: what is known of each, or the number of who says so and the network.
        providers: by name, the numbers of those who say so.
        networks: of IPv4.
        wide_networks, narrow_networks: of IPv6, up to 64 bits and longer.
        narrow_lengths: of the latter, in bits.
        dots: how many the domains have.
        wild_agents: user agents with `*`.
    """

    details: Details = field(default_factory=Details)
    providers: dict[str, int] = field(default_factory=dict)
    networks: list[int] = field(default_factory=list)
    wide_networks: list[int] = field(default_factory=list)
    narrow_networks: list[int] = field(default_factory=list)
    narrow_lengths: set[int] = field(default_factory=set)
    domains: list[int] = field(default_factory=list)
    dots: set[int] = field(default_factory=set)
    agents: list[int] = field(default_factory=list)
    wild_agents: list[tuple[re.Pattern[str], int]] = field(default_factory=list)

    def add(self, entry: Entry, provider: str) -> None:
        """Take one in.

        Raises:
            ConfigError: there are too many user agents with `*`.
        """
        if entry.kind == "address":
            self._add_network(entry, provider)
            return
        if entry.kind == "domain":
            self.dots.add(entry.value.count("."))
            self.domains.append(packed_hash(entry.value, self._detail(entry, provider, None)))
        elif "*" in entry.value:
            if len(self.wild_agents) >= _MOST_WILD_AGENTS:
                raise ConfigError(f"more than {_MOST_WILD_AGENTS} user agents with *", "write the whole user agents")
            wild = re.compile(fnmatch.translate(entry.value.replace("[", "[[]")))
            self.wild_agents.append((wild, self._detail(entry, provider, entry.value)))
        else:
            self.agents.append(packed_hash(entry.value, self._detail(entry, provider, None)))

    def _add_network(self, entry: Entry, provider: str) -> None:
        address, slash, text = entry.value.partition("/")
        packed = packed_address(address)
        if packed is None:
            return
        bits = 8 * len(packed)
        length = int(text) if slash else bits
        if slash and ":" in address and bits == 32:  # ::ffff:203.0.113.0/120
            length = max(length - 96, 0)
        detail = self._detail(entry, provider, entry.value if length < bits else None)
        number = int.from_bytes(packed) >> (bits - length) << (bits - length)
        if bits == 32:
            self.networks.append(packed_network(number, length, detail))
        elif length <= 64:
            self.wide_networks.append(packed_network(number >> 64, length, detail))
        else:
            self.narrow_lengths.add(length)
            self.narrow_networks.append(packed_hash(narrow_key(packed, length), detail))

    def _detail(self, entry: Entry, provider: str, value: str | None) -> int:
        """The number of what is known of an entry: most often who says so, and the network, in few bytes."""
        if entry.details:
            return self.details.add(_encode({"provider": provider, "value": value, **dict(entry.details)}))
        number = self.providers.setdefault(provider, len(self.providers))
        return self.details.add(b"%d %b" % (number, (value or "").encode()))


def narrow_key(packed: bytes, length: int) -> bytes:
    """What stands for the IPv6 network of a length that an address is in."""
    if length == 128:
        return packed
    number = int.from_bytes(packed) >> (128 - length) << (128 - length)
    return number.to_bytes(16) + bytes([length])
