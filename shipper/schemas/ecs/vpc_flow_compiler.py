"""Compiles the mapping of one layout's ordinary lines to a function that writes the ECS document as text.

`vpc_flow_mapping` defines the document; this is the same for lines that are as nearly all are: ASCII that JSON need
not escape, the traffic's fields known and in range, or all unknown (NODATA, SKIPDATA). Any other line is left to the
mapping. Tests compare both.

What makes it fast: where each field stands is known once for the layout, and what the fields apart from the traffic
become (account, interface, action …) is written once for all lines that agree in them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Final, NamedTuple

import orjson

from shipper.schemas.community_id import community_id
from shipper.schemas.ecs.flow_owners import direction_of, hosts_text
from shipper.schemas.ecs.places import Places
from shipper.schemas.ecs.vpc_flow_mapping import TRAFFIC, fixed_parts, owner_of
from shipper.schemas.ecs.vpc_flow_values import DIRECTION_MEMBERS, PROTOCOLS, Endpoints, Ports, Times, json_members
from shipper.schemas.flow_owners import FlowOwners, places

Compiled = Callable[[bytes, str, str], "tuple[int, str] | None"]
"""(line, top, aws) → time in milliseconds and document; None for a line out of the ordinary.

`top` and `aws` are JSON members, each with a comma behind it.
"""

_PACKET: Final = ("pkt-srcaddr", "pkt-dstaddr")
_NO_TRAFFIC: Final = ("-",) * 7
_MOST_FIXED = 4_000
_MOST_PAIRS = 50_000


@dataclass(slots=True)
class Caches:
    """What has been met so far, for all layouts. Safe to use from many threads.

    Attributes:
        owners: None to leave out whose the interfaces are.
        names: None to leave out what accounts and regions are called.
    """

    endpoints: Endpoints
    times: Times
    ports: Ports
    owners: FlowOwners | None = None
    names: Places | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Fixed:
    """The parts of a document that many lines share, as JSON members.

    Attributes:
        event: what a line's own members follow.
        network: what follows a line's own members, each with a comma before it.
        cloud: of `cloud`.
        objects: whole objects, each with a comma before it.
        own: of `aws.vpcflow`; "" leaves the line to the mapping.
        aws: of `aws`, each with a comma behind it.
        since, until: the flow's start, in milliseconds since the epoch, for which it holds; `until` not included.
        interface: whose traffic it is, "" where the direction is known or cannot be told from it.
        source, destination: the VPCs of the two addresses, None where they are not known.
    """

    event: str
    network: str
    cloud: str
    objects: str
    own: str
    aws: str = ""
    since: float = -math.inf
    until: float = math.inf
    interface: str = ""
    source: str | None = None
    destination: str | None = None


class _Owned(NamedTuple):
    """Whose the two ends of a flow are, as JSON members, for a while (milliseconds since the epoch).

    Attributes:
        sides: of `aws`, each with a comma behind it.
        hosts: of `related`, with a comma before it.
        direction: of `network`, with a comma before it.
    """

    since: float
    until: float
    sides: str
    hosts: str
    direction: str


class _Fixtures(dict[tuple[str, ...], _Fixed]):
    """The shared parts met so far, by the values of the fields that make them. Bounded: emptied when full.

    Args:
        names: of the values.
        run: the names of the fields that stand together at a line's end, and come as one last value.
        account, region: for lines that do not say; "" for unknown.
        caches: what whose interfaces are, and what accounts and regions are called, is taken from.
    """

    def __init__(self, names: Sequence[str], run: Sequence[str], account: str, region: str, caches: Caches) -> None:
        super().__init__()
        self.names = (*names, *run)
        self._run = len(run)
        self._place = (account, region)
        self._owners = caches.owners
        self._places = caches.names
        self.version = 0
        self.pairs: dict[tuple[_Fixed, str, str], _Owned] = {}

    def renew(self, version: int) -> None:
        """Forget what may be other now."""
        if self._owners is not None:
            self._owners.renew()
        self.clear()
        self.pairs = {}
        self.version = version

    def owned(self, owners: FlowOwners, fixed: _Fixed, source: str, destination: str, at_ms: int) -> _Owned:
        """Whose the two ends are at a time, as `flow_owners.add_owners` has it."""
        pairs = self.pairs
        one, other = owners.side(fixed.source, source, at_ms), owners.side(fixed.destination, destination, at_ms)
        direction = direction_of(fixed.interface, one, other)
        found = _Owned(
            max(one.since, other.since),
            min(one.until, other.until),
            f"{one.source}{other.destination}",
            hosts_text(one, other),
            f',"direction":"{direction}"' if direction else "",
        )
        if len(pairs) >= _MOST_PAIRS:
            pairs.clear()
        pairs[fixed, source, destination] = found
        return found

    def find(self, values: tuple[str, ...], at_ms: int) -> _Fixed:
        """The parts for some values at a time; without `own` where the line has another number of fields."""
        single = (*values[:-1], *values[-1].split(" ")) if self._run else values
        if len(single) != len(self.names):
            return _Fixed("", "", "", "", "")
        fields: dict[str, str] = {}
        for name, value in zip(self.names, single, strict=True):
            fields.setdefault(name, value)
        owner = None if self._owners is None else owner_of(self._owners, fields, *self._place, at_ms)
        parts = fixed_parts(fields, *self._place, owner, self._places)
        objects = dict(parts.objects)
        cloud = json_members(objects.pop("cloud"))
        members = [json_members(members) for members in (parts.event, parts.network, parts.own)]
        if len(self) >= _MOST_FIXED:
            self.clear()
        aws = json_members(parts.aws)[1:]
        fixed = _Fixed(
            members[0][1:],
            members[1],
            cloud[1:],
            json_members(objects),
            members[2][1:],
            f"{aws}," if aws else "",
        )
        if owner is not None:
            there = places(fields, owner)
            fixed = replace(
                fixed,
                since=owner.since * 1000,
                until=owner.until * 1000,
                interface="" if "flow-direction" in fields else there.interface,
                source=there.source,
                destination=there.destination,
            )
        self[values] = fixed
        return fixed


def compile_layout(layout: Sequence[str], account: str, region: str, caches: Caches) -> Compiled | None:
    """Return the function for one layout; None where a part of the traffic is no column of it.

    Args:
        account, region: for lines that do not say; "" for unknown.
    """
    columns = {name: index for index, name in reversed(list(enumerate(layout)))}
    if not all(name in columns for name in TRAFFIC):
        return None
    # Fields that stand behind all that differs from line to line stay together: one text, not many.
    run = 1 + max(columns[name] for name in (*TRAFFIC, *_PACKET) if name in columns)
    names = [_unless_known(name, columns, run) for name in layout[run:]]
    own = [name for name in columns if columns[name] < run and name not in TRAFFIC and name not in _PACKET]
    packet = [(columns[name], f',"{name.replace("-", "_")}":"') for name in _PACKET if name in columns]
    indices = [columns[name] for name in own] + ([run] if run < len(layout) else [])
    return _encoder(
        splits=min(len(layout), run),
        width=min(run + 1, len(layout)),
        traffic_of=itemgetter(*(columns[name] for name in TRAFFIC)),
        fixed_of=_tuple_of(indices),
        fixtures=_Fixtures(own, names, account, region, caches),
        packet=packet,
        caches=caches,
    )


def _unless_known(name: str, columns: dict[str, int], run: int) -> str:
    """A field's name; "" for a second column of the same name, the first of which counts."""
    return name if columns[name] >= run else ""


def _tuple_of(indices: list[int]) -> Callable[[list[str]], tuple[str, ...]]:
    if len(indices) >= 2:
        return itemgetter(*indices)
    return lambda parts: tuple(parts[index] for index in indices)


def _encoder(
    *,
    splits: int,
    width: int,
    traffic_of: Callable[[list[str]], tuple[str, ...]],
    fixed_of: Callable[[list[str]], tuple[str, ...]],
    fixtures: _Fixtures,
    packet: list[tuple[int, str]],
    caches: Caches,
) -> Compiled:
    known_fixed, known_end, known_port, known_time = (
        fixtures.get,
        caches.endpoints.get,
        caches.ports.get,
        caches.times.get,
    )
    directions = {} if "flow-direction" in fixtures.names else DIRECTION_MEMBERS
    dumps = orjson.dumps
    find_end, find_port, find_time = caches.endpoints.find, caches.ports.find, caches.times.find
    owners = caches.owners

    def encode(line: bytes, top: str, aws: str) -> tuple[int, str] | None:
        if not line.isascii():
            return None
        text = line.decode()
        parts = text.split(" ", splits)
        if len(parts) != width or len(dumps(text)) != len(line) + 2:
            return None
        traffic = traffic_of(parts)
        source, destination, source_port, destination_port, protocol, packets, size, first, last = traffic
        start, end = known_time(first) or find_time(first), known_time(last) or find_time(last)
        if start is None or end is None:
            return None
        values = fixed_of(parts)
        if owners is None:
            fixed = known_fixed(values) or fixtures.find(values, 0)
        else:
            if fixtures.version != owners.lookup.version:
                fixtures.renew(owners.lookup.version)
            known = known_fixed(values)
            holds = known is not None and known.since <= start[0] < known.until
            fixed = known if known is not None and holds else fixtures.find(values, start[0])
        if not fixed.own:
            return None
        related, own, seen = "", fixed.own, ""
        for index, opening in packet:
            address = parts[index]
            if address != "-":
                own = f'{own}{opening}{address}"'
                if address not in (source, destination, seen):
                    found = known_end(address) or find_end(address)
                    if found is None or found.indicator is not None:
                        return None
                    related, seen = f'{related},"{address}"', address
        if source == "-":
            if related or traffic[:7] != _NO_TRAFFIC:
                return None
            network = f',"network":{{{fixed.network[1:]}}}' if fixed.network else ""
            return end[0], (
                f'{{"@timestamp":"{end[1]}",{top}"cloud":{{{fixed.cloud}}}{fixed.objects},'
                f'"event":{{{fixed.event},"start":"{start[1]}",'
                f'"end":"{end[1]}","original":"{text}"}}{network},"aws":{{{aws}{fixed.aws}"vpcflow":{{{own}}}}}}}'
            )
        one, other = known_end(source) or find_end(source), known_end(destination) or find_end(destination)
        one_port = known_port(source_port) or find_port(source_port)
        other_port = known_port(destination_port) or find_port(destination_port)
        carrier = PROTOCOLS.get(protocol)
        if one is None or other is None or one_port is None or other_port is None or carrier is None:
            return None
        if one.indicator is not None or other.indicator is not None:
            return None  # rare enough to be left to the mapping
        # Numbers as JSON and Elasticsearch's long take them: digits only, the first of them no zero.
        counts = packets + size
        if not (counts.isdigit() and "1" <= packets < ":" and "1" <= size < ":" and len(counts) <= 18):
            return None
        direction = "" if one.internal is None else directions.get((one.internal, other.internal), "")
        if destination != source:
            related = f',"{destination}"{related}'
        hosts = ""
        if owners is not None:
            owned = fixtures.pairs.get((fixed, source, destination))
            if owned is None or not owned.since <= start[0] < owned.until:
                owned = fixtures.owned(owners, fixed, source, destination, start[0])
            aws, hosts, direction = f"{aws}{owned.sides}", owned.hosts, direction or owned.direction
        return end[0], (
            f'{{"@timestamp":"{end[1]}",{top}"cloud":{{{fixed.cloud}{one.origin}{other.target}}}{fixed.objects},'
            f'"event":{{{fixed.event},"start":"{start[1]}",'
            f'"end":"{end[1]}","original":"{text}"}},'
            f'"source":{{{one.json},"port":{source_port},"packets":{packets},"bytes":{size}}},'
            f'"destination":{{{other.json},"port":{destination_port}}},"network":{{"type":"{one.type}"{carrier[1]},'
            f'"community_id":"{community_id(carrier[0], one.packed, other.packed, one_port, other_port)}",'
            f'"packets":{packets},"bytes":{size}{direction}{fixed.network}}},'
            f'"related":{{"ip":["{source}"{related}]{hosts}}},'
            f'"aws":{{{aws}{fixed.aws}"vpcflow":{{{own}}}}}}}'
        )

    return encode
