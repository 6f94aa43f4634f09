"""`shipper audit`: recounts what was delivered, and ships what is missing."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

from shipper.commands import DONE, FAILED, config_option, known_source, private_files, quiet_log
from shipper.counting import agreeing, counted, named
from shipper.escaping import printable

if TYPE_CHECKING:
    from rich.progress import TaskID

    from shipper.audit.account import Account, Difference

_TELL_SECONDS = 10.0


def _finite(_: click.Context, __: click.Parameter, seconds: float) -> float:
    """Refuse "nan", which is in no range and out of none, and "inf"."""
    if not math.isfinite(seconds):
        raise click.BadParameter("must be a finite number")
    return seconds


@click.command()
@config_option()
@click.option("--source", help="Only this source of the configuration.")
@click.option(
    "--since",
    default="-7d",
    show_default=True,
    help='What was settled, and objects labelled, since: a date, a time, an age such as "-7d", or "beginning".',
)
@click.option("--repair", is_flag=True, help="Ship what is missing, under the same ids.")
@click.option(
    "--settle-seconds",
    default=60.0,
    show_default=True,
    type=click.FloatRange(0),
    callback=_finite,
    help="Leave out what was settled so recently: a search may not see it yet.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def audit(file: Path, source: str | None, since: str, *, repair: bool, settle_seconds: float, as_json: bool) -> int:
    """Recount: the buckets' objects against the receipts, and the receipts against what each sink holds.

    What stands more than once is counted and named, too. A running daemon is not disturbed. The exit code is 0 where
    nothing is missing or doubled, 1 where something is or was before --repair, and where a sink or a bucket did not
    answer.
    """
    from shipper import config
    from shipper.build.audit import Wanted
    from shipper.build.audit import audit as recount
    from shipper.config.values import start_seconds

    quiet_log()
    private_files()
    settings = config.load(file)
    if source is not None:
        known_source(settings, source)
    try:
        first = start_seconds(since, time.time())
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from None
    wanted = Wanted(source, first, settle_seconds, repair)
    with _Progress() as progress:
        account = recount(settings, wanted, progress=progress.show)
    click.echo(json.dumps(account.as_json(), indent=2) if as_json else "\n".join(map(printable, lines_of(account))))
    return FAILED if account.differences or account.unanswered else DONE


def lines_of(account: Account) -> list[str]:
    """What an audit found, for people."""
    lines = []
    for (source, sink), pair in sorted(account.pairs.items()):
        by_id = f"; {pair.by_id:,} of them by their documents' ids" if pair.by_id else ""
        what = f"{counted(pair.records, 'record')} of {counted(pair.splits, 'split')}"
        lines.append(f"{source} → {sink}: {what} counted{by_id}")
    lines += [f"{source}: {counted(number, 'object')} listed" for source, number in sorted(account.listed.items())]
    lines += [f"{source}: NOTHING FOUND, {words}" for source, words in sorted(account.empty.items())]
    lines += [_left_aside(account, source) for source in sorted(account.left_aside)]
    lines += [f"{source}: {words}" for source, words in sorted(account.notes.items())]
    lines += [_remark(account, source, words) for source, words in sorted(account.remarks)]
    lines += [f"{source}: NOT KNOWN, {words}" for source, words in sorted(account.unanswered.items())]
    if not account.differences:
        return [*lines, _verdict(account)]
    lines += ["", *_table(account.differences), ""]
    if account.doubled:
        be = "is" if account.doubled == 1 else "are"
        lines.append(f"{counted(account.doubled, 'document')} {be} there once too often: see docs/audit.md, Doubles")
    if not account.lacking:
        return lines
    places = counted(sum(each.lacking > 0 for each in account.differences) + account.untold, "place")
    be = ("was" if account.repaired else "is") if account.lacking == 1 else ("were" if account.repaired else "are")
    lines.append(f"{counted(account.lacking, 'record')} {be} missing in {places}")
    left = account.lacking - account.repaired
    if account.repaired:
        again = f"{account.repaired:,} of them shipped again, {left:,} not" if left else "shipped again"
        lines.append(f"{again}; the next audit says whether they arrived")
    elif left:
        lines.append("shipper audit --repair ships them again, under the same ids")
    return lines


def _verdict(account: Account) -> str:
    if account.unanswered:
        return "no differences in what answered"
    if account.empty:
        return f"no differences, but nothing was found for {', '.join(sorted(account.empty))}"
    return "no differences"


def _left_aside(account: Account, source: str) -> str:
    names, more = account.left_aside[source], account.more_left_aside[source]
    number = len(names) + more
    what = "1 folder or object is" if number == 1 else f"{number:,} folders or objects are"
    rest = f" and {more:,} more" if more else ""
    return f"{source}: {what} not shipped, because no log type takes {'it' if number == 1 else 'them'}: " + (
        ", ".join(names) + rest
    )


def _remark(account: Account, source: str, words: str) -> str:
    number, names = account.remarks[source, words], account.names_of.get((source, words), [])
    return f"{source}: {agreeing(number, words)}" + (f": {named(names, number)}" if names else "")


def _table(differences: list[Difference]) -> list[str]:
    heads = ("source", "sink", "kind", "expected", "found", "missing", "doubled", "what")
    rows = [heads]
    for each in differences:
        numbers = (f"{each.expected:,}", f"{each.found:,}", f"{each.lacking:,}", f"{each.extra:,}")
        rows.append((each.source, each.sink, each.kind.replace("_", " "), *numbers, each.what))
    widths = [max(len(row[place]) for row in rows) for place in range(len(heads) - 1)]
    lines = []
    for place, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[-1]]))
        if place and (detail := _detail(differences[place - 1])):
            lines.append(f"    {detail}")
    return lines


def _detail(each: Difference) -> str:
    said = ["repaired"] if each.repaired else []
    said += [each.why] if each.why else []
    more = " …" if each.lacking + each.extra > len(each.ids) else ""
    said += [f"ids: {', '.join(each.ids)}{more}"] if each.ids else []
    return "; ".join(said)


class _Progress:
    """Counters on a terminal, a line now and then elsewhere; both on standard error."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.completed:,.0f}"),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._counts: dict[str, int] = {}
        self._told = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, source: str, what: str, number: int) -> None:
        """Count on."""
        name = f"{source}: {what}"
        if name not in self._tasks:
            self._tasks[name] = self._bar.add_task(name, total=None)
        self._bar.advance(self._tasks[name], number)
        self._counts[name] = self._counts.get(name, 0) + number
        if not self._console.is_terminal and time.monotonic() - self._told > _TELL_SECONDS:
            self._told = time.monotonic()
            click.echo(f"{name}: {self._counts[name]:,}", err=True)
