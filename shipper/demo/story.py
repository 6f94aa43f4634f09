"""What the demo shows a person of what arrived: the account of it, who did what from where, what was refused."""

from __future__ import annotations

import collections

from rich.console import Console
from rich.table import Table

from shipper.demo.arrived import Arrived, Event
from shipper.demo.cast import ACCOUNTS
from shipper.demo.findings import find_intruder
from shipper.demo.incident_story import tell_incident
from shipper.demo.network_story import tell_network
from shipper.demo.tables import NARROW, ROOMY, WIDE, folded, short, table
from shipper.service import Summary

_NAMES = {account.id: account.name for account in ACCOUNTS}
_LOUDEST = 8
_BUSIEST = 12


def tell_receipts(console: Console, summary: Summary) -> None:
    """The account: every record that was read has a known end in every sink."""
    ends_of = (">delivered", ">already\nthere", ">filtered", ">dead-\nlettered", ">not\naccounted")
    made = table("source", "sink", ">read", *ends_of)
    for source, read in summary.read.items():
        for sink, tally in summary.sinks[source].items():
            ends = (tally.delivered, tally.present, tally.filtered, tally.dead_lettered, read - tally.accounted)
            made.add_row(source, sink, f"{read:,}", *(f"{number:,}" for number in ends))
    console.print(made)
    console.print()


def tell_story(console: Console, arrived: Arrived) -> None:
    """Who did what from where, what was refused, and the incident."""
    console.print(f"[bold]3. What arrived[/bold]: {len(arrived.events) + len(arrived.flows):,} ECS documents\n")
    console.print(_counts(arrived))
    console.print(_actors(arrived, wide=console.width >= WIDE))
    console.print(_failures(arrived, wide=console.width >= WIDE))
    found = find_intruder(arrived.events)
    tell_network(console, arrived.flows, found.addresses if found else ())
    if found is not None:
        tell_incident(console, found, arrived)


def _counts(arrived: Arrived) -> Table:
    accounts = [account for account, _ in arrived.by("account").most_common()]
    made = table("service", *(f">{_NAMES.get(account, account)}" for account in accounts), ">all")
    each = collections.Counter((event.provider, event.account) for event in arrived.events)
    for provider, count in arrived.by("provider").most_common(_LOUDEST):
        cells = [f"{each[provider, account]:,}" for account in accounts]
        made.add_row(provider.partition(".")[0] or "(insights)", *cells, f"{count:,}")
    return made


def _actors(arrived: Arrived, *, wide: bool) -> Table:
    columns = ("=who", "=from", "=network", "mostly") if wide else ("=who", "from", "=mostly")
    made = table(">calls", *columns, title="Who did what from where")
    groups: dict[tuple[str, str, str], list[Event]] = {}
    for event in arrived.events:
        if event.user:
            groups.setdefault((event.user, event.place or event.address, event.network), []).append(event)
    for (user, place, network), events in sorted(groups.items(), key=lambda item: -len(item[1]))[:_BUSIEST]:
        actions = collections.Counter(event.action for event in events)
        mostly = ", ".join(name for name, _ in actions.most_common(2 if wide else 1))
        where = (place, network) if wide else (place,)
        made.add_row(f"{len(events):,}", short(user, wide=wide), *where, mostly)
    return made


def _failures(arrived: Arrived, *, wide: bool) -> Table:
    made = table(">times", "=who", "=wanted", "answer", "from", title="What was refused")
    refused = collections.Counter(
        (event.user, event.action, event.error or "failure", event.place or event.address)
        for event in arrived.events
        if event.failed
    )
    for (user, action, error, place), count in refused.most_common(_LOUDEST):
        answer = folded(error, ROOMY if wide else NARROW)
        made.add_row(f"{count:,}", short(user, wide=wide), action, answer, place)
    return made
