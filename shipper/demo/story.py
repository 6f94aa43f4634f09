"""What the demo shows a person of what arrived: tables, failures, and the incident told in order."""

from __future__ import annotations

import collections
from datetime import datetime

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from shipper.demo.arrived import Arrived, Event
from shipper.demo.cast import ACCOUNTS
from shipper.demo.findings import Finding, find_intruder
from shipper.service import Summary

_NAMES = {account.id: account.name for account in ACCOUNTS}
_LOUDEST = 8
_MOST_STEPS = 24
_WIDE = 100
_SHORT = 30


def tell_receipts(console: Console, summary: Summary) -> None:
    """The account: every record that was read has a known end in every sink."""
    ends_of = (">delivered", ">already\nthere", ">filtered", ">dead-\nlettered", ">not\naccounted")
    table = _table("sink", ">read", *ends_of)
    for source, read in summary.read.items():
        for sink, tally in summary.sinks[source].items():
            ends = (tally.delivered, tally.present, tally.filtered, tally.dead_lettered, read - tally.accounted)
            table.add_row(sink, f"{read:,}", *(f"{number:,}" for number in ends))
    console.print(table)
    console.print()


def tell_story(console: Console, arrived: Arrived) -> None:
    """Who did what from where, what was refused, and the incident."""
    console.print(f"[bold]3. What arrived[/bold]: {len(arrived.events):,} ECS documents\n")
    console.print(_counts(arrived))
    console.print(_actors(arrived, wide=console.width >= _WIDE))
    console.print(_failures(arrived, wide=console.width >= _WIDE))
    found = find_intruder(arrived.events)
    if found is not None:
        _tell_incident(console, found)


def _table(*columns: str, title: str = "") -> Table:
    """A table that folds long cells and cuts none; `>` before a column is for numbers, `=` for what stays whole."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=title,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        collapse_padding=True,
    )
    for column in columns:
        right, whole = column.startswith(">"), column.startswith((">", "="))
        table.add_column(column.lstrip(">="), justify="right" if right else "left", no_wrap=whole, overflow="fold")
    return table


def _name(user: str, *, wide: bool) -> str:
    """A person's name in full, or what stands before the organisation's domain where there is little room."""
    return user if wide else user.partition("@")[0]


def _counts(arrived: Arrived) -> Table:
    accounts = [account for account, _ in arrived.by("account").most_common()]
    table = _table("service", *(f">{_NAMES.get(account, account)}" for account in accounts), ">all")
    each = collections.Counter((event.provider, event.account) for event in arrived.events)
    for provider, count in arrived.by("provider").most_common(_LOUDEST):
        cells = [f"{each[provider, account]:,}" for account in accounts]
        table.add_row(provider.partition(".")[0] or "(insights)", *cells, f"{count:,}")
    return table


def _actors(arrived: Arrived, *, wide: bool) -> Table:
    columns = ("=who", "=from", "=network", "mostly") if wide else ("=who", "from", "=mostly")
    table = _table(">calls", *columns, title="Who did what from where")
    groups: dict[tuple[str, str, str], list[Event]] = {}
    for event in arrived.events:
        if event.user:
            groups.setdefault((event.user, event.place or event.address, event.network), []).append(event)
    for (user, place, network), events in sorted(groups.items(), key=lambda item: -len(item[1]))[:12]:
        actions = collections.Counter(event.action for event in events)
        mostly = ", ".join(name for name, _ in actions.most_common(2 if wide else 1))
        where = (place, network) if wide else (place,)
        table.add_row(f"{len(events):,}", _name(user, wide=wide), *where, mostly)
    return table


def _failures(arrived: Arrived, *, wide: bool) -> Table:
    table = _table(">times", "=who", "=wanted", "answer", "from", title="What was refused")
    refused = collections.Counter(
        (event.user, event.action, event.error or "failure", event.place or event.address)
        for event in arrived.events
        if event.failed
    )
    for (user, action, error, place), count in refused.most_common(_LOUDEST):
        table.add_row(f"{count:,}", _name(user, wide=wide), action, error, place)
    return table


def _tell_incident(console: Console, found: Finding) -> None:
    console.print("[bold]4. The incident[/bold]\n")
    whose = f"The access key [bold]{found.key}[/bold] of [bold]{found.user}[/bold], at home in {found.usual_place},"
    where = f"was used from [bold red]{found.place}[/bold red] ({found.network}), where nobody else works."
    console.print(Padding(f"{whose} {where} {len(found.events):,} calls came from there:", (0, 3)))
    wide = console.width >= _WIDE
    table = _table("=when (UTC)", "=as", *(("=what", "on") if wide else ("=what",)), "ended")
    steps = list(found.steps())
    for event, count in steps[:_MOST_STEPS]:
        ended = f"[red]{event.error or 'failed'}[/red]" if event.failed else "ok"
        what = (event.action + (f" ({count} times)" if count > 1 else ""), event.target)
        table.add_row(_when(event), event.user, *(what if wide else (_beside(*what),)), ended)
    console.print(table)
    if len(steps) > _MOST_STEPS:
        console.print(f"   … and {len(steps) - _MOST_STEPS} more steps\n")
    taken = sum(event.bytes_out for event in found.events if event.action == "GetObject")
    hours = (_moment(found.events[-1]) - _moment(found.events[0])).total_seconds() / 3600
    end = "[bold red]Nobody has switched the key off yet.[/bold red]"
    if (revoked := found.revoked) is not None:
        end = f"{revoked.user} ended it on {_when(revoked)} with {revoked.action}, from {revoked.place}."
    console.print(Padding(f"{taken / 1e9:.1f} GB were read, in {hours:.1f} hours. {end}", (0, 3)))
    console.print()


def _beside(action: str, target: str) -> str:
    """Both on one line where they are short, for terminals with little room."""
    return f"{action}{' ' if len(action) + len(target) < _SHORT else chr(10)}{target}".rstrip()


def _moment(event: Event) -> datetime:
    return datetime.fromisoformat(event.time)


def _when(event: Event) -> str:
    return f"{_moment(event):%a %H:%M:%S}"
