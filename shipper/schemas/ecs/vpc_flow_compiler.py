"""Compiles the mapping of one layout's ordinary lines to a function that writes the ECS document as text.

`vpc_flow_mapping` defines the document; this is the same for lines that are as nearly all are: ASCII that JSON need
not escape, the traffic's fields known and in range, or all unknown (NODATA, SKIPDATA). Any other line is left to the
mapping. Tests compare both.

What makes it fast: where each field stands is known once for the layout, and what the fields apart from the traffic
become (account, interface, action …) is written once for all lines that agree in them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Final

import orjson

from shipper.schemas.community_id import community_id
from shipper.schemas.ecs.vpc_flow_layout import Caches, Fixed, Fixtures, plan_of
from shipper.schemas.ecs.vpc_flow_values import DIRECTION_MEMBERS, PROTOCOLS
from shipper.schemas.flow_owners import FlowOwners

Compiled = Callable[[bytes, str, str], "tuple[int, str] | None"]
"""(line, top, aws) → time in milliseconds and document; None for a line out of the ordinary.

`top` and `aws` are JSON members, each with a comma behind it.
"""

_NO_TRAFFIC: Final = ("-",) * 7


def compile_layout(layout: Sequence[str], account: str, region: str, caches: Caches) -> Compiled | None:
    """Return the function for one layout; None where a part of the traffic is no column of it.

    Args:
        account, region: for lines that do not say; "" for unknown.
    """
    plan = plan_of(layout)
    if plan is None:
        return None
    return _encoder(
        splits=plan.splits,
        width=plan.width,
        traffic_of=itemgetter(*plan.traffic),
        fixed_of=_tuple_of(list(plan.fixed)),
        fixtures=Fixtures(plan, account, region, caches),
        packet=[(column, f',"{name}":"') for column, name in plan.packet],
        caches=caches,
    )


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
    fixtures: Fixtures,
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
            fixed = _at(start[0], values, fixtures, owners)
        if not fixed.own:
            return None
        related, own, seen, apart = "", fixed.own, "", ""
        for index, opening in packet:
            address = parts[index]
            if address != "-":
                own = f'{own}{opening}{address}"'
                if address not in (source, destination, seen):
                    found = known_end(address) or find_end(address)
                    if found is None or found.indicator is not None:
                        return None
                    related, seen = f'{related},"{address}"', address
                    if found.apart:
                        apart = f"{apart},{found.apart}"
        if source == "-":
            if related or traffic[:7] != _NO_TRAFFIC:
                return None
            return end[0], _without_traffic(text, fixed, own, start=start[1], end=end[1], top=top, aws=aws)
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
        if apart:
            aws = f'{aws}"addresses":[{apart[1:]}],'
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


def _at(start_ms: int, values: tuple[str, ...], fixtures: Fixtures, owners: FlowOwners) -> Fixed:
    """What lines share, of which owners of interfaces are a part: it holds for a while only."""
    if fixtures.version != owners.lookup.version:
        fixtures.renew(owners.lookup.version)
    known = fixtures.get(values)
    if known is not None and known.since <= start_ms < known.until:
        return known
    return fixtures.find(values, start_ms)


def _without_traffic(text: str, fixed: Fixed, own: str, *, start: str, end: str, top: str, aws: str) -> str:
    """The document of a line that tells that there was nothing (NODATA), or nothing captured (SKIPDATA)."""
    network = f',"network":{{{fixed.network[1:]}}}' if fixed.network else ""
    return (
        f'{{"@timestamp":"{end}",{top}"cloud":{{{fixed.cloud}}}{fixed.objects},'
        f'"event":{{{fixed.event},"start":"{start}",'
        f'"end":"{end}","original":"{text}"}}{network},"aws":{{{aws}{fixed.aws}"vpcflow":{{{own}}}}}}}'
    )
