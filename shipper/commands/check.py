"""`shipper check`: validates the configuration, then tries both ends, and tells of every problem at once."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shipper.commands import DONE, FAILED, config_option, quiet_log
from shipper.counting import counted
from shipper.errors import ConfigError
from shipper.escaping import printable, without_secrets
from shipper.model import Problem

if TYPE_CHECKING:
    from shipper.config import Settings

# Networks move: MaxMind and DB-IP publish at least every month.
_OLD_DAYS = 90
_GEOIP = ("city", "asn", "country", "enterprise", "isp", "anonymous")

_FILES = ("ca_certs", "client_cert", "client_key")

Probe = tuple[str, Callable[[], Iterable[Problem]]]


@click.command()
@config_option()
@click.option("--offline", is_flag=True, help="Contact nothing: configuration, secrets, files and folders only.")
@click.option("--json", "as_json", is_flag=True, help="Problems as JSON.")
def check(file: Path, *, offline: bool, as_json: bool) -> int:
    """Say what is wrong with a configuration, and what to do about it.

    Tries credentials, permissions, bucket, sinks and templates with harmless calls, every problem at once. A running
    daemon is not disturbed. The exit code is 0 without serious problems, 1 with some, 78 for mistakes in the file.
    """
    from shipper import config

    quiet_log()
    mistakes: ConfigError | None = None
    try:
        settings = config.load(file)
    except ConfigError as error:
        mistakes = error
        try:  # what lacks a secret only is looked at all the same
            settings = config.load(file, secrets=False)
        except ConfigError:
            if as_json:
                _write_json(_told(file, error), {})
            raise error from None
    untried = _untried(settings, offline=offline, secrets=mistakes is None)
    results = _try_all(settings, untried, offline=offline)
    problems = [problem for found in results.values() for problem in found]
    told = _told(file, mistakes) if mistakes else []
    line_of = config.line_finder(file)
    if as_json:
        _write_json(told + problems, untried, line_of)
    else:
        for where, found in results.items():
            _write_text(where, found, line_of)
        for reason in dict.fromkeys(untried.values()):
            names = ", ".join(where for where, why in untried.items() if why == reason)
            click.echo(f"{click.style('untried', fg='yellow')}  {names}: {reason}")
        _write_verdict(told + problems, everything=not untried)
    if mistakes:
        raise mistakes
    return FAILED if any(problem.serious for problem in problems) else DONE


def _told(file: Path, mistakes: ConfigError) -> list[Problem]:
    return [Problem(str(file), line, mistakes.hint) for line in str(mistakes).splitlines()]


def _untried(settings: Settings, *, offline: bool, secrets: bool) -> dict[str, str]:
    """What is not tried, and why; archives are folders of this machine, and always tried."""
    sinks = [f"sinks.{name}" for name, sink in settings.sinks.items() if sink.type != "archive"]
    if offline:
        return dict.fromkeys([*(f"sources.{name}" for name in settings.sources), *sinks], "--offline contacts nothing")
    return {} if secrets else dict.fromkeys(sinks, "not without all secrets")


def _try_all(settings: Settings, untried: Collection[str], *, offline: bool) -> dict[str, list[Problem]]:
    """Try each part, at the same time: a server that does not answer takes its whole timeout."""
    with tempfile.TemporaryDirectory(prefix="shipper-check-") as folder:
        probes = _local_probes(settings)
        closers: list[Callable[[], None]] = []
        try:
            if not offline:
                tried = {name: sink for name, sink in settings.sinks.items() if f"sinks.{name}" not in untried}
                probes += _remote_probes(settings.model_copy(update={"sinks": tried}), Path(folder), closers)
            with ThreadPoolExecutor(len(probes)) as executor:
                found = executor.map(lambda probe: list(probe[1]()), probes)
                results: dict[str, list[Problem]] = {}
                for (where, _), problems in zip(probes, found, strict=True):
                    results.setdefault(where, []).extend(problems)
                return results
        finally:
            for close in reversed(closers):
                close()


def _local_probes(settings: Settings) -> list[Probe]:
    from shipper import build

    folders = {"state": settings.state.path}
    folders |= {f"sinks.{name}": sink.path for name, sink in settings.sinks.items() if sink.type == "archive"}
    probes: list[Probe] = [("configuration", settings.remarks)]
    probes += [(where, lambda where=where, path=path: _folder(where, path)) for where, path in folders.items()]  # type: ignore[misc]
    if any(getattr(sink, key, None) for sink in settings.sinks.values() for key in _FILES):
        probes.append(("files", lambda: _files(settings)))
    probes.append(("configuration", lambda: build.geoip_notes(settings)))
    if any(getattr(settings.enrich.geoip, key) for key in _GEOIP):
        probes.append(("enrich.geoip", lambda: _geoip(settings)))
    if settings.enrich.addresses is not None or settings.enrich.accounts is not None:
        probes.append(("enrich", lambda: _enrich_files(settings)))
    if settings.enrich.indicators:
        probes.append(("enrich.indicators", lambda: _indicators(settings)))
    return probes


def _remote_probes(settings: Settings, folder: Path, closers: list[Callable[[], None]]) -> list[Probe]:
    from shipper import build
    from shipper.config import State
    from shipper.metrics import Metrics

    # a state of its own, so that a running daemon keeps its lock
    apart = settings.model_copy(update={"state": State(path=folder)})
    metrics = Metrics()
    store = build.store(apart)
    closers.append(store.close)
    letters = build.dead_letters(apart)
    closers.append(letters.close)
    sources = build.sources(apart, store, metrics, letters)
    probes: list[Probe] = [(f"sources.{source.name}", source.problems) for source in sources]
    for name, sink in build.sinks(apart, metrics).items():
        closers.append(sink.close)
        probes.append((f"sinks.{name}", sink.problems))
    return probes + build.enrichment_probes(settings) + build.foreign_role_probes(settings)


def _folder(where: str, path: Path) -> Iterator[Problem]:
    """Whether a folder can be written, or made where it is missing."""
    nearest = path
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        yield Problem(f"{where}.path", f"{nearest} is not a folder", "choose another path")
    elif not os.access(nearest, os.W_OK | os.X_OK):
        user = os.geteuid()
        yield Problem(
            f"{where}.path", f"user {user} cannot write in {nearest}", f"chown {user} {nearest}, or choose another path"
        )
    elif refusal := _refusal(nearest):
        yield Problem(f"{where}.path", f"nothing can be made in {nearest}: {refusal}", "choose another path")
    elif where == "state" and nearest == path and path.stat().st_mode & 0o077:
        yield Problem(f"{where}.path", f"{path} is open to other users", f"chmod 0700 {path}", serious=False)


def _refusal(folder: Path) -> str:
    """Why a folder takes nothing new although its rights allow it: /proc, a read-only or full disk; "" if it does."""
    try:
        Path(tempfile.mkdtemp(prefix=".shipper-check-", dir=folder)).rmdir()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _files(settings: Settings) -> Iterator[Problem]:
    """Whether the certificates that sinks name can be read."""
    for name, sink in settings.sinks.items():
        for key in _FILES:
            path = getattr(sink, key, None)
            if path is not None and not (path.is_file() and os.access(path, os.R_OK)):
                yield Problem(f"sinks.{name}.{key}", f"cannot read {path}", "name a PEM file that this user may read")


def _geoip(settings: Settings) -> Iterator[Problem]:
    """Kind and age of each database, or what is wrong with it: one broken file must not hide the other's problem."""
    paths = settings.enrich.geoip
    for key in _GEOIP:
        others = dict.fromkeys(other for other in _GEOIP if other != key)
        alone = settings.enrich.model_copy(update={"geoip": paths.model_copy(update=others)})
        yield from _geoip_database(f"enrich.geoip.{key}", settings.model_copy(update={"enrich": alone}))


def _geoip_database(where: str, settings: Settings) -> Iterator[Problem]:
    from shipper import build

    try:
        geo = build.geo(settings)
    except ConfigError as error:
        yield Problem(where, str(error), error.hint)
        return
    for known in geo.describe() if geo else ():
        days = (datetime.now(UTC) - known.built).days
        what = f"{known.path}: {known.kind}, built {known.built:%Y-%m-%d}, {counted(days, 'day')} old"
        old = days > _OLD_DAYS
        yield Problem(where, what, "download a newer one" if old else "", serious=False, note=not old)


def _enrich_files(settings: Settings) -> Iterator[Problem]:
    """What the other files of enrichment are, or what is wrong with them."""
    from shipper import build

    kinds = {"enrich.addresses": build.addresses, "enrich.accounts": build.accounts_file}
    for where, make in kinds.items():
        try:
            known = make(settings)
        except ConfigError as error:
            yield Problem(where, str(error), error.hint)
        else:
            if known is not None and (about := known.describe()):
                yield Problem(where, about, "", serious=False, note=True)


def _indicators(settings: Settings) -> Iterator[Problem]:
    """What each list holds and how old it is, or what is wrong with it, one list at a time."""
    from shipper import build

    for number, each in enumerate(settings.enrich.indicators):
        where = f"enrich.indicators[{number}]"
        alone = settings.enrich.model_copy(update={"indicators": [each]})
        try:
            lists = build.indicators(settings.model_copy(update={"enrich": alone}))
        except ConfigError as error:
            yield Problem(where, str(error), error.hint)
            continue
        for state in lists.describe() if lists else ():
            days = int((time.time() - each.path.stat().st_mtime) // 86_400)
            skipped = f", {state.skipped:,} of other kinds left out" if state.skipped else ""
            what = f"{each.path}: {counted(state.found, 'indicator')}{skipped}, {counted(days, 'day')} old"
            yield Problem(
                where,
                what,
                "" if state.found else "look whether it should be empty",
                note=bool(state.found),
                serious=False,
            )


def _write_json(
    problems: list[Problem], untried: dict[str, str], line_of: Callable[[str], int | None] = lambda _: None
) -> None:
    shown = [
        {"where": p.where, "what": without_secrets(p.what), "hint": without_secrets(p.hint), "serious": p.serious}
        | ({"line": line} if (line := line_of(p.where)) else {})
        for p in problems
        if not p.note
    ]
    notes = [{"where": p.where, "what": without_secrets(p.what)} for p in problems if p.note]
    ok = not any(problem.serious for problem in problems)
    more = {"notes": notes, "untried": list(untried)}
    click.echo(json.dumps({"ok": ok, "problems": shown} | {key: some for key, some in more.items() if some}, indent=2))


def _write_text(where: str, problems: list[Problem], line_of: Callable[[str], int | None]) -> None:
    if all(problem.note for problem in problems):
        click.echo(f"{click.style('ok', fg='green')}       {where}")
    for problem in problems:
        if problem.note:
            head = click.style("note   ", fg="blue")
        else:
            head = click.style("problem", fg="red") if problem.serious else click.style("remark ", fg="yellow")
        line = None if problem.note else line_of(problem.where)
        place = f" (line {line})" if line else ""
        click.echo(f"{head}  {printable(problem.where)}: {printable(problem.what)}{place}")
        if problem.hint:
            click.echo(f"         {printable(problem.hint)}")


def _write_verdict(found: list[Problem], *, everything: bool) -> None:
    problems = [problem for problem in found if not problem.note]
    serious = sum(problem.serious for problem in problems)
    verdict = f"{counted(serious, 'problem')}, {counted(len(problems) - serious, 'remark')}"
    well = "all is well" if everything else "all is well with what was tried"
    click.echo(verdict if problems else well)
