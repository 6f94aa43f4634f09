"""Finds S3 objects by listing, without losing late or smaller keys. Read `S3ListingSource.splits` first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import structlog

from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.model import Problem, Receipt, S3Object, Split
from shipper.ports import CheckpointStore, Clock, DeadLetters, wall_clock
from shipper.sources.kept_start import KeptStart
from shipper.sources.s3_bucket import Bucket, S3Bucket
from shipper.sources.s3_check import check_bucket, emptiness
from shipper.sources.s3_keys import Scope, is_shipped, scope_of, services_of
from shipper.sources.s3_pending import Pending
from shipper.sources.s3_retries import Waiting
from shipper.sources.s3_schedule import Schedule
from shipper.sources.s3_scope import HOUR, TIERS, Listing, ScopeState
from shipper.sources.s3_sift import Sifted, sift
from shipper.sources.s3_strays import Coverage, StrayReport
from shipper.sources.s3_unopened import Unopened
from shipper.sources.s3_walk import Walk

_WALK_SECONDS = HOUR
_DENIED_SECONDS = 60.0
_DENIED_LIMIT = 3

log = structlog.get_logger(__name__)


class S3ListingSource:
    """Implements `ports.Source` for a bucket, by listing.

    Keys come neither in order of time nor in order of delivery: a file may appear with a smaller name than one that
    was there before. So nothing is concluded from the last key seen. Each scope (account, service and region) is
    listed from an hour ago every few minutes, from six hours ago every hour, from two days ago every six hours, and
    each day once more when it is three days old; what is done is known by hashes of key, etag and size, kept by day
    until the day is closed. Downtime makes each look reach back by as much. Days that were never listed, such as
    those of a backfill, are listed one after the other, oldest first, whenever nothing more urgent is due.

    Args:
        name: the source's name in the configuration.
        prefix: only keys that begin so.
        logs: the log type of the objects; its services' folders become scopes. A prefix without such folders is
            listed in full, apart from folders of other AWS services.
        start: objects labelled earlier (LastModified where keys have no label) are not shipped: seconds since the
            epoch, 0 for all; or what tells it from the time. The first run's start is kept: an age such as "-24h" does
            not move with each restart. It is told when AWS has answered, by AWS's time.
        end: objects labelled then or later are not shipped, and all that is earlier is listed once, day by day.
        layouts_only: list nothing but AWS's own folders, also where there are none.
        outside_only: list nothing but what is outside AWS's own folders.
        coverage: what the source of the configuration takes as a whole, where this listing is only a part of it.
        of_another: whether another source has an object, or may still get it. Where this is given, the listing is a
            net under that source: it takes place once a day, and ships what the other one missed.
        client: boto3's S3 client.
        dead_letters: told of objects that were listed, but deleted before they could be read.
        interval_seconds: between two listings of the newest keys.
        expected_bucket_owner: account id; S3 refuses the bucket where another account owns it.
        lister: another way to list the bucket, for tests.

    Attributes:
        settled_objects: how many this process has settled.
    """

    def __init__(
        self,
        name: str,
        *,
        bucket: str,
        prefix: str,
        logs: str,
        start: float | Callable[[float], float],
        end: float = math.inf,
        layouts_only: bool = False,
        outside_only: bool = False,
        coverage: Coverage | None = None,
        of_another: Callable[[S3Object], bool] | None = None,
        store: CheckpointStore,
        client: Any,
        metrics: Metrics,
        dead_letters: DeadLetters,
        interval_seconds: float = 300.0,
        expected_bucket_owner: str | None = None,
        clock: Clock = wall_clock,
        lister: Bucket | None = None,
    ) -> None:
        self.name = name
        self._bucket = lister or S3Bucket(client, bucket, expected_bucket_owner)
        self._client = client
        self._owner = expected_bucket_owner
        self._prefix = prefix
        self._logs = logs
        self._services = () if outside_only else services_of(logs)
        self._coverage = coverage or Coverage(services_of(logs))
        self._strays = StrayReport(name, metrics)
        self._any_of_ours = False
        self._emptiness_logged = False
        self._start = KeptStart(name, start, store, clock)
        self._end = end
        self._layouts_only = layouts_only
        self._of_another = of_another
        self._store = store
        self._metrics = metrics
        self._dead_letters = dead_letters
        self._clock = clock
        self._schedule = Schedule(interval_seconds, daily=of_another is not None)
        self._pending = Pending(name, store)
        self._unopened = Unopened(name, Waiting(()), dead_letters, metrics)
        self._states: dict[str, ScopeState] = {}
        self._listed: set[str] = set()
        self._cursors: dict[str, dict[str, float]] = {}
        self._unsaved: set[str] = set()
        self._walk: Walk | None = None
        self._walk_at = 0.0
        self._loaded = False
        self._caught_up = False
        self.settled_objects = 0

    def splits(self) -> Iterator[Split]:
        """See ports.Source.

        Each step is one request to S3, the most urgent first, so that new keys do not wait for a long backfill; what
        it finds is pinned, and yielded before the next step.
        """
        self._load()
        self._caught_up = False
        trouble: list[RetryableError] = []
        try:
            while True:
                self._pin_retries()
                yield from self._pending.take(self._clock())
                try:
                    if not self._step(self._clock()):
                        break
                except RetryableError as error:
                    trouble.append(error)
                    # One folder may be refused while others are not; an outage is the same for all of them.
                    if not error.paused or len(trouble) >= _DENIED_LIMIT:
                        break
        finally:
            self._save()
        if trouble:
            raise trouble[0]
        self._caught_up = True
        if self.found_nothing and self._of_another is None and not self._emptiness_logged:
            self._emptiness_logged = True
            log.warning("nothing to ship is where this source looks", source=self.name, why=self.emptiness)

    def settle(self, split: Split, receipt: Receipt) -> None:
        """See ports.Source."""
        now = self._clock()
        state = self._state(split.scope)
        retries = self._unopened.retries(split, receipt, now)
        waiting = {retry.object.hash for retry in retries}
        done = state.open_pairs(item for item in split.objects if item.hash not in waiting)
        self._store.settle(split, receipt, done, retries)
        state.add_done(done)
        self.settled_objects += len(split.objects) - len(waiting)
        self._pending.settled(split)
        self._unopened.waiting.settled(split.objects, retries)
        self._unopened.show()

    def release(self, split: Split, error: RetryableError) -> None:
        """See ports.Source."""
        self._pending.release(split, error, self._clock())

    def idle_seconds(self) -> float:
        """See ports.Source."""
        moments = (self._walk_at, self._schedule.next_at, self._unopened.waiting.next_at, self._pending.next_at)
        nearest = min(moment for moment in moments if moment is not None)
        return min(max(nearest - self._clock(), 0.0), 60.0)

    def complete(self) -> bool:
        """See ports.Source. True only after a look that listed all that was due."""
        return self._caught_up and not len(self._pending) and not len(self._unopened.waiting)

    def problems(self) -> Iterable[Problem]:
        """See ports.Source."""
        return check_bucket(
            self._client,
            self._bucket.name,
            self._prefix,
            services=self._services,
            where=f"sources.{self.name}",
            expected_owner=self._owner,
            coverage=self._coverage,
            layouts_only=self._layouts_only,
        )

    def close(self) -> None:
        """See ports.Source. Nothing was taken from anyone: the bucket keeps its objects."""

    @property
    def progress(self) -> float:
        """How much of what lies before `end` is listed, from 0 to 1; 0 until folders are found."""
        done = [self._states[name].progress for name in self._listed]
        total = sum(days for _, days in done)
        return sum(listed for listed, _ in done) / total if total else 0.0

    @property
    def found_nothing(self) -> bool:
        """Whether all that was listed so far holds neither a folder of the source's logs nor an object to ship."""
        scopes = (self._states[name].scope for name in self._listed)
        return not self._any_of_ours and not any(scope.service and is_shipped(scope) for scope in scopes)

    @property
    def emptiness(self) -> str:
        """What to say where nothing was found."""
        return emptiness(self._bucket.name, self._prefix, self._services)

    def _load(self) -> None:
        """Once: take up what the store kept of an earlier run."""
        if self._loaded:
            return
        self._cursors = self._store.cursors(self.name)
        self._start.load(self._cursors)
        waiting = Waiting(self._store.retries(self.name))
        self._unopened = Unopened(self.name, waiting, self._dead_letters, self._metrics)
        for split in self._pending.restore():
            for item in split.objects:
                self._unopened.waiting.take(item)
        for name in self._cursors:
            scope = self._scope_named(name)
            if scope is not None and scope.service is not None:
                self._list(scope)
        self._unopened.show()
        self._loaded = True

    def _step(self, now: float) -> bool:
        """Do the most urgent piece of work, one request to S3; return false where nothing is due."""
        for tier in TIERS:
            if tier != "hot" and (self._walk is not None or now >= self._walk_at):
                self._walk_on()
                return True
            listing = self._schedule.current(tier, now)
            if listing is not None:
                self._list_on(listing, now)
                return True
        return False

    def _list_on(self, listing: Listing, now: float) -> None:
        """Take the next page of a listing: pin what is new, then move its cursor."""
        state = listing.state
        if self._unopened.waiting.blocks(state.name):
            self._schedule.postpone(listing, now + _DENIED_SECONDS)
            return
        try:
            page = self._bucket.page(max(state.scope.prefix, self._prefix, key=len), listing.after)
        except RetryableError as error:
            if error.paused:
                self._schedule.postpone(listing, now + _DENIED_SECONDS)
            raise
        sifted = sift(listing, page, self._services, self._is_held, self._coverage)
        self._any_of_ours |= bool(sifted.ours)
        self._leave_out(state, sifted)
        self._pending.pin(state.name, self._logs, sifted.fresh)
        for scope in sifted.scopes:
            self._list(scope)
        if sifted.at_end:
            state.finish(listing)
            self._unsaved.add(state.name)
            self._schedule.finish(listing, self._clock())
        else:
            state.advance(listing, sifted.day)
        state.close_days()

    def _leave_out(self, state: ScopeState, sifted: Sifted) -> None:
        """Count what is no log of the source, so that nothing vanishes without a word."""
        if sifted.left_out:
            pairs = [(day, value) for day, _, value, _ in sifted.left_out]
            self._store.mark_done(self.name, state.name, pairs)
            state.add_done(pairs)
            for _, key, _, reason in sifted.left_out:
                self._strays.object(self._bucket.name, key, reason)
        if sifted.elsewhere and not self._coverage.silent:
            self._strays.folders(self._bucket.name, sifted.elsewhere.items())

    def _is_held(self, item: S3Object) -> bool:
        value = item.hash
        if value in self._pending or value in self._unopened.waiting:
            return True
        return self._of_another is not None and self._of_another(item)

    def _walk_on(self) -> None:
        """Look into one more folder for scopes."""
        self._walk = self._walk or Walk(self._bucket, self._prefix, self._services, self._coverage)
        try:
            for scope in self._walk.step():
                self._list(scope)
        except RetryableError as error:
            if error.paused:
                self._walk, self._walk_at = None, self._clock() + _DENIED_SECONDS
            raise
        if self._walk.done:
            self._choose_layout(found=self._walk.found)
            if not self._coverage.silent:
                whole = not self._walk.found and not self._layouts_only
                self._strays.folders(self._bucket.name, self._walk.strays.named(whole=whole).items())
            rest = _WALK_SECONDS if self._of_another is None else 24 * HOUR
            self._walk, self._walk_at = None, self._clock() + rest

    def _choose_layout(self, *, found: int) -> None:
        """A prefix without any known folder is listed in full, for as long as it has none."""
        whole = Scope(self._prefix)
        name = self._name_of(whole)
        if not found:
            if not self._layouts_only:
                self._list(whole)
        elif name in self._listed and self._state(name).scope.service is None:
            self._schedule.drop(name)
            self._listed.discard(name)

    def _list(self, scope: Scope) -> None:
        name = self._name_of(scope)
        if name not in self._listed:
            self._listed.add(name)
            self._schedule.add(self._state(name))

    def _name_of(self, scope: Scope) -> str:
        return f"{self._bucket.name}/{scope.prefix}"

    def _scope_named(self, name: str) -> Scope | None:
        """The scope of a name in the store; None where this configuration does not list it."""
        prefix = name.removeprefix(f"{self._bucket.name}/")
        if prefix == name or not (prefix.startswith(self._prefix) or self._prefix.startswith(prefix)):
            return None
        return scope_of(prefix, self._services) or Scope(prefix)

    def _state(self, name: str) -> ScopeState:
        state = self._states.get(name)
        if state is None:
            prefix = name.removeprefix(f"{self._bucket.name}/")
            scope = scope_of(prefix, self._services) or Scope(prefix)
            cursor = self._cursors.get(name, {})
            start = self._start.seconds()
            state = ScopeState(
                name, scope, source=self.name, store=self._store, start=start, end=self._end, cursor=cursor
            )
            self._states[name] = state
        return state

    def _save(self) -> None:
        """Store how far the listings came. What a crash leaves out is only listed again."""
        if self._unsaved:
            self._store.set_cursors(self.name, {name: self._states[name].listed for name in self._unsaved})
            self._unsaved.clear()

    def _pin_retries(self) -> None:
        for scope, logs, objects in self._unopened.waiting.take_due(self._clock()):
            self._pending.pin(scope, logs, objects)
