"""Flow log documents as the show needs them, and what can be read from them: volumes, talkers, who knocks on a door."""

from __future__ import annotations

import collections
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

SSH = 22


@dataclass(frozen=True, slots=True)
class Flow:
    """One document of `aws.vpcflow`.

    Attributes:
        verdict: ACCEPT or REJECT; NODATA or SKIPDATA where there was no flow.
        source, target: addresses; "" where there was no flow.
        where: the source is; the target where nothing is known of the source.
        port: the service's, on whichever end it is.
        asks: whether this is the direction of who asks.
    """

    time: str
    verdict: str
    interface: str
    source: str
    target: str
    port: int
    asks: bool
    where: Where
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Peer:
    """What passed between the network and one place outside."""

    where: Where
    addresses: int
    flows: int
    bytes: int
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Knocks:
    """An address that asked for one port.

    Attributes:
        doors: how many interfaces it tried.
        let_in: how many of its attempts were accepted.
        ports: all that it was refused, the port itself included.
    """

    address: str
    where: Where
    times: int
    doors: int
    let_in: int
    first: str
    last: str
    ports: tuple[int, ...]


def flow_of(document: dict[str, Any]) -> Flow:
    """Return what the show needs of a document."""
    log = document["aws"]["vpcflow"]
    source, target = document.get("source", {}), document.get("destination", {})
    status, action = log.get("log_status", ""), log.get("action", "")
    whereabouts = where(source)
    ports = int(source.get("port", 0)), int(target.get("port", 0))
    return Flow(
        time=document["@timestamp"],
        verdict=action if action in {"ACCEPT", "REJECT"} else status,
        interface=log.get("interface_id", ""),
        source=source.get("address", ""),
        target=target.get("address", ""),
        port=min(ports),
        asks=ports[1] < ports[0],
        where=whereabouts if whereabouts.place else where(target),
        packets=int(source.get("packets", 0)),
        bytes=int(source.get("bytes", 0)),
    )


class Where(NamedTuple):
    """Where an address is, as GeoIP databases know it; "" for what is not known.

    Attributes:
        place: city and country.
        network: who owns the network.
        system: its autonomous system, such as AS64511.
    """

    place: str
    network: str
    system: str


def where(party: dict[str, Any]) -> Where:
    """Return where a document's `source` or `destination` is."""
    geo, network = party.get("geo", {}), party.get("as", {})
    place = ", ".join(part for part in (geo.get("city_name"), geo.get("country_name")) if part)
    number = network.get("number")
    return Where(place, network.get("organization", {}).get("name", ""), f"AS{number}" if number else "")


def volumes(flows: Sequence[Flow]) -> list[tuple[str, Sequence[Flow], list[int]]]:
    """Return (verdict, flows, ports by number of flows) for each verdict, the most frequent first."""
    by_verdict: dict[str, list[Flow]] = {}
    for flow in flows:
        by_verdict.setdefault(flow.verdict, []).append(flow)
    ordered = sorted(by_verdict.items(), key=lambda item: -len(item[1]))
    return [(verdict, some, _ports(some)) for verdict, some in ordered]


def talkers(flows: Iterable[Flow]) -> list[Peer]:
    """Return the networks outside that exchanged the most bytes, the greatest first."""
    by_network: dict[Where, list[Flow]] = {}
    for flow in flows:
        if flow.where.place and flow.verdict == "ACCEPT":
            by_network.setdefault(flow.where, []).append(flow)
    peers = [
        Peer(
            whereabouts,
            addresses=len({flow.source if flow.asks else flow.target for flow in some}),
            flows=len(some),
            bytes=sum(flow.bytes for flow in some),
            ports=tuple(_ports(some)),
        )
        for whereabouts, some in by_network.items()
    ]
    return sorted(peers, key=lambda peer: -peer.bytes)


def knocks(flows: Iterable[Flow], port: int | None = SSH, *, by: Collection[str] | None = None) -> list[Knocks]:
    """Return who asked for a port from outside, the most persistent first.

    Args:
        port: None for any.
        by: only these addresses.
    """
    by_address: dict[str, list[Flow]] = {}
    for flow in flows:
        if flow.asks and flow.where.place and port in {None, flow.port} and (by is None or flow.source in by):
            by_address.setdefault(flow.source, []).append(flow)
    found = [
        Knocks(
            address,
            some[0].where,
            times=len(some),
            doors=len({flow.interface for flow in some}),
            let_in=sum(flow.verdict == "ACCEPT" for flow in some),
            first=some[0].time,
            last=some[-1].time,
            ports=tuple(sorted({flow.port for flow in some})),
        )
        for address, some in by_address.items()
    ]
    return sorted(found, key=lambda one: (-one.times, one.address))


def _ports(flows: Iterable[Flow]) -> list[int]:
    counted = collections.Counter(flow.port for flow in flows if flow.port)
    return [port for port, _ in counted.most_common()]
