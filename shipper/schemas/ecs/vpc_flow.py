"""VPC and Transit Gateway flow log lines as the ECS documents of Elastic's AWS integration (`logs-aws.vpcflow-*`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import orjson

from shipper.errors import BadInputError
from shipper.flow_layouts import layout_from_count
from shipper.model import Document, LogEvent, LogStream, Origin, Record
from shipper.ports import AddressLookup, Clock, Encoder, GeoLookup, IndicatorLookup, InterfaceLookup, wall_clock
from shipper.schemas.ecs.flow_owners import write
from shipper.schemas.ecs.places import Places
from shipper.schemas.ecs.vpc_flow_compiler import Compiled, compile_layout
from shipper.schemas.ecs.vpc_flow_layout import Caches
from shipper.schemas.ecs.vpc_flow_mapping import Context, LineMapping
from shipper.schemas.ecs.vpc_flow_native import NativeLines, native_lines
from shipper.schemas.ecs.vpc_flow_values import Endpoints, Ports, Times
from shipper.schemas.fallback_times import fallback_ms
from shipper.schemas.flow_lines import NO_LAYOUT
from shipper.schemas.flow_owners import FlowOwners
from shipper.schemas.line_ids import line_ids
from shipper.schemas.log_event_ids import event_document_id

ECS_VERSION = "8.11.0"
_MOST_LAYOUTS = 64

LineEncoder = Callable[[bytes, int], "tuple[int, bytes]"]
"""(line, fallback_ms) → (time in milliseconds since the epoch, the document's JSON).

`fallback_ms` is the time where the line has none. Raises BadInputError for a line that cannot be a document.
"""

T = TypeVar("T")
_Place = tuple[tuple[str, ...], str, str]
"""A layout, and the account and region of lines that do not say."""
_Make = Callable[[tuple[str, ...], str, str, Caches], T | None]
_StreamEncoders = dict[tuple[LogStream, tuple[str, ...]], LineEncoder]


class VpcFlowEcs:
    """Makes ECS documents of flow log lines. Safe to use from many threads.

    Args:
        namespace: of the data stream.
        geo: None to leave out geography and network owner.
        addresses: None to leave out whose addresses are, and the direction where AWS does not give it.
        interfaces: None to leave out whose the interfaces are.
        names: None to leave out what accounts and regions are called.
        names_seconds: names that become known show at most so often: what is written already is written anew then.
        indicators: None to leave out threats.
        geo_seconds: how long what was found for an address is kept; a renewed database shows after that.
        clock: the time of lines that have none, in files whose names have none either.
        native: whether the usual lines are written by the native encoder, where it is installed.
    """

    def __init__(
        self,
        namespace: str,
        geo: GeoLookup | None,
        *,
        addresses: AddressLookup | None = None,
        interfaces: InterfaceLookup | None = None,
        names: Places | None = None,
        indicators: IndicatorLookup | None = None,
        geo_seconds: float = 600.0,
        names_seconds: float = 5.0,
        clock: Clock = wall_clock,
        native: bool = True,
    ) -> None:
        self._natively = native
        self._index = f"logs-aws.vpcflow-{namespace}"
        self._stream = {"type": "logs", "dataset": "aws.vpcflow", "namespace": namespace}
        self._geo = geo
        self._indicators = indicators
        self._lists = indicators.look() if indicators is not None else 0
        self._geo_seconds = geo_seconds
        self._clock = clock
        self._times, self._ports = Times(), Ports()
        self._addresses = addresses
        self._owners = FlowOwners(interfaces, write) if interfaces is not None else None
        self._names = names
        self._names_seconds = names_seconds
        self._workshop = self._new_workshop()
        self._opened = time.monotonic()
        self._version = names.version if names is not None else 0

    def encoder(self, origin: Origin) -> Encoder:
        """Return a function for the records of one S3 object or file."""
        context = self.context(origin)
        otherwise_ms = fallback_ms(origin, self._clock)
        identity = line_ids(origin.uri)
        index = self._index
        layout: tuple[str, ...] = ()
        native, line_encoder = self._encoders(layout, context)
        top, aws = _members(context.top).encode(), _members(context.aws).encode()
        of_streams: _StreamEncoders = {}

        def encode(record: Record) -> Document:
            nonlocal layout, native, line_encoder
            if record.event is not None:
                return self._of_event(record, record.event, origin, of_streams)
            if record.layout is not layout:  # nearly always one layout for a whole object
                layout = record.layout
                native, line_encoder = self._encoders(layout, context)
            # Without a function in between: it is called for each of millions of lines.
            written = native(record.raw, top, aws) if native is not None else None
            time_ms, body = written or line_encoder(record.raw, otherwise_ms)
            return Document(identity(time_ms, record.position), index, time_ms, body, record, origin)

        return encode

    def _of_event(self, record: Record, event: LogEvent, origin: Origin, known: _StreamEncoders) -> Document:
        """A line that came as an event of CloudWatch Logs, with the event's own identity and place."""
        layout = record.layout or layout_from_count(record.raw.count(b" ") + 1)
        if layout is None:
            raise BadInputError(NO_LAYOUT)
        stream = event.stream
        encode = known.get((stream, layout))
        if encode is None:
            place = {"log_group": stream.group, "log_stream": stream.name}
            top = self.top() | {"log": {"file": {"path": f"{stream.group}/{stream.name}"}}, "awscloudwatch": place}
            context = Context(
                top=top, aws={"cloudwatch": place}, account=stream.account, region=stream.region, timed=True
            )
            encode = known[stream, layout] = self.line_encoder(layout, context)
        time_ms, body = encode(record.raw, event.time_ms)
        return Document(event_document_id(event, event.time_ms), self._index, time_ms, body, record, origin)

    def context(self, origin: Origin) -> Context:
        """What an S3 object's lines share: where they lie, and the account and region of its key."""
        aws = {"s3": {"bucket": {"name": origin.bucket}, "object": {"key": origin.key}}} if origin.bucket else {}
        top = self.top() | ({"log": {"file": {"path": origin.uri}}} if origin.uri else {})
        return Context(top=top, aws=aws, account=origin.account, region=origin.region)

    def top(self) -> dict[str, object]:
        """The objects that every document begins with: `data_stream` and `ecs`."""
        return {"data_stream": self._stream, "ecs": {"version": ECS_VERSION}}

    def line_encoder(self, layout: Sequence[str], context: Context) -> LineEncoder:
        """Return a function for single lines of one layout, for sources that know their own identity and place.

        Args:
            layout: AWS's field names in order.
            context: what the lines share; `Context(top=schema.top() | {"log": …}, aws={"cloudwatch": …})`.
        """
        native, otherwise = self._encoders(layout, context)
        if native is None:
            return otherwise
        written = native
        top, aws = _members(context.top).encode(), _members(context.aws).encode()
        return lambda line, fallback_ms: written(line, top, aws) or otherwise(line, fallback_ms)

    def _encoders(self, layout: Sequence[str], context: Context) -> tuple[NativeLines | None, LineEncoder]:
        """The native function for single lines of one layout, and the one for lines that are not for it."""
        if self._owners is not None:
            self._owners.lookup.want(context.account, context.region)
        workshop = self._current()
        place = tuple(layout), context.account, context.region
        compiled, mapping = workshop.compiled(*place), workshop.mapping
        top, aws = _members(context.top), _members(context.aws)

        def encode(line: bytes, fallback_ms: int) -> tuple[int, bytes]:
            if compiled is not None and (found := compiled(line, top, aws)) is not None:
                return found[0], found[1].encode()
            time_ms, document = mapping.document(layout, line.decode("utf-8", "replace"), context, fallback_ms)
            return time_ms, orjson.dumps(document)

        return (workshop.native(*place) if self._natively else None), encode

    def _current(self) -> _Workshop:
        now = time.monotonic()
        version = self._names.version if self._names is not None else 0
        renamed = version != self._version and now - self._opened > self._names_seconds
        lists = self._indicators.look() if self._indicators is not None else 0
        if renamed or lists != self._lists or now - self._opened > self._geo_seconds:
            self._lists = lists
            self._opened, self._version = now, version
            self._workshop = self._new_workshop()
        return self._workshop

    def _new_workshop(self) -> _Workshop:
        endpoints = Endpoints(self._geo, self._addresses, self._indicators)
        return _Workshop(endpoints, self._times, self._ports, self._owners, self._names)


class _Workshop:
    """The caches and compiled layouts that belong together, for as long as what is known of addresses is believed."""

    def __init__(
        self, endpoints: Endpoints, times: Times, ports: Ports, owners: FlowOwners | None, names: Places | None
    ) -> None:
        self._caches = Caches(endpoints, times, ports, owners, names)
        self._compiled: dict[_Place, tuple[Compiled | None]] = {}
        self._native: dict[_Place, tuple[NativeLines | None]] = {}
        self.mapping = LineMapping(endpoints, times, owners, names)

    def compiled(self, layout: tuple[str, ...], account: str, region: str) -> Compiled | None:
        """The function for one layout. Two threads may both compile it once: either result will do."""
        return self._made(self._compiled, compile_layout, (layout, account, region))

    def native(self, layout: tuple[str, ...], account: str, region: str) -> NativeLines | None:
        """The native encoder for one layout, where there is one."""
        return self._made(self._native, native_lines, (layout, account, region))

    def _made(self, known: dict[_Place, tuple[T | None]], make: _Make[T], place: _Place) -> T | None:
        found = known.get(place)
        if found is None:
            if len(known) >= _MOST_LAYOUTS:
                known.clear()
            found = known[place] = (make(*place, self._caches),)
        return found[0]


def _members(fields: object) -> str:
    text = orjson.dumps(fields).decode()[1:-1]
    return text + "," if text else ""
