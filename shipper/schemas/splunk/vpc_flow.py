"""VPC and Transit Gateway flow log lines as HEC envelopes, for the Splunk Add-on for AWS.

The event is AWS's own line where the add-on takes it apart at search time, else a JSON object with the add-on's names;
see `flow_events`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from shipper.errors import BadInputError
from shipper.flow_layouts import EXPORT_TIME, layout_from_count
from shipper.model import AddressFacts, Document, LogEvent, Origin, Record
from shipper.ports import AddressLookup, Clock, Encoder, GeoLookup, IndicatorLookup, InterfaceLookup, wall_clock
from shipper.schemas.event_times import LAST_MS, MILLISECONDS_FROM
from shipper.schemas.fallback_times import NO_TIME, fallback_ms
from shipper.schemas.flow_lines import NO_LAYOUT, FlowChecks, exported_ms
from shipper.schemas.line_ids import line_ids
from shipper.schemas.log_event_ids import event_document_id
from shipper.schemas.splunk.flow_events import event_writer, is_transit_gateway
from shipper.schemas.splunk.flow_owners import OwnerFields
from shipper.schemas.splunk.places import FlatPlaces
from shipper.schemas.splunk.stream_sources import stream_source
from shipper.schemas.splunk.tags import TAGS_MEMBER
from shipper.schemas.splunk.threats import flat_threat

SOURCETYPE = "aws:cloudwatchlogs:vpcflow"
TRANSIT_GATEWAY_SOURCETYPE = "aws:transitgateway:flowlogs"

LineEncoder = Callable[[bytes, Callable[[int], str], int], "tuple[str, int, bytes]"]
"""(line, identity, fallback_ms) → (document id, time in milliseconds since the epoch, envelope).

`identity` makes the id of a time in milliseconds; `fallback_ms` is the time where the line has none. Raises
BadInputError for a line that cannot be a document.
"""

_PACKET = (("pkt-srcaddr", "pkt_src"), ("pkt-dstaddr", "pkt_dest"))
"""The packets' own addresses behind a NAT gateway, told of where they are others than the flow's."""
_MOST_ADDRESSES = 50_000
_DIRECTIONS: dict[tuple[bool | None, bool | None], str] = {
    (True, True): ',"network_direction":"internal"',
    (True, False): ',"network_direction":"outbound"',
    (False, True): ',"network_direction":"inbound"',
    (False, False): ',"network_direction":"external"',
}


class VpcFlowSplunk:
    """Makes HEC envelopes of flow log lines. Safe to use from many threads.

    Args:
        index: "" for the token's own.
        host: "" for none.
        geo: None to leave out geography and network owner.
        addresses: None to leave out whose addresses are, and the direction.
        interfaces: None to leave out whose the interfaces are.
        names: None to leave out what accounts and regions are called.
        indicators: None to leave out threats.
        geo_seconds: how long what was found for an address is kept.
        clock: the time of lines that have none, in files whose names have none either.
    """

    def __init__(
        self,
        index: str,
        host: str,
        geo: GeoLookup | None,
        indicators: IndicatorLookup | None = None,
        *,
        addresses: AddressLookup | None = None,
        interfaces: InterfaceLookup | None = None,
        names: FlatPlaces | None = None,
        geo_seconds: float = 600.0,
        clock: Clock = wall_clock,
    ) -> None:
        self._index = index
        self._host = host
        self._geo = geo
        self._geo_seconds = geo_seconds
        self._clock = clock
        self._addresses = addresses
        self._names = names
        self._owners = OwnerFields(interfaces, directed=addresses is None) if interfaces is not None else None
        self._indicators = indicators
        self._version = indicators.look() if indicators is not None else 0
        self._places = _Places(geo, addresses, indicators)
        self._checks = FlowChecks()
        self._opened = time.monotonic()

    def encoder(self, origin: Origin) -> Encoder:
        """Return a function for the records of one S3 object or file."""
        otherwise_ms = fallback_ms(origin, self._clock)
        identity = line_ids(origin.uri)
        index = self._index
        layout: tuple[str, ...] = ()
        line_encoder = self.line_encoder(layout, origin.uri, (origin.account, origin.region))

        def encode(record: Record) -> Document:
            nonlocal layout, line_encoder
            if record.event is not None:
                return self._of_event(record, record.event, origin)
            if record.layout is not layout:
                layout = record.layout
                line_encoder = self.line_encoder(layout, origin.uri, (origin.account, origin.region))
            position = record.position
            key, time_ms, body = line_encoder(record.raw, lambda time_ms: identity(time_ms, position), otherwise_ms)
            return Document(key, index, time_ms, body, record, origin)

        return encode

    def _of_event(self, record: Record, event: LogEvent, origin: Origin) -> Document:
        """A line that came as an event of CloudWatch Logs, with the event's own identity and place."""
        stream = event.stream
        layout = record.layout or layout_from_count(record.raw.count(b" ") + 1)
        if layout is None:
            raise BadInputError(NO_LAYOUT)
        source = stream_source(stream, origin.uri)
        encode = self.line_encoder(layout, source, (stream.account, stream.region), timed=True)
        key, time_ms, body = encode(record.raw, lambda _: event_document_id(event, event.time_ms), event.time_ms)
        return Document(key, self._index, time_ms, body, record, origin)

    def line_encoder(
        self, layout: Sequence[str], source: str, place: tuple[str, str] = ("", ""), *, timed: bool = False
    ) -> LineEncoder:
        """Return a function for single lines of one layout, for sources that know their own identity.

        Args:
            layout: AWS's field names in order.
            source: HEC's `source`.
            place: account and region where a line does not say; "" for unknown.
            timed: the time where a line has none is that of its event, so that it needs no tag.
        """
        version = self._indicators.look() if self._indicators is not None else 0
        if time.monotonic() - self._opened > self._geo_seconds or version != self._version:
            self._opened, self._version = time.monotonic(), version
            self._places = _Places(self._geo, self._addresses, self._indicators)
        columns = {name: index for index, name in reversed(list(enumerate(layout)))}
        head, written = self._head(columns, source), event_writer(layout)
        ends = [(columns[name], side) for name, side in (("srcaddr", "src"), ("dstaddr", "dest")) if name in columns]
        start, end = columns.get("start", -1), columns.get("end", -1)
        asks = any(part is not None for part in (self._geo, self._addresses, self._indicators))
        find, direction = self._places.find if asks else _nothing, self._places.direction
        packet = [(columns[name], side) for name, side in _PACKET if name in columns] if asks else []
        one, other = columns.get("srcaddr", -1), columns.get("dstaddr", -1)
        directed = self._addresses is not None and min(one, other) >= 0 and "flow-direction" not in columns
        names = self._names
        accounts, regions = columns.get("account-id", -1), columns.get("region", -1)
        owned = self._owners.of_lines(layout, place) if self._owners is not None else None

        problem, exported = self._checks.of(layout), tuple(layout[:1]) == (EXPORT_TIME,)
        untimed = "" if timed else (TAGS_MEMBER % orjson.dumps([NO_TIME])).decode()

        def encode(line: bytes, identity: Callable[[int], str], fallback_ms: int) -> tuple[str, int, bytes]:
            text = line.decode("utf-8", "replace")
            parts = text.split(" ")
            if (wrong := problem(parts)) is not None:
                raise BadInputError(wrong)
            start_ms, end_ms = _time_ms(parts, start), _time_ms(parts, end)
            event_ms = exported_ms(parts[0]) if exported and not start_ms and not end_ms else None
            time_ms = start_ms or end_ms or event_ms or fallback_ms
            key = identity(end_ms or time_ms)
            more = untimed if not start_ms and not end_ms and not event_ms else ""
            more += "".join([find((parts[column], side)) for column, side in ends if column < len(parts)])
            for column, side in packet:
                if column < len(parts) and parts[column] not in ("-", *parts[one : one + 1], *parts[other : other + 1]):
                    more += find((parts[column], side))
            if directed and max(one, other) < len(parts):
                more += direction((parts[one], parts[other]))
            if owned is not None:
                more += owned(parts, time_ms)
            if names is not None:
                more += names.find(_said(parts, accounts, place[0]), _said(parts, regions, place[1])).decode()
            envelope = (
                f'{{"time":{time_ms // 1000}.{time_ms % 1000:03d},{head}"event":{written(text, parts)},'
                f'"fields":{{"event_uid":"{key}"{more}}}}}'
            )
            return key, time_ms, envelope.encode()

        return encode

    def _head(self, columns: Mapping[str, int], source: str) -> str:
        named = {
            "host": self._host,
            "source": source,
            "sourcetype": TRANSIT_GATEWAY_SOURCETYPE if is_transit_gateway(list(columns)) else SOURCETYPE,
            "index": self._index,
        }
        return orjson.dumps({name: value for name, value in named.items() if value}).decode()[1:-1] + ","


class _Places(dict[tuple[str, str], str]):
    """The indexed fields of an address and side, as JSON members with a comma before each. Bounded."""

    def __init__(
        self, geo: GeoLookup | None, addresses: AddressLookup | None, indicators: IndicatorLookup | None
    ) -> None:
        super().__init__()
        self._geo = geo
        self._addresses = addresses
        self._indicators = indicators
        self._directions: dict[tuple[str, str], str] = {}

    def direction(self, ends: tuple[str, str]) -> str:
        """The direction of a flow from one address to another, as a JSON member with a comma before it."""
        known = self._directions.get(ends)
        if known is not None:
            return known
        facts = [self._addresses(end) if self._addresses is not None else None for end in ends]
        internal = [fact.internal if fact is not None else None for fact in facts]
        if len(self._directions) >= _MOST_ADDRESSES:
            self._directions.clear()
        text = self._directions[ends] = _DIRECTIONS.get((internal[0], internal[1]), "")
        return text

    def find(self, end: tuple[str, str]) -> str:
        known = self.get(end)
        if known is not None:
            return known
        address, side = end
        found = self._geo(address) if self._geo is not None else None
        fields = flat_geography(found, side) if found else {}
        if self._indicators is not None:
            fields |= flat_threat(self._indicators.address(address), side)
        if len(self) >= _MOST_ADDRESSES:
            self.clear()
        if self._addresses is not None and (facts := self._addresses(address)):
            fields.update(flat_cloud(facts, side))
        text = self[end] = "," + orjson.dumps(fields).decode()[1:-1] if fields else ""
        return text


def _nothing(_: tuple[str, str]) -> str:
    return ""


def flat_cloud(facts: AddressFacts, side: str) -> dict[str, Any]:
    """Whose an address is as flat fields: `src_cloud_provider`, `src_cloud_service`, `src_cloud_region`."""
    cloud = facts.cloud or {}
    service = cloud.get("service", {})
    fields = {"provider": cloud.get("provider"), "service": service.get("name"), "region": cloud.get("region")}
    return {f"{side}_cloud_{name}": value for name, value in fields.items() if value is not None}


def flat_geography(found: Mapping[str, Any], side: str) -> dict[str, Any]:
    """ECS's `geo` and `as` as flat fields: `src_country`, `src_city`, `src_asn` …; HEC takes no nested ones."""
    geo, network, isp = found.get("geo", {}), found.get("as", {}), found.get("isp", {})
    location = geo.get("location", {})
    fields = {
        "country": geo.get("country_name"),
        "country_code": geo.get("country_iso_code"),
        "region": geo.get("region_name"),
        "city": geo.get("city_name"),
        "lat": location.get("lat"),
        "lon": location.get("lon"),
        "asn": network.get("number"),
        "as_org": network.get("organization", {}).get("name"),
        "isp": isp.get("name"),
        "isp_organization": isp.get("organization"),
        "anonymity": list(found.get("anonymity", ())) or None,
    }
    return {f"{side}_{name}": value for name, value in fields.items() if value is not None}


def _said(parts: Sequence[str], column: int, otherwise: str) -> str:
    """A column's text; `otherwise` where the line does not say it."""
    text = parts[column] if 0 <= column < len(parts) else "-"
    return text if text != "-" else otherwise


def _time_ms(parts: Sequence[str], column: int) -> int:
    """A column's time in milliseconds since the epoch, 0 where it has none."""
    if not 0 <= column < len(parts):
        return 0
    text = parts[column]
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        return 0
    value = int(text)
    time_ms = value if value >= MILLISECONDS_FROM else value * 1000
    return time_ms if time_ms <= LAST_MS else 0
