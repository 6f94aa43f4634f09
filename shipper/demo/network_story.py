"""What the demo shows of the network: traffic let in and turned away, who talks most, who knocks on ssh."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from shipper.demo.flows import SSH, Flow, Knocks, knocks, talkers, volumes
from shipper.demo.tables import WIDE, size, table, when

_LOUDEST = 8
_TALKERS = 4
_SERVICES = {22: "ssh", 23: "telnet", 443: "https", 445: "smb", 1433: "mssql", 3389: "rdp", 5432: "postgres",
             6379: "redis", 8080: "http-alt", 8443: "https-alt"}  # fmt: skip
_VERDICTS = {
    "ACCEPT": ("accepted", ""),
    "REJECT": ("rejected", "red"),
    "NODATA": ("no traffic", ""),
    "SKIPDATA": ("missed by AWS", "yellow"),
}


def tell_network(console: Console, flows: Sequence[Flow], suspects: Collection[str]) -> None:
    """Tell of the flow logs; nothing where there are none.

    Args:
        suspects: addresses that CloudTrail shows in a bad light.
    """
    if not flows:
        return
    console.print(f"[bold]4. The network[/bold]: {len(flows):,} of them are flow logs of production's VPC\n")
    wide = console.width >= WIDE
    console.print(_volumes(flows))
    console.print(_talkers(flows, wide=wide))
    console.print(_knocks(knocks(flows), suspects, wide=wide))


def tell_knocks(console: Console, flows: Sequence[Flow], suspects: Collection[str]) -> None:
    """Tell what the network saw of the incident's addresses."""
    for one in knocks(flows, None, by=suspects):
        ports = ", ".join(_service(port) for port in one.ports)
        let_in = "none was let in" if not one.let_in else f"[bold red]{one.let_in:,} were let in[/bold red]"
        told = f"The network saw it too: [bold red]{one.address}[/bold red] knocked {one.times:,} times on {one.doors} "
        told += f"interfaces, for {ports}, from {when(one.first)} to {when(one.last)}; {let_in}."
        console.print(Padding(told, (0, 3)))
        console.print()


def _volumes(flows: Sequence[Flow]) -> Table:
    made = table("traffic", ">flows", ">packets", ">bytes", "mostly for")
    for verdict, some, ports in volumes(flows):
        name, style = _VERDICTS.get(verdict, (verdict, ""))
        packets, count = sum(flow.packets for flow in some), sum(flow.bytes for flow in some)
        mostly = ", ".join(_service(port) for port in ports[:4])
        cells = (f"{packets:,}", size(count)) if ports else ("", "")
        made.add_row(name, f"{len(some):,}", *cells, mostly, style=style)
    return made


def _talkers(flows: Sequence[Flow], *, wide: bool) -> Table:
    columns = ("=with", "=network") if wide else ("with",)
    made = table(">bytes", ">flows", *columns, ">addresses", "for", title="Who talks most with the outside")
    for peer in talkers(flows)[:_TALKERS]:
        names = (peer.where.place, peer.where.network) if wide else (peer.where.place,)
        ports = ", ".join(_service(port) for port in peer.ports)
        made.add_row(size(peer.bytes), f"{peer.flows:,}", *names, f"{peer.addresses:,}", ports)
    return made


def _knocks(found: Sequence[Knocks], suspects: Collection[str], *, wide: bool) -> Table:
    made = table(">times", "=address", "from", "=network", ">targets", "let in", title=f"Who knocks on {_service(SSH)}")
    for one in [one for place, one in enumerate(found) if place < _LOUDEST or one.address in suspects or one.let_in]:
        network = f"{one.where.system} {one.where.network}" if wide else one.where.system
        let_in = "[green]yes[/green]" if one.let_in == one.times else f"{one.let_in:,}" if one.let_in else "no"
        style = "bold red" if one.address in suspects else ""
        made.add_row(f"{one.times:,}", one.address, one.where.place, network, f"{one.doors:,}", let_in, style=style)
    return made


def _service(port: int) -> str:
    return _SERVICES.get(port, str(port))
