"""`shipper backfill`: ships a past range of a source, beside a running daemon."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from shipper.commands import DONE, FAILED, config_option, known_source, private_files, start
from shipper.counting import counted
from shipper.escaping import printable

if TYPE_CHECKING:
    from shipper.build.backfill import Backfill, Range
    from shipper.config import Settings
    from shipper.model import Receipt
    from shipper.ports import Stop
    from shipper.service import Summary

_TELL_SECONDS = 10.0
_WAITS = (5.0, 10.0, 20.0)


@click.command()
@config_option()
@click.option("--source", required=True, help="Name of a source of S3 in the configuration.")
@click.option("--since", required=True, help='First moment: a date, a time, an age such as "-30d", or "beginning".')
@click.option("--until", default="now", show_default=True, help="First moment that is left out.")
@click.option("--to-queue", "queue_url", metavar="URL", help="Put the objects on an SQS queue instead, for a fleet.")
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON.")
def backfill(file: Path, source: str, since: str, until: str, queue_url: str | None, *, as_json: bool) -> int:
    """Ship a past range of a source, oldest first.

    A running daemon is not disturbed. The same command goes on after an interruption. Events that were delivered
    before are looked for and stay single in Elasticsearch, also over rollovers; Splunk and archives get them again. The
    exit code is 0 when all is shipped, 1 when something is left.
    """
    settings = start(file)
    private_files()
    known_source(settings, source)
    from shipper.build.backfill import Range, WrongRangeError
    from shipper.ports import Stop

    if queue_url:
        check_url(queue_url)
    stop = Stop()
    try:
        return _ship(settings, Range(source, since, until, queue_url), stop, as_json=as_json)
    except WrongRangeError as error:
        raise click.UsageError(str(error)) from error


def _ship(settings: Settings, wanted: Range, stop: Stop, *, as_json: bool) -> int:
    """Ship the buckets, prefixes and log types of the source, one after the other."""
    from shipper.build.backfill import backfills

    results: list[dict[str, Any]] = []
    for each in backfills(settings, wanted, stop=stop):
        try:
            with _Progress(each) as progress:
                summary = _run(each, progress)
        finally:
            each.pipeline.close()
        objects = each.listing.settled_objects
        result = {"what": each.title, "state": str(each.folder), "objects": objects, **summary.as_json()}
        results.append(result | ({"nothing_found": each.listing.emptiness} if _found_nothing(each) else {}))
        if not as_json:
            _write(each, summary)
        if stop.requested:
            break
    ok = all(result["ok"] for result in results) and not stop.requested
    if as_json:
        click.echo(json.dumps({"ok": ok, "parts": results}, indent=2))
    return DONE if ok else FAILED


def check_url(url: str) -> None:
    """Refuse a queue's URL that is none.

    Raises:
        click.BadParameter: it is none.
    """
    from shipper.config.values import split_url

    try:
        split_url(url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--to-queue") from None


def _run(each: Backfill, progress: _Progress) -> Summary:
    """Run until all is shipped; a listing that fails, or a refusal, is tried again some times."""
    from shipper import service
    from shipper.service import Summary

    total = Summary()

    def settled(receipt: Receipt) -> None:
        total.add(receipt)
        progress.show()

    for wait in (*_WAITS, None):
        summary = service.run(each.pipeline, once=True, on_receipt=settled)
        total.ok = summary.ok
        total.seconds += summary.seconds
        if summary.ok or wait is None or each.pipeline.stop.rest(wait):
            break
    return total


def _found_nothing(each: Backfill) -> bool:
    return each.listing.found_nothing and not each.listing.settled_objects


def _write(each: Backfill, summary: Summary) -> None:
    click.echo(f"{each.title}: {counted(each.listing.settled_objects, 'object')}")
    if _found_nothing(each):
        click.echo(f"  {printable(each.listing.emptiness)}")
    for line in summary.lines() if any(summary.sinks.values()) else []:
        click.echo(f"  {line}")
    if not summary.ok:
        click.echo("  NOT finished; the same command goes on")


class _Progress:
    """A bar on a terminal, a line now and then elsewhere; both on standard error."""

    def __init__(self, each: Backfill) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        self._each = each
        self._console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[objects]:,} objects"),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(each.title, total=1.0, objects=0)
        self._told = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.show()
        self._bar.stop()

    def show(self) -> None:
        """Show what is settled. Called from the source's thread, too."""
        objects = self._each.listing.settled_objects
        self._bar.update(self._task, completed=self._each.listing.progress, objects=objects)
        if not self._console.is_terminal and time.monotonic() - self._told > _TELL_SECONDS:
            self._told = time.monotonic()
            listed = f"{self._each.listing.progress:.0%} listed"
            click.echo(f"{self._each.title}: {counted(objects, 'object')}, {listed}", file=sys.stderr)
