"""The incident as the shipped documents tell it: who, through what, from where, touched what; then step by step."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from shipper.demo.arrived import Arrived
from shipper.demo.findings import Act, Finding, Touched
from shipper.demo.network_story import tell_knocks
from shipper.demo.tables import NARROW, ROOMY, WIDE, folded, short, size, table, when

_MOST_STEPS = 24
_SHORT = 30


def tell_incident(console: Console, found: Finding, arrived: Arrived) -> None:
    """Tell what was found, its end included."""
    console.print("[bold]5. The incident[/bold]\n")
    whose = f"The access key [bold]{found.key}[/bold] of [bold]{found.user}[/bold], at home in {found.usual_place},"
    where = f"was used from [bold red]{found.place}[/bold red], where nobody else works:"
    console.print(Padding(f"{whose} {where}", (0, 3)))
    console.print()
    acts = [_sentence(act, arrived.tags) + "." for act in found.acts()]
    if found.answer and found.revoked is not None:
        end = f" and ended it on {when(found.revoked.time)}."
        acts.append(_sentence(Act(found.revoked.user, found.revoked.role, found.answer), arrived.tags) + end)
    else:
        acts.append("[bold red]Nobody has switched the key off yet.[/bold red]")
    listed = Table.grid(padding=(0, 1))
    for act in acts:
        listed.add_row("•", act)
    console.print(Padding(listed, (0, 3)))
    console.print()
    console.print(_steps(found, wide=console.width >= WIDE))
    more = len(list(found.steps())) - _MOST_STEPS
    if more > 0:
        console.print(f"   … and {more} more steps\n")
    tell_knocks(console, arrived.flows, found.addresses)


def _sentence(act: Act, tags: Mapping[str, Mapping[str, str]]) -> str:
    """Such as: alice through role deploy (team platform), from AS64511 Some Hosting in Some City, touched a, b, c."""
    way = f"through role [bold]{act.role}[/bold]" if act.role else "with the key" if act.first.key else "at the console"
    known = ", ".join(f"{key} {value}" for key, value in sorted(tags.get(act.first.principal, {}).items()))
    known = f" ({escape(known)})" if known else ""
    where = f"from {act.first.system} {act.first.network} in {act.first.place}"
    touched = ", ".join(map(_touched, act.touched()))
    did = f"touched {touched}" if touched else "came in" if act.first.action == "ConsoleLogin" else "looked around"
    return f"[bold]{act.who}[/bold] {way}{known}, {where}, {did}"


def _touched(one: Touched) -> str:
    more = [f"{one.calls} times"] if one.calls > 1 else []
    more += [size(one.bytes)] if one.bytes else []
    more += ["refused"] if one.refused else []
    return f"{one.name} ({', '.join(more)})" if more else one.name


def _steps(found: Finding, *, wide: bool) -> Table:
    made = table("=when (UTC)", "=as", *(("=what", "on") if wide else ("=what",)), "ended")
    for event, count in list(found.steps())[:_MOST_STEPS]:
        error = event.error or "failed"
        ended = f"[red]{folded(error, ROOMY if wide else NARROW)}[/red]" if event.failed else "ok"
        what = (event.action + (f" ({count} times)" if count > 1 else ""), short(event.target))
        who = f"role {event.role}" if event.role else short(event.user)
        made.add_row(when(event.time), who, *(what if wide else (_beside(*what),)), ended)
    return made


def _beside(action: str, target: str) -> str:
    """Both on one line where they are short, for terminals with little room."""
    return f"{action}{' ' if len(action) + len(target) < _SHORT else chr(10)}{target}".rstrip()
