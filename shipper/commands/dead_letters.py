"""`shipper dead-letters`: shows what could not be shipped, and why."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shipper.commands import DONE, config_option, quiet_log
from shipper.escaping import printable

if TYPE_CHECKING:
    from shipper.model import DeadLetter


@click.group("dead-letters")
def dead_letters() -> None:
    """Show what could not be shipped, and why."""


@dead_letters.command()
@config_option()
@click.option("--source", help="Only those of this source.")
@click.option("--sink", help="Only those that this sink refused.")
@click.option("--reason", help="Only those with this reason.")
@click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(1), help="At most so many, the oldest first."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with the records themselves.")
def show(file: Path, *, source: str | None, sink: str | None, reason: str | None, limit: int, as_json: bool) -> int:
    """List records and objects that could not be shipped: when, from where, why.

    Only --json shows the records themselves. A running daemon is not disturbed.
    """
    from shipper import build, config

    quiet_log()
    settings = config.load(file, secrets=False)
    letters: list[DeadLetter] = []
    if (settings.state.path / build.DEAD_LETTERS_FILE).exists():  # opening would make it, for the wrong user maybe
        store = build.dead_letters(settings)
        try:
            letters = list(store.letters(source=source, sink=sink, reason=reason, limit=limit))
        finally:
            store.close()
    for letter in letters:
        click.echo(json.dumps(_object(letter), ensure_ascii=True) if as_json else _line(letter))
    if not as_json:
        counted = ", ".join(f"{count:,} {reason}" for reason, count in Counter(x.reason for x in letters).most_common())
        click.echo(f"{len(letters):,} shown: {counted}" if letters else "none")
    return DONE


def _line(letter: DeadLetter) -> str:
    position = "" if letter.position is None else f" record {letter.position}"
    where = f"{letter.source} → {letter.sink or 'every sink'}: {letter.origin.uri}{position}"
    return printable(f"{_time(letter.time)} {where}: {letter.reason}: {letter.answer}")


def _object(letter: DeadLetter) -> dict[str, Any]:
    return {
        "time": _time(letter.time),
        "source": letter.source,
        "sink": letter.sink,
        "logs": letter.logs,
        "uri": letter.origin.uri,
        "position": letter.position,
        "reason": letter.reason,
        "answer": letter.answer,
        "document_id": letter.document_id,
        "payload": letter.payload.decode("utf-8", "backslashreplace"),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
