"""`shipper checkpoints`: shows what is done, and forgets it on request."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shipper.commands import DONE, FAILED, config_option, quiet_log
from shipper.counting import counted
from shipper.escaping import printable
from shipper.model import WindowSplit

if TYPE_CHECKING:
    from shipper.checkpoints.sqlite import SqliteCheckpoints
    from shipper.config import Settings

_ALL_TIME = (-(2**62), 2**62)


@click.group()
def checkpoints() -> None:
    """Show or forget what has been shipped."""


@checkpoints.command()
@config_option()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(file: Path, *, as_json: bool) -> int:
    """Show each source's cursors, open days, pinned splits, retries and receipts.

    A running daemon is not disturbed.
    """
    from shipper import build

    settings = _settings(file)
    store = build.store(settings, read_only=True)
    try:
        state = {
            name: _source(store, name, settings.sources[owner].type) for name, owner in build.names(settings).items()
        }
    finally:
        store.close()
    click.echo(json.dumps(state, indent=2) if as_json else "\n".join(_lines(state)))
    return DONE


@checkpoints.command()
@config_option()
@click.option("--source", help="Name of a source in the configuration.")
@click.option("--scope", help="One scope of it, as `show` names it; all when not given.")
@click.option("--damaged", is_flag=True, help="Set a damaged store aside and begin anew, for all sources.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(file: Path, source: str | None, scope: str | None, *, damaged: bool, yes: bool) -> int:
    """Forget what is done, so that it is shipped again from `start` on.

    Elasticsearch keeps one copy of each event all the same, also over rollovers, where the credentials may read. Splunk
    gets them twice, and so does an archive wherever objects come in other groups than at first. Receipts stay, except
    with --damaged. The daemon must be stopped.
    """
    if (source is None) != damaged or (damaged and scope):
        raise click.UsageError("name either a --source (and maybe its --scope), or --damaged")
    settings = _settings(file)
    return _forget(settings, file, source, scope, yes=yes) if source else _set_aside(settings, yes=yes)


def _set_aside(settings: Settings, *, yes: bool) -> int:
    from shipper import build

    if not yes:
        click.confirm(f"Set the store in {settings.state.path} aside, with all receipts?", abort=True, err=True)
    aside = build.set_store_aside(settings)
    click.echo(f"the store is now {aside}" if aside else f"there is no store in {settings.state.path}")
    return DONE


def _forget(settings: Settings, file: Path, source: str, scope: str | None, *, yes: bool) -> int:
    from shipper import build

    if source not in settings.sources:
        known = ", ".join(settings.sources)
        raise click.UsageError(f"{file} has no source '{source}'; it has: {known}")
    if not yes:
        what = f"scope '{scope}' of source '{source}'" if scope else f"source '{source}'"
        click.confirm(f"Forget what is done of {what}?", abort=True, err=True)
    store = build.store(settings)
    try:
        if scope is not None and scope not in store.cursors(source):
            click.echo(f"source '{source}' has no scope '{printable(scope)}'; see: shipper checkpoints show", err=True)
            return FAILED
        forgotten = store.reset(source, scope)
    finally:
        store.close()
    click.echo(f"forgot {counted(forgotten, 'scope')} of source '{source}': shipped again from `start` on")
    return DONE


def _settings(file: Path) -> Settings:
    from shipper import config

    quiet_log()
    return config.load(file, secrets=False)


def _source(store: SqliteCheckpoints, source: str, kind: str) -> dict[str, Any]:
    pinned, retries = store.pinned(source), store.retries(source)
    scopes = {}
    for scope, cursor in sorted(store.cursors(source).items()):
        done = store.done(source, scope, *_ALL_TIME)
        if kind == "cloudwatch_logs":  # whose buckets of time are minutes, kept for as long as they may be read again
            scopes[scope] = {"cursor": cursor, "delivered_events_kept": sum(map(len, done.values()))}
            continue
        closed = store.closed(source, scope)
        scopes[scope] = {
            "cursor": cursor,
            "open_days": {_day(day): len(hashes) for day, hashes in sorted(done.items())},
            "closed_days": {_day(day): count for day, (count, _) in sorted(closed.items())},
        }
    pins: dict[str, Any] = {"splits": len(pinned), "objects": sum(len(split.objects) for split in pinned)}
    windows = [_window(split) for split in pinned if isinstance(split, WindowSplit)]
    return {
        "scopes": scopes,
        "pinned": pins | ({"windows": windows} if windows else {}),
        "retries": [
            {
                "object": r.object.uri,
                "kind": r.kind,
                "reason": r.reason,
                "attempts": r.attempts,
                "next": _time(r.next_at),
            }
            for r in retries
        ],
        "receipts": {total.sink: _total(asdict(total)) for total in store.totals(source)},
    }


def _window(split: WindowSplit) -> dict[str, Any]:
    return {
        "group": split.scope,
        "from": _time(split.first_ms / 1000),
        "to": _time(split.last_ms / 1000),
        "delivered_before": len(split.seen) // 8,
    }


def _total(total: dict[str, Any]) -> dict[str, Any]:
    newest = total.pop("newest_ms")
    settled = total.pop("settled_at")
    counts = {key: value for key, value in total.items() if key not in {"source", "sink"}}
    return counts | {"newest_event": newest and _time(newest / 1000), "last_settled": _time(settled)}


def _lines(state: dict[str, Any]) -> list[str]:
    lines = []
    for source, found in state.items():
        lines.append(click.style(f"source {source}", bold=True))
        if not found["scopes"]:
            lines.append("  nothing yet")
        for scope, part in found["scopes"].items():
            lines.append(f"  scope {printable(scope)}" if scope else "  as a whole")
            lines += [f"    {name}: {_cursor_value(name, value)}" for name, value in sorted(part["cursor"].items())]
            if "delivered_events_kept" in part:
                lines.append(f"    {part['delivered_events_kept']:,} delivered events are kept in mind")
            lines += [f"    {day}: {count:,} done" for day, count in part.get("open_days", {}).items()]
            if part.get("closed_days"):
                total = sum(part["closed_days"].values())
                lines.append(f"    {counted(len(part['closed_days']), 'closed day')}: {total:,} done")
        pinned = found["pinned"]
        lines.append(f"  pinned: {counted(pinned['splits'], 'split')} of {counted(pinned['objects'], 'object')}")
        lines += [
            f"    {printable(w['group'])}: {w['from']} to {w['to']}, {w['delivered_before']:,} delivered before"
            for w in found["pinned"].get("windows", [])[:20]
        ]
        lines.append(f"  waiting for another attempt: {counted(len(found['retries']), 'object')}")
        lines += [
            f"    {printable(r['object'])}: {r['kind']}, {counted(r['attempts'], 'attempt')}, next {r['next']}"
            for r in found["retries"][:20]
        ]
        lines += [_receipt_line(sink, total) for sink, total in found["receipts"].items()]
    return lines


def _receipt_line(sink: str, total: dict[str, Any]) -> str:
    names = ["delivered", "present", "filtered", "dead_lettered"] + ["repaired"] * bool(total["repaired"])
    account = " + ".join(f"{total[name]:,} {name.replace('_', '-')}" for name in names)
    return f"  → {sink}: {total['read']:,} read = {account}, newest event {total['newest_event'] or 'none'}"


def _cursor_value(name: str, value: float) -> str:
    """A cursor's number as what it can only be: a time, or the day up to which all is closed."""
    if name == "closed":
        return f"before {_day(int(value))}"
    return _time(value) if value > 1e8 else f"{value:g}"


def _time(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return f"{seconds:g}"


def _day(day: int) -> str:
    return _time(day * 86_400.0)[:10]
