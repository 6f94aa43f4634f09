"""Whose the two ends of a flow are, for each kind of document: asked once, and kept for as long as the answer holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from shipper.model import InterfaceOwner
from shipper.ports import InterfaceLookup

_MOST_ADDRESSES = 50_000


class Places(NamedTuple):
    """What a flow record's own fields say of where it was seen.

    Attributes:
        interface: the interface whose traffic it is; "" where it does not say (a transit gateway's).
        source, destination: the VPCs that the addresses belong to, None where that is not known.
    """

    interface: str
    source: str | None
    destination: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """What is known of one address in one network for a while.

    Attributes:
        since, until: the flow's start, in milliseconds since the epoch, for which it holds; `until` not included.
        interface: its interface's id, "" where none is known.
        owner: None where none is known.
        hosts: id and name of the machine.
        source, destination: as JSON members, in the form that `write` gives them; "" where nothing is known.
    """

    since: float
    until: float
    interface: str
    owner: InterfaceOwner | None
    hosts: tuple[str, ...]
    source: str
    destination: str


Write = Callable[[InterfaceOwner], tuple[str, str]]
"""An owner that is known → what stands for it in a document where it is the source, and where the destination."""

UNKNOWN: Final = Side(-math.inf, math.inf, "", None, (), "", "")
"""An address that belongs to nobody known, at any time."""


class FlowOwners:
    """The addresses met so far. Bounded: emptied when full. Safe to use from many threads.

    Attributes:
        sides: by VPC and address; look here first, check the time, and then `side`.
    """

    def __init__(self, lookup: InterfaceLookup, write: Write) -> None:
        self.lookup = lookup
        self._write = write
        self._version = lookup.version
        self.sides: dict[tuple[str | None, str], Side] = {}

    def renew(self) -> None:
        """Forget what is kept here if it may be other now."""
        version = self.lookup.version
        if version != self._version:
            self.sides = {}
            self._version = version

    def side(self, network: str | None, address: str, at_ms: int) -> Side:
        """What is known of an address in a network at a time, in milliseconds since the epoch."""
        sides = self.sides
        known = sides.get((network, address))
        if known is not None and known.since <= at_ms < known.until:
            return known
        owner = self.lookup.address(address, network, at_ms / 1000)
        since, until = owner.since * 1000, owner.until * 1000
        if owner.interface is None:
            side = Side(since, until, "", None, (), "", "")
        else:
            source, destination = self._write(owner)
            side = Side(since, until, owner.interface.id, owner, hosts(owner), source, destination)
        if len(sides) >= _MOST_ADDRESSES:
            sides.clear()
        sides[network, address] = side
        return side

    def own(self, interface: str, at_ms: int) -> InterfaceOwner:
        """The interface whose traffic a record tells of."""
        return self.lookup.interface(interface, at_ms / 1000)


def places(values: Mapping[str, str], own: InterfaceOwner | None) -> Places:
    """Where a flow was seen.

    Args:
        values: by AWS's name; `-` where AWS did not know.
        own: of the record's interface.
    """
    named = {name: value for name, value in values.items() if value != "-"}
    known = own.interface if own is not None else None
    network = named.get("vpc-id") or (known.vpc if known is not None else None)
    return Places(
        named.get("interface-id", ""), named.get("tgw-src-vpc-id", network), named.get("tgw-dst-vpc-id", network)
    )


def hosts(owner: InterfaceOwner) -> tuple[str, ...]:
    """A machine's id and name; empty where the interface is no machine's."""
    interface, instance = owner.interface, owner.instance
    if interface is None or interface.instance is None:
        return ()
    return (interface.instance, *([instance.name] if instance is not None and instance.name else []))


def tags_of(owner: InterfaceOwner) -> Mapping[str, Any]:
    """The chosen tags of an interface and its instance; the instance's count for more."""
    own = owner.interface.tags if owner.interface is not None else {}
    return {**own, **owner.instance.tags} if owner.instance is not None else own
