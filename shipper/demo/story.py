"""What the demo shows a person of what arrived: tables, failures, and the incident told in order."""

from __future__ import annotations

import collections
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from shipper.demo.arrived import Arrived, Event
from shipper.demo.cast import ACCOUNTS
from shipper.demo.findings import Finding, find_intruder
from shipper.demo.flows import Flow
from shipper.demo.network_story import tell_knocks, tell_network
from shipper.demo.tables import WIDE, moment, table, when
from shipper.service import Summary

_NAMES = {account.id: account.name for account in ACCOUNTS}
_LOUDEST = 8
_MOST_STEPS = 24
_SHORT = 30


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
        _tell_incident(console, found, arrived.flows)


def _name(user: str, *, wide: bool) -> str:
    """A person's name in full, or what stands before the organisation's domain where there is little room."""
    return user if wide else user.partition("@")[0]


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
    for (user, place, network), events in sorted(groups.items(), key=lambda item: -len(item[1]))[:12]:
        actions = collections.Counter(event.action for event in events)
        mostly = ", ".join(name for name, _ in actions.most_common(2 if wide else 1))
        where = (place, network) if wide else (place,)
        made.add_row(f"{len(events):,}", _name(user, wide=wide), *where, mostly)
    return made


def _failures(arrived: Arrived, *, wide: bool) -> Table:
    made = table(">times", "=who", "=wanted", "answer", "from", title="What was refused")
    refused = collections.Counter(
        (event.user, event.action, event.error or "failure", event.place or event.address)
        for event in arrived.events
        if event.failed
    )
    for (user, action, error, place), count in refused.most_common(_LOUDEST):
        made.add_row(f"{count:,}", _name(user, wide=wide), action, error, place)
    return made


def _tell_incident(console: Console, found: Finding, flows: Sequence[Flow]) -> None:
    console.print("[bold]5. The incident[/bold]\n")
    whose = f"The access key [bold]{found.key}[/bold] of [bold]{found.user}[/bold], at home in {found.usual_place},"
    where = (
        f"was used from [bold red]{found.place}[/bold red] ({found.system} {found.network}), where nobody else works."
    )
    console.print(Padding(f"{whose} {where} {len(found.events):,} calls came from there:", (0, 3)))
    wide = console.width >= WIDE
    made = table("=when (UTC)", "=as", *(("=what", "on") if wide else ("=what",)), "ended")
    steps = list(found.steps())
    for event, count in steps[:_MOST_STEPS]:
        ended = f"[red]{event.error or 'failed'}[/red]" if event.failed else "ok"
        what = (event.action + (f" ({count} times)" if count > 1 else ""), event.target)
        made.add_row(when(event.time), event.user, *(what if wide else (_beside(*what),)), ended)
    console.print(made)
    if len(steps) > _MOST_STEPS:
        console.print(f"   … and {len(steps) - _MOST_STEPS} more steps\n")
    taken = sum(event.bytes_out for event in found.events if event.action == "GetObject")
    hours = (moment(found.events[-1].time) - moment(found.events[0].time)).total_seconds() / 3600
    end = "[bold red]Nobody has switched the key off yet.[/bold red]"
    if (revoked := found.revoked) is not None:
        end = f"{revoked.user} ended it on {when(revoked.time)} with {revoked.action}, from {revoked.place}."
    console.print(Padding(f"{taken / 1e9:.1f} GB were read, in {hours:.1f} hours. {end}", (0, 3)))
    console.print()
    tell_knocks(console, flows, found.addresses)


def _beside(action: str, target: str) -> str:
    """Both on one line where they are short, for terminals with little room."""
    return f"{action}{' ' if len(action) + len(target) < _SHORT else chr(10)}{target}".rstrip()
