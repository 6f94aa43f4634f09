"""Settings → objects: alone in knowing all adapters, and importing each only where it is needed (fast start-up)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from shipper.attempts import CountedAttempts
from shipper.build.cloudwatch import cloudwatch_calls, letter_windows
from shipper.build.detection_notes import geoip_notes
from shipper.build.enrichment import accounts_file, addresses, geo, indicators, lookups
from shipper.build.enrichment_check import enrichment_probes
from shipper.build.foreign_roles import foreign_role_probes
from shipper.build.log_types import LOG_TYPES, LogType
from shipper.build.on_demand import OnDemand
from shipper.build.redaction import redactor
from shipper.build.sinks import ecs_schemas, envelope_schemas, filtered, lanes, sinks
from shipper.build.sources import aws_sessions, fallbacks, names, readers, sources
from shipper.config import AnySink, ArchiveSink, Settings
from shipper.delivery import Patience
from shipper.metrics import Metrics
from shipper.model import OutputLimits, ReadLimits
from shipper.pace import Pace
from shipper.ports import DeadLetters, Format, Lookups, Reader, Sink, Stop
from shipper.service import Pipeline
from shipper.shipping import Route, Shipper
from shipper.unvouched_log import UnvouchedLog

if TYPE_CHECKING:
    from shipper.checkpoints.sqlite import SqliteCheckpoints
    from shipper.deadletters.sqlite import SqliteDeadLetters
    from shipper.model import DeadLetter
    from shipper.replay import Replayed
    from shipper.reread import Reread

__all__ = [
    "DEAD_LETTERS_FILE",
    "LOG_TYPES",
    "LogType",
    "accounts_file",
    "addresses",
    "aws_sessions",
    "dead_letters",
    "ecs_schemas",
    "enrichment_probes",
    "envelope_schemas",
    "filtered",
    "foreign_role_probes",
    "geo",
    "geoip_notes",
    "indicators",
    "lookups",
    "names",
    "pipeline",
    "read_limits",
    "redactor",
    "replay",
    "reread",
    "sinks",
    "sources",
    "store",
]

CHECKPOINTS_FILE = "checkpoints.sqlite"
DEAD_LETTERS_FILE = "dead_letters.sqlite"
# How long `--once` bears a failing sink before it gives up with exit code 1.
ONCE_PATIENCE_SECONDS = 60.0


def pipeline(
    settings: Settings,
    *,
    once: bool = False,
    stop: Stop | None = None,
    letters: SqliteDeadLetters | None = None,
    marks: Mapping[str, str] | None = None,
) -> Pipeline:
    """Put the whole daemon together; nothing is contacted yet but the state folder, which is locked.

    Args:
        once: bear a failing sink for `ONCE_PATIENCE_SECONDS` only.
        letters: where dead letters go; the state folder's own store by default.
        marks: of archives' files, where the settings are only a part of the configuration.

    Raises:
        ConfigError: a database, certificate or the state cannot be used.
    """
    stop = stop or Stop()
    metrics = Metrics()
    patience = Patience(ONCE_PATIENCE_SECONDS if once else None)
    all_sinks = sinks(settings, metrics, stop, marks=marks)
    found = lookups(settings, metrics, stop)
    checkpoints = store(settings)
    letters = letters or dead_letters(settings)
    sessions = aws_sessions(settings)
    calls = cloudwatch_calls(settings, sessions, metrics, stop)
    openers = readers(settings, sessions, calls, metrics, read_limits(settings))
    shipper = shipper_to(
        settings, all_sinks, found, openers, letters=letters, metrics=metrics, stop=stop, patience=patience
    )
    return Pipeline(
        sources=sources(settings, checkpoints, metrics, letters, sessions=sessions, calls=calls, stop=stop),
        sinks=all_sinks,
        ship=CountedAttempts(shipper.ship, checkpoints).ship,
        progress=shipper.progress,
        store=checkpoints,
        dead_letters=letters,
        metrics=metrics,
        stop=stop,
        patience=patience,
        threads=settings.workers.threads,
        in_flight_bytes=settings.limits.in_flight_bytes,
        grace_seconds=settings.grace_seconds,
        listen=settings.address,
        closers=[kept.close for kept in (found.sessions, found.interfaces) if kept is not None],
    )


def shipper_to(
    settings: Settings,
    all_sinks: Mapping[str, Sink],
    found: Lookups,
    openers: Mapping[str, Reader],
    *,
    letters: DeadLetters,
    metrics: Metrics,
    stop: Stop,
    patience: Patience,
) -> Shipper:
    """What ships splits of the configured sources to some sinks.

    Args:
        openers: what opens each source's splits.
    """
    owners, limits = names(settings), read_limits(settings)
    unvouched = UnvouchedLog(metrics)
    return Shipper(
        formats=OnDemand({name: partial(log_type.format, limits) for name, log_type in LOG_TYPES.items()}),
        routes={
            name: Route(
                reader,
                lanes(settings, owners[name], all_sinks, found, unvouched.of_source(name)),
                _own_formats(settings, owners[name]),
            )
            for name, reader in openers.items()
        },
        dead_letters=letters,
        metrics=metrics,
        stop=stop,
        patience=patience,
        redact=redactor(settings.redact, metrics),
        paces={name: Pace(_refused_share(sink)) for name, sink in settings.sinks.items()},
        gap_marks={name: log_type.gap_mark for name, log_type in LOG_TYPES.items()},
        output=_output_limits(settings),
    )


def _output_limits(settings: Settings) -> OutputLimits:
    limits = settings.limits
    return OutputLimits(
        records=limits.object_records,
        made_bytes=limits.object_made_bytes,
        made_ratio=limits.object_made_ratio,
        letters=limits.object_letters,
    )


def _refused_share(sink: AnySink) -> float:
    return 1.0 if isinstance(sink, ArchiveSink) else sink.pause_above_refused_share


def _own_formats(settings: Settings, source: str) -> dict[str, Format]:
    """The formats that a source's own settings go into, by log type."""
    layout = settings.sources[source].layout
    if layout is None:
        return {}
    laid_out = {name: log_type.laid_out for name, log_type in LOG_TYPES.items()}
    return {name: make(read_limits(settings), layout) for name, make in laid_out.items() if make is not None}


def read_limits(settings: Settings) -> ReadLimits:
    """The bounds that untrusted input cannot exceed."""
    return ReadLimits(object_bytes=settings.limits.object_bytes, record_bytes=settings.limits.record_bytes)


def store(settings: Settings, *, read_only: bool = False) -> SqliteCheckpoints:
    """Open the checkpoint store and take its lock.

    Args:
        read_only: only look, without the lock, while a daemon may be running.

    Raises:
        ConfigError: another daemon has it, or it is damaged.
    """
    from shipper.checkpoints.sqlite import SqliteCheckpoints

    return SqliteCheckpoints(settings.state.path / CHECKPOINTS_FILE, read_only=read_only)


def set_store_aside(settings: Settings) -> Path | None:
    """Move a damaged checkpoint store out of the way; return where it is now, None where there was none.

    Raises:
        ConfigError: a daemon uses it.
    """
    from shipper.checkpoints.sqlite_file import set_aside

    return set_aside(settings.state.path / CHECKPOINTS_FILE)


def dead_letters(settings: Settings) -> SqliteDeadLetters:
    """Open the dead-letter store."""
    from shipper.deadletters.sqlite import SqliteDeadLetters

    return SqliteDeadLetters(settings.state.path / DEAD_LETTERS_FILE, settings.dead_letters.max_bytes)


def replay(
    settings: Settings,
    letters: SqliteDeadLetters,
    wanted: Iterable[DeadLetter],
    progress: Callable[[Replayed], None],
) -> Replayed:
    """Ship dead letters again to the sinks that refused them.

    Raises:
        RetryableError: a sink is away for longer than `ONCE_PATIENCE_SECONDS`.
    """
    from shipper.replay import Replay

    metrics, stop = Metrics(), Stop()
    all_sinks = sinks(settings, metrics, stop)
    try:
        patience = Patience(ONCE_PATIENCE_SECONDS)
        return Replay(all_sinks, letters, metrics, stop=stop, patience=patience, progress=progress).run(wanted)
    finally:
        for sink in all_sinks.values():
            sink.close()


def reread(
    settings: Settings,
    letters: SqliteDeadLetters,
    wanted: Iterable[DeadLetter],
    progress: Callable[[Reread], None],
) -> Reread:
    """Read the objects of dead letters that never became documents again, and ship what makes documents now.

    Raises:
        RetryableError: a bucket or a sink is away for longer than `ONCE_PATIENCE_SECONDS`.
    """
    from shipper.reread import PickingSink, Rereading, WantedLetters

    metrics, stop = Metrics(), Stop()
    picking = {name: PickingSink(sink) for name, sink in sinks(settings, metrics, stop).items()}
    found = lookups(settings, metrics, stop)
    sessions = aws_sessions(settings)
    calls = cloudwatch_calls(settings, sessions, metrics, stop)
    openers = readers(settings, sessions, calls, metrics, read_limits(settings))
    kept = WantedLetters(letters)
    shipper = shipper_to(
        settings,
        dict(picking),
        found,
        openers,
        letters=kept,
        metrics=metrics,
        stop=stop,
        patience=Patience(ONCE_PATIENCE_SECONDS),
    )
    try:
        known = frozenset(openers)
        window = letter_windows(settings, sessions, calls)
        again = Rereading(
            shipper.ship,
            list(picking.values()),
            kept,
            letters,
            sources=known,
            window=window,
            log_types=fallbacks(settings),
            progress=progress,
        )
        return again.run(wanted)
    finally:
        for sink in picking.values():
            sink.close()
        if found.sessions is not None:
            found.sessions.close()
