"""What single values of a flow log mean in ECS: addresses, times, protocols, TCP flags, actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

import orjson

from shipper.model import Indicator
from shipper.ports import AddressLookup, GeoLookup, IndicatorLookup
from shipper.schemas.community_id import packed_address, packed_port
from shipper.schemas.ecs.addresses import address_fields
from shipper.schemas.event_times import LAST_MS, MILLISECONDS_FROM

_MOST_ADDRESSES = 20_000
_MOST_TIMES = 10_000

TRANSPORTS: Final = {
    0: "hopopt",
    1: "icmp",
    2: "igmp",
    4: "ipv4",
    6: "tcp",
    8: "egp",
    17: "udp",
    41: "ipv6",
    47: "gre",
    50: "esp",
    51: "ah",
    58: "ipv6-icmp",
    88: "eigrp",
    89: "ospf",
    103: "pim",
    112: "vrrp",
    132: "sctp",
}
"""IANA's keywords in lower case; those of Elastic's integration and a few more."""

_FLAGS = ("fin", "syn", "rst", "psh", "ack", "urg")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address and what is known of it.

    Attributes:
        fields: ECS's `address`, `ip`, `geo`, `as`; shared, never change it.
        json: the same as text, without braces.
        type: ECS's network.type.
        cloud: ECS's cloud.origin of a source and cloud.target of a destination; None where it is not AWS's.
        origin, target: the same as JSON members, with a comma before; "" where it is not AWS's.
        internal: it is within one's own networks; None where nobody was asked.
        indicator: what a list calls bad of it.
        apart: what `aws.addresses` has of it where it is no end of the traffic, as JSON; "" where nothing is known.
    """

    packed: bytes
    type: Literal["ipv4", "ipv6"]
    fields: dict[str, Any]
    json: str
    cloud: Mapping[str, Any] | None = None
    origin: str = ""
    target: str = ""
    internal: bool | None = None
    indicator: Indicator | None = None
    apart: str = ""


DIRECTIONS: Final[dict[tuple[bool | None, bool | None], str]] = {
    (True, True): "internal",
    (True, False): "outbound",
    (False, True): "inbound",
    (False, False): "external",
}
"""ECS's network.direction as the perimeter sees it, by whether source and destination are within it."""
DIRECTION_MEMBERS: Final = {ends: f',"direction":"{name}"' for ends, name in DIRECTIONS.items()}


class Endpoints(dict[str, Endpoint]):
    """The addresses met so far, so that each is looked up once.

    `get` is the fast way and `find` the whole one. Bounded: emptied when full. Safe to use from many threads.
    """

    def __init__(
        self,
        geo: GeoLookup | None,
        addresses: AddressLookup | None = None,
        indicators: IndicatorLookup | None = None,
    ) -> None:
        super().__init__()
        self._geo = geo
        self._addresses = addresses
        self._indicators = indicators

    def find(self, address: str) -> Endpoint | None:
        """The endpoint, None where the text is no IP address."""
        known = self.get(address)
        if known is not None:
            return known
        packed = packed_address(address)
        if packed is None:
            return None
        fields: dict[str, Any] = {"address": address, "ip": address}
        if self._geo is not None:
            fields.update(self._geo(address) or {})
        text = orjson.dumps(fields).decode()[1:-1]
        if len(self) >= _MOST_ADDRESSES:
            self.clear()
        endpoint = Endpoint(packed, "ipv4" if len(packed) == 4 else "ipv6", fields, text)
        if self._addresses is not None and (facts := self._addresses(address)):
            origin, target = (json_members({name: facts.cloud}) if facts.cloud else "" for name in ("origin", "target"))
            endpoint = replace(endpoint, cloud=facts.cloud, origin=origin, target=target, internal=facts.internal)
        if apart := address_fields(address, self._geo, self._addresses):
            endpoint = replace(endpoint, apart=orjson.dumps(apart).decode())
        if self._indicators is not None and (indicator := self._indicators.address(address)):
            endpoint = replace(endpoint, indicator=indicator)
        self[address] = endpoint
        return endpoint


class Ports(dict[str, bytes]):
    """The ports met so far, packed; at most 65,536. Safe to use from many threads."""

    def find(self, text: str) -> bytes | None:
        """The port in network order, None where the text is none."""
        known = self.get(text)
        if known is not None:
            return known
        value = whole_number(text)
        if value is None or value > 65_535 or str(value) != text:
            return None
        self[text] = packed = packed_port(value)
        return packed


class Times(dict[str, tuple[int, str]]):
    """The times met so far: a flow log repeats the same few seconds. Bounded, safe to use from many threads."""

    def find(self, text: str) -> tuple[int, str] | None:
        """Milliseconds since the epoch and ISO 8601, None where the text is no time.

        AWS documents Unix seconds; milliseconds have been seen (flowlogs-reader's sources) and are told by their size.
        """
        known = self.get(text)
        if known is not None:
            return known
        value = whole_number(text)
        if value is None:
            return None
        time_ms = value if value >= MILLISECONDS_FROM else value * 1000
        if time_ms > LAST_MS:
            return None
        if len(self) >= _MOST_TIMES:
            self.clear()
        self[text] = found = (time_ms, iso_time(time_ms))
        return found


def iso_time(time_ms: int) -> str:
    """Milliseconds since the epoch as ISO 8601 in UTC with milliseconds."""
    stamp = datetime.fromtimestamp(time_ms // 1000, UTC)
    return f"{stamp:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


def whole_number(text: str) -> int | None:
    """A number without sign that fits Elasticsearch's `long`, None for any other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def transport_fields(protocol: int) -> dict[str, str]:
    """ECS's network.iana_number and, where it has a keyword, network.transport."""
    fields = {"iana_number": str(protocol)}
    if protocol in TRANSPORTS:
        fields["transport"] = TRANSPORTS[protocol]
    return fields


def tcp_flag_names(text: str) -> list[str]:
    """The flags of a bit mask by name, such as `["syn", "ack"]` for 18; none for any other text."""
    mask = whole_number(text) or 0
    return [name for bit, name in enumerate(_FLAGS) if mask >> bit & 1]


def action_fields(action: str) -> dict[str, Any]:
    """ECS's event.type, event.action and event.outcome of a flow log's action; `-` where it has none."""
    fields: dict[str, Any] = {"type": ["connection"]}
    if action != "-":
        fields["action"] = action
    if action in {"ACCEPT", "REJECT"}:
        fields["type"].append("allowed" if action == "ACCEPT" else "denied")
        fields["outcome"] = "success" if action == "ACCEPT" else "failure"
    return fields


def json_members(fields: Mapping[str, Any]) -> str:
    """A dict as JSON members, each with a comma before it, without braces."""
    return "," + orjson.dumps(fields).decode()[1:-1] if fields else ""


PROTOCOLS: Final = {str(number): (number, json_members(transport_fields(number))) for number in range(256)}
"""By text: the number, and its JSON members for `network`."""
