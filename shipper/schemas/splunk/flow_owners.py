"""Whose the ends of a flow are, as indexed fields: `src_instance_name`, `dest_service` …"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from shipper.model import InterfaceOwner
from shipper.ports import InterfaceLookup
from shipper.schemas.flow_owners import FlowOwners, places, tags_of

_MOST_LAYOUTS = 64
_MOST_ENDS = 50_000
_COLUMNS = (
    *("interface-id", "srcaddr", "dstaddr", "vpc-id", "tgw-src-vpc-id", "tgw-dst-vpc-id"),
    *("account-id", "region"),
)
# What may stand in a field's name: https://docs.splunk.com/Documentation/Splunk/latest/Knowledge/Aboutfields
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]+")


class _Ends(NamedTuple):
    """The fields of lines that agree in all that makes them, for a while (milliseconds since the epoch)."""

    since: float
    until: float
    text: str


class OwnerFields:
    """Makes the fields. Bounded; safe to use from many threads.

    Args:
        directed: tell the direction too, where lines do not.
    """

    def __init__(self, lookup: InterfaceLookup, *, directed: bool = True) -> None:
        self._lookup = lookup
        self._directed = directed
        self._owners = FlowOwners(lookup, write)
        self._lines: dict[tuple[tuple[str, ...], tuple[str, str]], LineFields] = {}

    def of_lines(self, layout: Sequence[str], place: tuple[str, str]) -> LineFields:
        """Return what makes the fields of a layout's lines.

        Args:
            layout: AWS's field names in order.
            place: account and region where a line does not say; "" for unknown.
        """
        self._lookup.want(*place)
        key = (tuple(layout), place)
        found = self._lines.get(key)
        if found is None:
            if len(self._lines) >= _MOST_LAYOUTS:
                self._lines.clear()
            found = self._lines[key] = LineFields(self._owners, layout, place, directed=self._directed)
        return found


class LineFields:
    """Makes the fields of one layout's lines. Bounded; safe to use from many threads."""

    def __init__(self, owners: FlowOwners, layout: Sequence[str], place: tuple[str, str], *, directed: bool) -> None:
        self._owners = owners
        self._place = place
        columns = {name: index for index, name in reversed(list(enumerate(layout)))}
        self._names = tuple(name for name in _COLUMNS if name in columns)
        self._width = 1 + max((columns[name] for name in self._names), default=-1)
        indices = [columns[name] for name in self._names]
        self._pick: Callable[[Sequence[str]], Any] = itemgetter(*indices) if indices else tuple
        self._directed = directed and "flow-direction" not in columns
        self._version = owners.lookup.version
        self._known: dict[Any, _Ends] = {}

    def __call__(self, parts: Sequence[str], at_ms: int) -> str:
        """The fields of a line as JSON members, with a comma before each.

        Args:
            parts: the line's fields.
            at_ms: when the flow began, milliseconds since the epoch.
        """
        if self._version != self._owners.lookup.version:
            self._version, self._known = self._owners.lookup.version, {}
            self._owners.renew()
        if len(parts) < self._width:
            return ""
        values = self._pick(parts)
        ends = self._known.get(values)
        if ends is None or not ends.since <= at_ms < ends.until:
            ends = self._find(values, at_ms)
        return ends.text

    def _find(self, values: Any, at_ms: int) -> _Ends:
        known = self._known
        # A getter of one column gives that, not a tuple.
        named = dict(zip(self._names, (values,) if isinstance(values, str) else values, strict=True))
        said = {name: value for name, value in named.items() if value != "-"}
        owners = self._owners
        owners.lookup.want(said.get("account-id", self._place[0]), said.get("region", self._place[1]))
        own = owners.own(said.get("interface-id", ""), at_ms)
        there = places(named, own)
        source, destination = said.get("srcaddr"), said.get("dstaddr")
        if source is None or destination is None:
            return _Ends(-math.inf, math.inf, "")
        one, other = owners.side(there.source, source, at_ms), owners.side(there.destination, destination, at_ms)
        text = f"{one.source}{other.destination}"
        if there.interface and self._directed and there.interface in {one.interface, other.interface}:
            text += f',"network_direction":"{"egress" if one.interface == there.interface else "ingress"}"'
        found = _Ends(
            max(own.since * 1000, one.since, other.since), min(own.until * 1000, one.until, other.until), text
        )
        if len(known) >= _MOST_ENDS:
            known.clear()
        known[values] = found
        return found


def write(owner: InterfaceOwner) -> tuple[str, str]:
    """An owner's fields as JSON members, with a comma before each; see `flow_owners.Write`."""
    return _flat(owner, "src"), _flat(owner, "dest")


def _flat(owner: InterfaceOwner, side: str) -> str:
    interface, instance = owner.interface, owner.instance
    if interface is None:
        return ""
    fields: dict[str, Any] = {
        "interface": interface.id,
        "interface_name": interface.name,
        "instance_id": interface.instance,
        "instance_name": instance.name if instance is not None else None,
        "service": interface.service,
        "resource": interface.resource,
        "account": interface.account,
        "vpc": interface.vpc,
        "subnet": interface.subnet,
        "security_group": list(interface.groups),
    }
    fields |= {"tag_" + _NOT_IN_NAMES.sub("_", key): value for key, value in tags_of(owner).items()}
    present = {f"{side}_{name}": value for name, value in fields.items() if value}
    return "," + orjson.dumps(present).decode()[1:-1]
