"""Whose the ends of a flow are, as ECS has it: `cloud.instance`, `related.hosts`, and what ECS has no field for under
`aws.source` and `aws.destination`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from shipper.model import InterfaceOwner
from shipper.schemas.flow_owners import FlowOwners, Places, Side, tags_of


def write(owner: InterfaceOwner) -> tuple[str, str]:
    """An owner as JSON members of `aws`, each with a comma behind it; see `flow_owners.Write`."""
    text = orjson.dumps(owner_fields(owner)).decode()
    return f'"source":{text},', f'"destination":{text},'


def owner_fields(owner: InterfaceOwner) -> dict[str, Any]:
    """What `aws.source` or `aws.destination` holds of an owner that is known."""
    interface, instance = owner.interface, owner.instance
    if interface is None:
        return {}
    fields: dict[str, Any] = {"interface": _present({"id": interface.id, "name": interface.name})}
    machine = {"id": interface.instance, "name": instance.name if instance is not None else None}
    parts: dict[str, Any] = {
        "instance": _present(machine),
        "service": interface.service,
        "resource": interface.resource,
        "account": _present({"id": interface.account or None}),
        "vpc": _present({"id": interface.vpc}),
        "subnet": _present({"id": interface.subnet}),
        "security_group": {"id": list(interface.groups)} if interface.groups else {},
        "tags": tags_of(owner),
    }
    return fields | {name: part for name, part in parts.items() if part}


def hosts_text(one: Side, other: Side) -> str:
    """`related.hosts` of two sides as a JSON member with a comma before it; "" where there are none."""
    found = related_hosts(one, other)
    return f',"hosts":{orjson.dumps(found).decode()}' if found else ""


def related_hosts(one: Side, other: Side) -> list[str]:
    """The machines of two sides, each name once."""
    return list(dict.fromkeys((*one.hosts, *other.hosts)))


def direction_of(interface: str, source: Side, destination: Side) -> str | None:
    """The flow's direction at an interface, as flow logs write it; None where neither side is the interface's own."""
    if not interface:
        return None
    if source.interface == interface:
        return "egress"
    return "ingress" if destination.interface == interface else None


def instance_fields(own: InterfaceOwner | None, named: str | None) -> dict[str, str]:
    """`cloud.instance` of a record.

    Args:
        own: of the record's interface.
        named: the instance that the record itself names, which counts for more.
    """
    interface, instance = (own.interface, own.instance) if own is not None else (None, None)
    found = named or (interface.instance if interface is not None else None)
    name = instance.name if instance is not None and instance.id == found else None
    return _present({"id": found, "name": name})


def add_owners(
    document: dict[str, Any], owners: FlowOwners, there: Places, ends: Iterable[str | None], at_ms: int
) -> None:
    """Add both sides' owners, the direction and the machines to a document.

    Args:
        ends: the source's and the destination's address, None where the record has none.
    """
    sides = dict(zip(("source", "destination"), ends, strict=True))
    networks: Mapping[str, str | None] = {"source": there.source, "destination": there.destination}
    if None in sides.values():
        return
    found = {name: owners.side(networks[name], address or "", at_ms) for name, address in sides.items()}
    known = {name: owner_fields(side.owner) for name, side in found.items() if side.owner is not None}
    if known:
        document["aws"] = known | document.get("aws", {})
    source, destination = found["source"], found["destination"]
    if related := related_hosts(source, destination):
        document["related"] = document.get("related", {}) | {"hosts": related}
    direction = direction_of(there.interface, source, destination)
    if direction is not None:
        document["network"] = {"direction": direction} | document.get("network", {})


def _present(fields: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value}
