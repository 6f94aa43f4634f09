"""What the lines of one layout share: where their fields stand, and the parts of documents that many have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from shipper.flow_layouts import EXPORT_TIME
from shipper.schemas.ecs.flow_owners import direction_of, hosts_text
from shipper.schemas.ecs.places import Places
from shipper.schemas.ecs.vpc_flow_mapping import TRAFFIC, fixed_parts, owner_of
from shipper.schemas.ecs.vpc_flow_values import Endpoints, Ports, Times, json_members
from shipper.schemas.flow_owners import FlowOwners, places

_PACKET: Final = ("pkt-srcaddr", "pkt-dstaddr")
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
class Fixed:
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


class Fixtures(dict[tuple[str, ...], Fixed]):
    """The shared parts met so far, by the values of the fields that make them. Bounded: emptied when full.

    Args:
        plan: names the values.
        account, region: for lines that do not say; "" for unknown.
        caches: what whose interfaces are, and what accounts and regions are called, is taken from.
    """

    def __init__(self, plan: Plan, account: str, region: str, caches: Caches) -> None:
        super().__init__()
        self.names = plan.names
        self._run = plan.run
        self._place = (account, region)
        self._owners = caches.owners
        self._places = caches.names
        self.version = 0
        self.pairs: dict[tuple[Fixed, str, str], _Owned] = {}

    def renew(self, version: int) -> None:
        """Forget what may be other now."""
        if self._owners is not None:
            self._owners.renew()
        # First the version: a thread that is in `find` with an earlier answer then takes it back itself.
        self.version = version
        self.clear()
        self.pairs = {}

    def owned(self, owners: FlowOwners, fixed: Fixed, source: str, destination: str, at_ms: int) -> _Owned:
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

    def find(self, values: tuple[str, ...], at_ms: int) -> Fixed:
        """The parts for some values at a time; without `own` where the line has another number of fields."""
        version = self.version
        single = (*values[:-1], *values[-1].split(" ")) if self._run else values
        if len(single) != len(self.names):
            return Fixed("", "", "", "", "")
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
        fixed = Fixed(
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
        if self.version != version:  # another thread renewed meanwhile: the answer may be of before
            self.pop(values, None)
        return fixed


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the fields of one layout stand.

    Attributes:
        splits, width: at how many spaces a line is parted, and into how many parts.
        traffic: the columns of `TRAFFIC`.
        fixed: the columns of what many lines share; the last may hold several fields.
        names: of single fields there; those in `run` stand together in the last column.
        run: how many do.
        packet: columns and names of the packets' own addresses.
    """

    splits: int
    width: int
    traffic: tuple[int, ...]
    fixed: tuple[int, ...]
    names: tuple[str, ...]
    run: int
    packet: tuple[tuple[int, str], ...]


def plan_of(layout: Sequence[str]) -> Plan | None:
    """Plan a layout; None where a part of the traffic is no column of it."""
    columns = {name: index for index, name in reversed(list(enumerate(layout)))}
    if not all(name in columns for name in TRAFFIC):
        return None
    # Fields that stand behind all that differs from line to line stay together: one text, not many.
    run = 1 + max(columns[name] for name in (*TRAFFIC, *_PACKET) if name in columns)
    together = [_unless_known(name, columns, run) for name in layout[run:]]
    apart = {*TRAFFIC, *_PACKET, EXPORT_TIME}
    own = [name for name in columns if columns[name] < run and name not in apart]
    return Plan(
        splits=min(len(layout), run),
        width=min(run + 1, len(layout)),
        traffic=tuple(columns[name] for name in TRAFFIC),
        fixed=(*(columns[name] for name in own), *((run,) if run < len(layout) else ())),
        names=(*own, *together),
        run=len(together),
        packet=tuple((columns[name], name.replace("-", "_")) for name in _PACKET if name in columns),
    )


def _unless_known(name: str, columns: dict[str, int], run: int) -> str:
    """A field's name; "" for a second column of the same name, the first of which counts."""
    return name if columns[name] >= run else ""
