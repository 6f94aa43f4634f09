"""A flow log line to an ECS document, field by field: the definition that the compiled encoder must equal.

As Elastic's AWS integration maps it (packages/aws/data_stream/vpcflow, ingest pipeline), its habit to write `-` for a
region, zone or direction that AWS did not know included; what that leaves out is added, never changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from shipper.errors import BadInputError
from shipper.flow_layouts import EXPORT_TIME
from shipper.model import InterfaceOwner
from shipper.schemas.community_id import community_id, packed_port
from shipper.schemas.ecs.flow_owners import add_owners, instance_fields
from shipper.schemas.ecs.places import Places
from shipper.schemas.ecs.threats import enrichment, threat
from shipper.schemas.ecs.unparsed import mark_no_time
from shipper.schemas.ecs.vpc_flow_values import (
    DIRECTIONS,
    Endpoint,
    Endpoints,
    Times,
    action_fields,
    iso_time,
    tcp_flag_names,
    transport_fields,
    whole_number,
)
from shipper.schemas.flow_lines import exported_ms
from shipper.schemas.flow_owners import FlowOwners, places

TRAFFIC: Final = ("srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end")
"""What differs from line to line."""

LOST: Final = (
    "packets-lost-no-route",
    "packets-lost-blackhole",
    "packets-lost-mtu-exceeded",
    "packets-lost-ttl-expired",
)
"""Counters that go into `aws.vpcflow` as numbers."""

_ELSEWHERE = frozenset(
    (
        *("region", "az-id", "flow-direction", "reject-reason", "tcp-flags", "sublocation-type", "sublocation-id"),
        *("ecs-cluster-name", "ecs-container-instance-arn", "ecs-container-instance-id", "ecs-service-name"),
        *(*TRAFFIC, *LOST),
    )
)
"""Fields that do not go into `aws.vpcflow` as the text they are."""

_RENAMED = {"pkt-src-aws-service": "pkt_src_service", "pkt-dst-aws-service": "pkt_dst_service"}
_TAKEN = frozenset(("sublocation", "tcp-flags-array", "pkt-src-service", "pkt-dst-service"))
_CLEAN = re.compile(r"[a-z][a-z0-9-]{0,63}")
MOST_FIELDS = 128


def own_fields(names: Sequence[str]) -> dict[str, str]:
    """Which fields go into `aws.vpcflow` as they are: AWS's name → the name there.

    Fields unknown to this program too, if their names are clean; `event.original` has them in any case.
    """
    return {
        name: _RENAMED.get(name, name.replace("-", "_"))
        for name in names[:MOST_FIELDS]
        if _CLEAN.fullmatch(name) and name not in _ELSEWHERE and name not in _TAKEN
    }


@dataclass(frozen=True, slots=True)
class Context:
    """What every line of one payload shares.

    Attributes:
        top: top-level objects (`data_stream`, `ecs`, `log` …), none that a line writes itself, except `aws`.
        aws: objects beside `aws.vpcflow`, such as `s3` or `cloudwatch`.
        account, region: where the line does not say; "" for unknown.
        timed: the time of lines that say none is that of their event, so that their documents need no tag.
    """

    top: Mapping[str, Any] = field(default_factory=dict)
    aws: Mapping[str, Any] = field(default_factory=dict)
    account: str = ""
    region: str = ""
    timed: bool = False


@dataclass(frozen=True, slots=True)
class FixedParts:
    """What the fields that many lines have in common are in a document; shared, never change it.

    Attributes:
        event, network: members of these objects.
        objects: whole top-level objects.
        own: members of `aws.vpcflow`.
        aws: members of `aws` beside it.
    """

    event: Mapping[str, Any]
    network: Mapping[str, Any]
    objects: Mapping[str, Any]
    own: Mapping[str, Any]
    aws: Mapping[str, Any]


class LineMapping:
    """Maps the lines of any layout. Safe to use from many threads.

    Args:
        endpoints, times: caches, shared with the compiled encoders.
        owners: None to leave out whose the interfaces are.
        names: None to leave out what accounts and regions are called.
    """

    def __init__(
        self, endpoints: Endpoints, times: Times, owners: FlowOwners | None = None, names: Places | None = None
    ) -> None:
        self._names = names
        self._endpoints = endpoints
        self._times = times
        self._owners = owners

    def document(
        self, layout: Sequence[str], line: str, context: Context, fallback_ms: int
    ) -> tuple[int, dict[str, Any]]:
        """Return the time in milliseconds since the epoch and the ECS document.

        Args:
            fallback_ms: the time where the line has none.

        Raises:
            BadInputError: a field is not what it must be, such as a port that is no number.
        """
        parts = line.split(" ")
        if len(parts) != len(layout):
            raise BadInputError(f"{len(parts)} fields instead of {len(layout)}")
        values: dict[str, str] = {}
        for name, value in zip(layout, parts, strict=True):
            values.setdefault(name, value)
        times = {name: self._time(name, values) for name in ("start", "end") if values.get(name, "-") != "-"}
        event_ms = exported_ms(values.get(EXPORT_TIME, "")) if not times else None
        otherwise_ms = fallback_ms if event_ms is None else event_ms
        time_ms = (times.get("end") or times.get("start") or (otherwise_ms, ""))[0]
        start_ms = (times.get("start") or (time_ms, ""))[0]
        own = (
            None if self._owners is None else owner_of(self._owners, values, context.account, context.region, start_ms)
        )
        fixed = fixed_parts(values, context.account, context.region, own, self._names)
        document: dict[str, Any] = {"@timestamp": iso_time(time_ms)} | dict(context.top) | dict(fixed.objects)
        document["event"] = {**fixed.event} | {name: iso for name, (_, iso) in times.items()} | {"original": line}
        if not times and event_ms is None and not context.timed:
            mark_no_time(document)
        known = {name: value for name, value in values.items() if value != "-"}
        document |= self._traffic(known, fixed)
        if fixed.own or fixed.aws or context.aws:
            document["aws"] = {**context.aws, **fixed.aws} | ({"vpcflow": fixed.own} if fixed.own else {})
            if others := self._others(known):
                document["aws"]["addresses"] = others
        if self._owners is not None:
            self._owners.renew()
            ends = [
                address if address != "-" else None
                for name in ("srcaddr", "dstaddr")
                if (address := values.get(name, "-"))
            ]
            add_owners(document, self._owners, places(values, own), ends, start_ms)
        return time_ms, document

    def _time(self, name: str, values: Mapping[str, str]) -> tuple[int, str]:
        found = self._times.find(values[name])
        if found is None:
            raise BadInputError(f"{name} is no time")
        return found

    def _traffic(self, values: Mapping[str, str], fixed: FixedParts) -> dict[str, Any]:
        numbers = {name: _number(name, values) for name in ("srcport", "dstport", "protocol", "packets", "bytes")}
        ends = {name: self._endpoint(name, values) for name in ("srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr")}
        source, destination = ends["srcaddr"], ends["dstaddr"]
        counts = {name: numbers[name] for name in ("packets", "bytes") if numbers[name] is not None}
        parts: dict[str, Any] = {
            "source": _side(source, numbers["srcport"]) | counts,
            "destination": _side(destination, numbers["dstport"]),
            "network": _network(source, destination, numbers) | counts | _direction(source, destination, fixed.network),
            "related": {},
        }
        sides = {"origin": source, "target": destination}
        if clouds := {name: end.cloud for name, end in sides.items() if end is not None and end.cloud}:
            parts["cloud"] = {**fixed.objects["cloud"], **clouds}
        if threats := [found for name, end in ends.items() if end is not None if (found := _threat(name, end))]:
            parts["threat"] = threat(threats)
        if addresses := list(dict.fromkeys(end.fields["ip"] for end in ends.values() if end is not None)):
            parts["related"] = {"ip": addresses}
        return {name: part for name, part in parts.items() if part}

    def _others(self, values: Mapping[str, str]) -> list[orjson.Fragment]:
        """What is known of the packets' own addresses, where they are others than the traffic's ends."""
        found = [self._endpoint(name, values) for name in ("srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr")]
        ends = {end.fields["ip"] for end in found[:2] if end is not None}
        others = {end.fields["ip"]: end.apart for end in found[2:] if end is not None and end.apart}
        return [orjson.Fragment(text) for address, text in others.items() if address not in ends]

    def _endpoint(self, name: str, values: Mapping[str, str]) -> Endpoint | None:
        if name not in values:
            return None
        found = self._endpoints.find(values[name])
        if found is None:
            raise BadInputError(f"{name} is no address")
        return found


def _threat(name: str, end: Endpoint) -> dict[str, Any] | None:
    return enrichment(end.indicator, _FIELDS[name], end.fields["ip"]) if end.indicator is not None else None


_FIELDS = {
    "srcaddr": "source.ip",
    "dstaddr": "destination.ip",
    "pkt-srcaddr": "aws.vpcflow.pkt_srcaddr",
    "pkt-dstaddr": "aws.vpcflow.pkt_dstaddr",
}
_MOST = {"srcport": 65_535, "dstport": 65_535, "protocol": 255}


def _number(name: str, values: Mapping[str, str]) -> int | None:
    if name not in values:
        return None
    value = whole_number(values[name])
    if value is None or value > _MOST.get(name, value):
        raise BadInputError(f"{name} is no number, or out of range")
    return value


def _side(endpoint: Endpoint | None, port: int | None) -> dict[str, Any]:
    return dict(endpoint.fields if endpoint else {}) | ({} if port is None else {"port": port})


def _direction(source: Endpoint | None, destination: Endpoint | None, network: Mapping[str, Any]) -> dict[str, Any]:
    """The fixed members of `network`; the direction is that of the perimeter, unless AWS gave the interface's."""
    direction = DIRECTIONS.get((source.internal, destination.internal)) if source and destination else None
    return {"direction": direction, **network} if direction else dict(network)


def _network(
    source: Endpoint | None, destination: Endpoint | None, numbers: Mapping[str, int | None]
) -> dict[str, Any]:
    network: dict[str, Any] = {"type": source.type} if source else {}
    protocol, source_port, destination_port = numbers["protocol"], numbers["srcport"], numbers["dstport"]
    if protocol is not None:
        network |= transport_fields(protocol)
        if source and destination and source_port is not None and destination_port is not None:
            ports = (packed_port(source_port), packed_port(destination_port))
            network["community_id"] = community_id(protocol, source.packed, destination.packed, *ports)
    return network


def owner_of(owners: FlowOwners, values: Mapping[str, str], account: str, region: str, at_ms: int) -> InterfaceOwner:
    """The owner of the interface that a line names, at a time; has its account and region listed.

    Args:
        account, region: where the line does not say; "" for unknown.
    """
    named = {name: value for name, value in values.items() if value != "-"}
    owners.lookup.want(named.get("account-id", account), named.get("region", region))
    return owners.own(named.get("interface-id", ""), at_ms)


def fixed_parts(
    values: Mapping[str, str],
    account: str,
    region: str,
    own: InterfaceOwner | None = None,
    names: Places | None = None,
) -> FixedParts:
    """Map the fields that many lines of an object have in common.

    Args:
        values: by AWS's name, in the layout's order; `-` where AWS did not know.
        account, region: where the line does not say; "" for unknown.
        own: the owner of the line's interface; None where that is not asked for.
        names: what accounts and regions are called; None where that is not asked for.
    """
    known = {name: value for name, value in values.items() if value != "-"}
    event = {"kind": "event", "category": ["network"], "module": "aws", "dataset": "aws.vpcflow"}
    event |= action_fields(known.get("action", "-"))
    if "reject-reason" in known:
        event["reason"] = known["reject-reason"]
    network = {"direction": values["flow-direction"]} if "flow-direction" in values else {}
    cloud: dict[str, Any] = {"provider": "aws"}
    if account := known.get("account-id", account):
        cloud["account"] = {"id": account}
    if region := known.get("region") or region or values.get("region", ""):
        cloud["region"] = region
    if "az-id" in values:
        cloud["availability_zone"] = values["az-id"]
    if instance := instance_fields(own, known.get("instance-id")):
        cloud["instance"] = instance
    objects = {"cloud": cloud} | _orchestration(known)
    if names is None:
        return FixedParts(event, network, objects, _own(known), {})
    place = names.find(account, region)
    if place.account is not None:
        cloud["account"] = place.account
    return FixedParts(event, network, {**objects, **place.objects}, _own(known), place.aws)


def _own(known: Mapping[str, str]) -> dict[str, Any]:
    own: dict[str, Any] = {to: known[name] for name, to in own_fields(tuple(known)).items()}
    if "tcp-flags" in known:
        own["tcp_flags"] = known["tcp-flags"]
        if names := tcp_flag_names(known["tcp-flags"]):
            own["tcp_flags_array"] = names
    for name in LOST:
        if (count := whole_number(known.get(name, ""))) is not None:
            own[name.replace("-", "_")] = count
    place = {to: known[name] for name, to in (("sublocation-type", "type"), ("sublocation-id", "id")) if name in known}
    return own | ({"sublocation": place} if place else {})


def _orchestration(values: Mapping[str, str]) -> dict[str, Any]:
    cluster = {"id": values.get("ecs-cluster-arn"), "name": values.get("ecs-cluster-name")}
    resource = {"id": values.get("ecs-container-instance-id"), "name": values.get("ecs-container-instance-arn")}
    parts = {"cluster": _present(cluster), "resource": _present(resource)}
    found: dict[str, Any] = {name: part for name, part in parts.items() if part}
    service = {"service": {"name": values["ecs-service-name"]}} if "ecs-service-name" in values else {}
    return ({"orchestrator": {"type": "ecs"} | found} if found else {}) | service


def _present(fields: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value is not None}
