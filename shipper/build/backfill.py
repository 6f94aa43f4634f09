"""A past range of a source, shipped apart from the daemon: with a state and a lock of its own."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from shipper.access_points import is_access_point
from shipper.build import aws_sessions, dead_letters, pipeline, store
from shipper.build.archive_names import archive_marks
from shipper.build.sources import ListedPlace, coverage, listed_places
from shipper.config import S3NotificationsSource, S3Source, Settings, State
from shipper.config.values import start_seconds
from shipper.delivery import Patience
from shipper.errors import ConfigError
from shipper.metrics import Metrics
from shipper.ports import Stop
from shipper.service import Pipeline

if TYPE_CHECKING:
    from shipper.sources.s3_listing import S3ListingSource

FOLDER = "backfill"


class WrongRangeError(ConfigError):
    """The wanted range is none."""


@dataclass(frozen=True, slots=True)
class Range:
    """What is to be shipped again, or for the first time.

    Attributes:
        source: its name in the configuration.
        since, until: as a source's `start`; ages count from the first run, so that a later one goes on with it.
        queue_url: where objects are put instead of being shipped; None to ship them here.
    """

    source: str
    since: str
    until: str
    queue_url: str | None = None


@dataclass(frozen=True, slots=True)
class Backfill:
    """One listing of a range, ready to run.

    Attributes:
        title: what is listed, for people.
        folder: its state.
    """

    title: str
    folder: Path
    pipeline: Pipeline
    listing: S3ListingSource


def backfills(settings: Settings, wanted: Range, *, stop: Stop | None = None) -> Iterator[Backfill]:
    """Yield a backfill for each bucket, prefix and log type of a source; each is closed by who takes it.

    Raises:
        WrongRangeError: a time is none, or the range is empty.
        ConfigError: the source lists no buckets, or another process ships the same range.
    """
    chosen = settings.sources[wanted.source]
    if not isinstance(chosen, S3Source | S3NotificationsSource):
        raise ConfigError(
            f"source '{wanted.source}' reads log groups, and a backfill reads objects in S3",
            f"to read the log groups again from an earlier time on: stop the daemon, set sources.{wanted.source}.start,"
            f" run `shipper checkpoints reset --source {wanted.source}`, and start it again; or export the groups to S3"
            " and read the bucket by a source of type s3",
        )
    if wanted.queue_url and isinstance(chosen, S3Source) and is_access_point(chosen.bucket):
        raise ConfigError(
            f"source '{wanted.source}' reads an access point, and whoever reads the queue knows the bucket behind it",
            "leave --to-queue out, or choose a source that names the bucket",
        )
    for listed in listed_places(chosen):
        yield _backfill(settings, wanted, listed, stop=stop or Stop())


def _backfill(settings: Settings, wanted: Range, listed: ListedPlace, *, stop: Stop) -> Backfill:
    place = listed.source
    folder = settings.state.path / FOLDER / _name(wanted, listed)
    changes = {"state": State(path=folder), "sources": {wanted.source: place}, "listen": "off"}
    apart = settings.model_copy(update=changes)
    base = _enqueuing(apart, settings, wanted, stop) if wanted.queue_url else _shipping(apart, settings, stop)
    try:
        start, end = _span(base, wanted)
    except BaseException:
        base.close()
        raise
    from shipper.sources.s3_listing import S3ListingSource

    listing = S3ListingSource(
        wanted.source,
        bucket=place.bucket,
        prefix=place.prefix,
        logs=place.logs,
        start=start,
        end=end,
        layouts_only=listed.layouts_only,
        outside_only=listed.outside_only,
        coverage=coverage(settings, wanted.source, listed),
        store=base.store,
        client=aws_sessions(apart)[wanted.source].client("s3"),
        metrics=base.metrics,
        dead_letters=base.dead_letters,
        expected_bucket_owner=place.expected_bucket_owner,
    )
    where = " outside AWS's folders" if listed.outside_only else ""
    title = f"{place.logs} of s3://{place.bucket}/{place.prefix}{where}"
    return Backfill(title, folder, replace(base, sources=[listing]), listing)


def _shipping(apart: Settings, settings: Settings, stop: Stop) -> Pipeline:
    base = pipeline(apart, stop=stop, letters=dead_letters(settings), marks=archive_marks(settings))
    # The daemon may have shipped any of it, or may be shipping it now.
    return replace(base, ship=lambda split: base.ship(replace(split, maybe_shipped=True)))


def _enqueuing(apart: Settings, settings: Settings, wanted: Range, stop: Stop) -> Pipeline:
    from shipper.sources.sqs_enqueue import Enqueue
    from shipper.sources.sqs_queue import endpoint_of

    url = wanted.queue_url or ""
    region, endpoint = endpoint_of(url)
    client = aws_sessions(apart)[wanted.source].client("sqs", region, endpoint)
    return Pipeline(
        sources=[],
        sinks={},
        ship=Enqueue(client, url).ship,
        store=store(apart),
        dead_letters=dead_letters(settings),
        metrics=Metrics(),
        stop=stop,
        patience=Patience(),
        threads=settings.workers.threads,
        in_flight_bytes=settings.limits.in_flight_bytes,
        grace_seconds=settings.grace_seconds,
        listen=None,
    )


def _span(base: Pipeline, wanted: Range) -> tuple[float, float]:
    """Start and end in seconds since the epoch: those of the first run, where this one goes on with it."""
    kept = base.store.cursors(wanted.source).get("", {})
    if "end" in kept:
        return kept["start"], kept["end"]
    now = time.time()
    try:
        start, end = start_seconds(wanted.since, now), start_seconds(wanted.until, now)
    except ValueError as error:
        raise WrongRangeError(f"--since and --until: {error}") from error
    if start >= end:
        raise WrongRangeError("--since must be before --until")
    base.store.set_cursors(wanted.source, {"": {"start": start, "end": end}})
    return start, end


def _name(wanted: Range, listed: ListedPlace) -> str:
    place = listed.source
    parts = [wanted.since, wanted.until, wanted.queue_url or "", place.bucket, place.prefix, place.logs]
    parts += ["outside"] if listed.outside_only else []
    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    return f"{wanted.source}-{digest}"
