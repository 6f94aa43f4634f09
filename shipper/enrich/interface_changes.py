"""What EC2's calls, as CloudTrail records them, say of network interfaces and instances."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shipper.enrich.interface_inventory import Inventory
from shipper.enrich.interface_services import service_of
from shipper.model import Instance, NetworkInterface

Tags = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One successful call.

    Attributes:
        asked, answered: requestParameters and responseElements.
        at: seconds since the epoch.
        chosen: keeps the wanted tags.
    """

    account: str
    region: str
    asked: Mapping[str, Any]
    answered: Mapping[str, Any]
    at: float
    chosen: Callable[[Tags], Tags]


def apply(event: str, change: Change, inventory: Inventory) -> set[str]:
    """Note a call in the inventory; return the ids of the interfaces and instances that are others now."""
    handler = HANDLERS.get(event)
    return set(handler(change, inventory)) if handler is not None else set()


def _created(change: Change, inventory: Inventory) -> Iterator[str]:
    made = change.answered.get("networkInterface")
    if isinstance(made, dict) and (interface := _interface(made, change)) and inventory.begin(interface, change.at):
        yield interface.id


def _deleted(change: Change, inventory: Inventory) -> Iterator[str]:
    name = _text(change.asked.get("networkInterfaceId"))
    if name and inventory.end(name, change.at):
        yield name


def _attached(change: Change, inventory: Inventory) -> Iterator[str]:
    name, instance = _text(change.asked.get("networkInterfaceId")), _text(change.asked.get("instanceId"))
    if not name or not instance:
        return
    service = "ec2" if (known := inventory.timelines.get(name)) is None else known.last.service or "ec2"
    changes = {"instance": instance, "service": service, "attachment": _text(change.answered.get("attachmentId"))}
    if inventory.change(name, change.at, changes):
        yield name


def _detached(change: Change, inventory: Inventory) -> Iterator[str]:
    attachment = _text(change.asked.get("attachmentId"))
    for interface in inventory.of(attachment or ""):
        if interface.attachment == attachment and inventory.change(interface.id, change.at, _free(interface)):
            yield interface.id


def _launched(change: Change, inventory: Inventory) -> Iterator[str]:
    for item in _items(change.answered.get("instancesSet")):
        instance = _text(item.get("instanceId"))
        if not instance:
            continue
        tags = _tags(item.get("tagSet"))
        if inventory.tagged(Instance(instance, change.at, tags.get("Name"), change.chosen(tags))):
            yield instance
        for made in _items(item.get("networkInterfaceSet")):
            interface = _interface(made, change, instance)
            if interface is None:
                continue
            if interface.id not in inventory.timelines or interface.ends_with_instance:
                new = inventory.begin(interface, change.at)
            else:
                attached = {"instance": instance, "attachment": interface.attachment, "service": "ec2"}
                new = inventory.change(interface.id, change.at, attached)
            if new:
                yield interface.id


def _terminated(change: Change, inventory: Inventory) -> Iterator[str]:
    for item in _items(change.asked.get("instancesSet")):
        instance = _text(item.get("instanceId"))
        for interface in inventory.of(instance or ""):
            if interface.instance != instance:
                continue
            if interface.ends_with_instance:
                new = inventory.end(interface.id, change.at)
            else:
                new = inventory.change(interface.id, change.at, _free(interface))
            if new:
                yield interface.id


def _tagged(change: Change, inventory: Inventory) -> Iterator[str]:
    tags = _tags(change.asked.get("tagSet"))
    yield from _retagged(change, inventory, lambda before: {**before, **change.chosen(tags)}, tags.get("Name"))


def _untagged(change: Change, inventory: Inventory) -> Iterator[str]:
    keys = {_text(tag.get("key")) for tag in _items(change.asked.get("tagSet"))}

    def rest(before: Tags) -> Tags:
        return {key: value for key, value in before.items() if key not in keys}

    yield from _retagged(change, inventory, rest, "" if "Name" in keys else None)


def _retagged(change: Change, inventory: Inventory, update: Callable[[Tags], Tags], name: str | None) -> Iterator[str]:
    """Change the tags of known resources; `name` is the new one, "" for none any more, None where it stays."""
    for item in _items(change.asked.get("resourcesSet")):
        resource = _text(item.get("resourceId")) or ""
        if (instance := inventory.instances.get(resource)) is not None:
            called = instance.name if name is None else name or None
            if inventory.tagged(Instance(resource, change.at, called, update(instance.tags))):
                yield resource
        elif (timeline := inventory.timelines.get(resource)) is not None:
            last = timeline.last
            changes = {"tags": update(last.tags), "name": last.name if name is None else name or None}
            if inventory.change(resource, change.at, changes):
                yield resource


def _assigned(change: Change, inventory: Inventory) -> Iterator[str]:
    given = _addresses(change.answered.get("assignedPrivateIpAddressesSet"))
    yield from _readdressed(change, inventory, lambda before: tuple(dict.fromkeys((*before, *given))))


def _unassigned(change: Change, inventory: Inventory) -> Iterator[str]:
    taken = set(_addresses(change.asked.get("privateIpAddressesSet")))
    yield from _readdressed(
        change, inventory, lambda before: tuple(address for address in before if address not in taken)
    )


def _readdressed(
    change: Change, inventory: Inventory, update: Callable[[tuple[str, ...]], tuple[str, ...]]
) -> Iterator[str]:
    name = _text(change.asked.get("networkInterfaceId")) or ""
    timeline = inventory.timelines.get(name)
    if timeline is not None and inventory.change(name, change.at, {"private": update(timeline.last.private)}):
        yield name


HANDLERS: Mapping[str, Callable[[Change, Inventory], Iterator[str]]] = {
    "CreateNetworkInterface": _created,
    "DeleteNetworkInterface": _deleted,
    "AttachNetworkInterface": _attached,
    "DetachNetworkInterface": _detached,
    "RunInstances": _launched,
    "TerminateInstances": _terminated,
    "CreateTags": _tagged,
    "DeleteTags": _untagged,
    "AssignPrivateIpAddresses": _assigned,
    "UnassignPrivateIpAddresses": _unassigned,
}


def _free(interface: NetworkInterface) -> dict[str, Any]:
    return {
        "instance": None,
        "attachment": None,
        "service": None if interface.service == "ec2" else interface.service,
    }


def _interface(made: Mapping[str, Any], change: Change, instance: str | None = None) -> NetworkInterface | None:
    name = _text(made.get("networkInterfaceId"))
    if not name:
        return None
    tags = _tags(made.get("tagSet"))
    private = _addresses(made.get("privateIpAddressesSet")) or _addresses([made])
    attachment = made.get("attachment")
    joined: Mapping[str, Any] = attachment if isinstance(attachment, dict) else {}
    service, resource = service_of(
        _text(made.get("interfaceType")),
        _text(made.get("requesterId")),
        _text(made.get("description")),
        tags,
        attached=instance is not None,
    )
    return NetworkInterface(
        id=name,
        account=_text(made.get("ownerId")) or change.account,
        region=change.region,
        vpc=_text(made.get("vpcId")),
        subnet=_text(made.get("subnetId")),
        private=private,
        public=_addresses(made.get("ipv6AddressesSet"), "ipv6Address"),
        groups=tuple(group for item in _items(made.get("groupSet")) if (group := _text(item.get("groupId")))),
        service=service,
        resource=resource,
        name=tags.get("Name"),
        tags=change.chosen(tags),
        instance=instance,
        attachment=_text(joined.get("attachmentId")),
        ends_with_instance=joined.get("deleteOnTermination") is True,
    )


def _items(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list; EC2's stand in an object whose one member has changing names (`items`, `item` …)."""
    if isinstance(value, dict):
        value = next((member for member in value.values() if isinstance(member, list)), [])
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _addresses(value: Any, key: str = "privateIpAddress") -> tuple[str, ...]:
    return tuple(address for item in _items(value) if (address := _text(item.get(key))))


def _tags(value: Any) -> dict[str, str]:
    return {key: _text(tag.get("value")) or "" for tag in _items(value) if (key := _text(tag.get("key"))) is not None}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
