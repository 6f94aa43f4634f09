"""`shipper deadletters`: shows what could not be shipped and why, and ships it again."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from shipper.commands import DONE, FAILED, config_option, quiet_log
from shipper.commands.letters import as_object, explained, full, line, seconds_of
from shipper.counting import counted
from shipper.escaping import printable

if TYPE_CHECKING:
    from shipper.config import Settings
    from shipper.deadletters.sqlite import SqliteDeadLetters, Wanted
    from shipper.model import DeadLetter
    from shipper.replay import Replayed
    from shipper.reread import Reread

_FILTERS = (
    click.option("--source", help="Only those of this source."),
    click.option("--sink", help="Only those that this sink refused."),
    click.option("--reason", help="Only those with this reason."),
    click.option("--logs", help="Only those of this log type."),
    click.option("--uri", help="Only those whose origin begins so, such as s3://bucket/prefix."),
    click.option("--since", help="Only those kept since: 2026-01-31, 2026-01-31T12:00:00Z, or an age: -7d, 12h."),
    click.option("--until", help="Only those kept before, written likewise."),
    click.option("--id", "ids", type=int, multiple=True, help="Only this one, by its number; may be repeated."),
)
_JSON = click.option("--json", "as_json", is_flag=True, help="As JSON, one object a line.")


@click.group("deadletters")
def dead_letters() -> None:
    """Show what could not be shipped and why; ship it again."""


def _filtered(command: Callable[..., int]) -> Callable[..., int]:
    """The filters' options, handed to the command as one `Wanted`."""

    def run(file: Path, **options: Any) -> int:
        from shipper.deadletters.sqlite import Wanted

        names = ("source", "sink", "reason", "logs", "uri")
        chosen = {name: options.pop(name) for name in names}
        since, until = (seconds_of(options.pop(name)) for name in ("since", "until"))
        return command(file, Wanted(**chosen, since=since, until=until, ids=tuple(options.pop("ids"))), **options)

    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    decorated: Any = run
    for option in reversed(_FILTERS):
        decorated = option(decorated)
    return config_option()(decorated)  # type: ignore[no-any-return] # click's decorators are not typed


_LIMIT = click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(1), help="At most so many, the oldest first."
)


@dead_letters.command("list")
@_LIMIT
@_JSON
@_filtered
def list_letters(file: Path, wanted: Wanted, *, limit: int, as_json: bool) -> int:
    """List records and objects that could not be shipped: number, when, from where, why.

    Only --json shows the records themselves. A running daemon is not disturbed.
    """
    return _list(file, wanted, limit, as_json=as_json)


@dead_letters.command()
@click.argument("numbers", nargs=-1, type=int)
@_LIMIT
@_JSON
@_filtered
def show(file: Path, wanted: Wanted, *, numbers: tuple[int, ...], limit: int, as_json: bool) -> int:
    """Show letters whole, by their numbers: reason, the server's words, origin, the record itself.

    Without a number it lists, as `list` does.
    """
    if not numbers:
        return _list(file, wanted, limit, as_json=as_json)
    return _each(file, numbers, lambda letter: json.dumps(as_object(letter)) if as_json else full(letter))


@dead_letters.command()
@config_option()
@click.argument("numbers", nargs=-1, type=int, required=True)
def explain(file: Path, *, numbers: tuple[int, ...]) -> int:
    """Say what a letter's reason means, which field and types conflict, and what to do."""
    return _each(file, numbers, explained)


@dead_letters.command()
@click.option("--to", "target", type=click.Path(path_type=Path), help="File to make; else standard output.")
@_filtered
def export(file: Path, wanted: Wanted, *, target: Path | None) -> int:
    """Write letters as JSON, one a line, with the records and documents themselves."""
    with _opened(file) as (_, store), _output(target) as output:
        written = 0
        for letter in store.letters(wanted) if store else ():
            output.write(json.dumps(as_object(letter), ensure_ascii=True) + "\n")
            written += 1
    if target:
        stay = "it stays a dead letter" if written == 1 else "they stay dead letters"
        click.echo(f"{counted(written, 'letter')} written to {target}; {stay}")
    return DONE


@dead_letters.command()
@click.option("--all", "everything", is_flag=True, help="All letters, without any filter.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_filtered
def purge(file: Path, wanted: Wanted, *, everything: bool, yes: bool) -> int:
    """Remove letters for ever: the records in them are lost, unless they are still at their origin."""
    if wanted == type(wanted)() and not everything:
        raise click.UsageError("say which letters with a filter, or --all")
    with _opened(file) as (_, store):
        count = sum(number for _, _, number in store.reasons(wanted)) if store else 0
        if not store or not count:
            click.echo("none")
            return DONE
        if not yes:
            click.confirm(f"Remove {counted(count, 'dead letter')} for ever?", abort=True, err=True)
        click.echo(f"removed: {store.purge(wanted):,}")
    return DONE


@dead_letters.command()
@_JSON
@click.option(
    "--reread", is_flag=True, help="Read objects again that made no documents, or some of whose records made none, too."
)
@_filtered
def replay(file: Path, wanted: Wanted, *, as_json: bool, reread: bool) -> int:
    """Ship letters again to the sinks that refused them, under the same ids; what gets through is removed.

    What is refused again stays, with the newest words. A running daemon is not disturbed.
    """
    from shipper import build

    with _opened(file, secrets=True) as (settings, store):
        if store is None:
            click.echo("{}" if as_json else "none")
            return DONE
        total = sum(number for _, _, number in store.reasons(wanted))

        def progress(done: Any) -> None:
            if not as_json:
                got = done.delivered + done.present + done.repaired
                stay = counted(done.kept, "stays a dead letter", "stay dead letters")
                click.echo(f"{got + done.kept:,} of {total:,}: {got:,} got through, {stay}", err=True)

        def progress_of_objects(done: Any) -> None:
            if not as_json:
                stay = counted(done.still + done.not_read, "stays a dead letter", "stay dead letters")
                click.echo(f"read again: {'; '.join(_reread_lines(done))}; {stay}", err=True)

        again = build.reread(settings, store, store.letters(wanted), progress_of_objects) if reread else None
        account = build.replay(settings, store, store.letters(wanted), progress)
    _write_replayed(account, again, as_json=as_json)
    return FAILED if account.kept else DONE


def _write_replayed(account: Replayed, again: Reread | None, *, as_json: bool) -> None:
    if as_json:
        made = {"reread": again.made, "reread_objects": again.whole} if again else {}
        numbers = {name: value for name in account.__slots__ if (value := getattr(account, name)) != ""}
        click.echo(json.dumps(numbers | made))
        return
    for line_ in _reread_lines(again) if again else ():
        click.echo(f"{line_}: removed")
    click.echo(
        f"{account.delivered:,} delivered + {account.present:,} already there + {account.repaired:,} repaired: removed"
    )
    if not account.kept:
        return
    click.echo(
        f"{account.refused:,} refused again + {account.no_document:,} without a document + {account.no_sink:,} of a"
        " sink that is not configured: kept"
    )
    if account.first_refusal:
        click.echo(f"  the first refusal: {printable(account.first_refusal)}")
    if account.no_document:
        hint = "shipper backfill, shipper checkpoints reset" if again else "shipper deadletters replay --reread"
        click.echo(f"  records without a document were never decoded; ship them anew from their origin: {hint}")


def _reread_lines(again: Reread) -> list[str]:
    """Return what was shipped from its origin, in words."""
    made = counted(
        again.made, "record makes a document now, or is filtered", "records make documents now, or are filtered"
    )
    return [made, counted(again.whole, "object was read to its end", "objects were read to their end")]


def _list(file: Path, wanted: Wanted, limit: int, *, as_json: bool) -> int:
    shown = 0
    counts: list[tuple[str, str, int]] = []
    with _opened(file) as (_, store):
        if store:
            for letter in store.letters(wanted, limit):
                click.echo(json.dumps(as_object(letter), ensure_ascii=True) if as_json else line(letter))
                shown += 1
            counts = store.reasons(wanted)
    if not as_json:
        by_reason: Counter[str] = Counter()
        for _, reason, count in counts:
            by_reason[reason] += count
        total = by_reason.total()
        of_all = "" if shown == total else f" of {total:,}"
        each = ", ".join(f"{count:,} {printable(reason)}" for reason, count in by_reason.most_common())
        click.echo(f"{shown:,} shown{of_all}: {each}" if total else "none")
        if total:
            click.echo("shipper deadletters explain NUMBER says what one means and what to do")
    return DONE


def _each(file: Path, numbers: tuple[int, ...], tell: Callable[[DeadLetter], str]) -> int:
    from shipper.deadletters.sqlite import Wanted

    with _opened(file) as (_, store):
        found = {letter.id: letter for letter in store.letters(Wanted(ids=numbers))} if store else {}
    for number in numbers:
        if number in found:
            click.echo(tell(found[number]))
        else:
            click.echo(f"no dead letter has the number {number}; see: shipper deadletters list", err=True)
    return DONE if len(found) == len(set(numbers)) else FAILED


@contextlib.contextmanager
def _output(target: Path | None) -> Iterator[TextIO]:
    if target is None:
        yield sys.stdout
        return
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise click.UsageError(f"{target} cannot be made: {error.strerror}") from error
    with os.fdopen(handle, "w") as file:
        yield file


@contextlib.contextmanager
def _opened(file: Path, *, secrets: bool = False) -> Iterator[tuple[Settings, SqliteDeadLetters | None]]:
    """The settings and the store; None where there is none yet (opening would make it, for the wrong user maybe)."""
    from shipper import build, config

    quiet_log()
    settings = config.load(file, secrets=secrets)
    if not (settings.state.path / build.DEAD_LETTERS_FILE).exists():
        yield settings, None
        return
    store = build.dead_letters(settings)
    try:
        yield settings, store
    finally:
        store.close()
