"""Reads CloudWatch Logs without losing what becomes visible late. Read `CloudWatchSource.splits` first."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import structlog

from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.model import Problem, Receipt, Split, WindowSplit
from shipper.ports import CheckpointStore
from shipper.sources.cloudwatch_calls import Calls, GroupError
from shipper.sources.cloudwatch_check import check_groups
from shipper.sources.cloudwatch_group import GroupState, Span, Sweep
from shipper.sources.cloudwatch_groups import READABLE_CLASS, Finder, LogGroup, Selection
from shipper.sources.cloudwatch_tiers import Tiers, late_horizon
from shipper.sources.cloudwatch_windows import as_window, window
from shipper.sources.kept_start import KeptStart

LogTypeOf = Callable[[LogGroup], tuple[str, tuple[str, ...] | None]]
"""A log group's log type, and the field names of its lines where the log type has them. May block."""

_FIRST_WAIT_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 300.0
_FAILED_SECONDS = 15.0
_DENIED_SECONDS = 60.0
_BUSY_SECONDS = 0.1
_SAVE_SECONDS = 10.0
_MOST_FLYING = 16
_STATES = ("reading", "gone", "denied", "deleted", "refused", "throttled")
_FINAL = ("deleted", "refused")

log = structlog.get_logger(__name__)


class CloudWatchSource:
    """Implements `ports.Source` for log groups.

    Each group is read in looks: spans that end now and reach back before the last look of their tier (see
    cloudwatch_tiers). A span is cut into windows, which are pinned, shipped and settled one after the other; no two
    windows that overlap are on their way at the same time, so that what one delivers is known to the next. What is
    delivered is known by hashes of stream and event id, kept by minute for as long as the minute may be read again.
    No page's token is ever stored.

    Args:
        name: the source's name in the configuration.
        start: events before this time are not shipped: seconds since the epoch, or what tells it from the time. The
            first run's start is kept; it is told when AWS has answered, by AWS's time.
        log_type_of: a group's log type.
        discover_seconds: between two listings of the log groups.
        stream_prefix: as the reader has it, to be tried by `problems`.
    """

    def __init__(
        self,
        name: str,
        *,
        selection: Selection,
        calls: Calls,
        tiers: Tiers,
        start: float | Callable[[float], float],
        log_type_of: LogTypeOf,
        store: CheckpointStore,
        metrics: Metrics,
        discover_seconds: float = 300.0,
        stream_prefix: str = "",
    ) -> None:
        self.name = name
        self._selection = selection
        self._calls = calls
        self._tiers = tiers
        self._start = KeptStart(name, start, store, self._now)
        self._log_type_of = log_type_of
        self._store = store
        self._metrics = metrics
        self._discover_seconds = discover_seconds
        self._stream_prefix = stream_prefix
        self._finder = Finder(selection, calls, self._now)
        self._states: dict[str, GroupState] = {}
        self._cursors: dict[str, dict[str, float]] = {}
        self._discover_at = dict.fromkeys(selection.regions, 0.0)
        self._ready: list[WindowSplit] = []
        self._released: list[tuple[float, str, WindowSplit]] = []
        self._pinned: dict[str, WindowSplit] = {}
        self._flying: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._unsaved: set[str] = set()
        self._saved_at = 0.0
        self._begun_at: float | None = None
        self._loaded = False
        self._looked = False
        metrics.late_horizon.labels(name).set(late_horizon(tiers))

    def splits(self) -> Iterator[Split]:
        """See ports.Source.

        Windows that an earlier process left come first; then the groups take turns, the one that waited longest first,
        for as long as their account's and region's budget of calls has room.
        """
        self._load()
        self._looked = False
        trouble = self._discover()
        yield from self._again()
        while (found := self._next()) is not None:
            state, sweep, span = found
            try:
                split = self._pin(state, sweep, span)
            except RetryableError as error:
                # The group's log type could not be asked for: it waits, the others do not.
                sweep.due = self._now() + _FAILED_SECONDS
                trouble.append(error)
                continue
            yield split
        self._save(every_seconds=_SAVE_SECONDS)
        if trouble:
            raise trouble[0]
        self._looked = True

    def settle(self, split: Split, receipt: Receipt) -> None:
        """See ports.Source."""
        split = as_window(split)
        self._store.settle(split, receipt, receipt.done, ())
        self._pinned.pop(split.id, None)
        self._flying[split.region] -= 1
        self._failures.pop(split.id, None)
        state = self._states.get(split.scope)
        if state is None:
            return
        self._set_trouble(state, None)
        if state.settled(split, receipt, self._now()):
            self._store.close_before(self.name, split.scope, state.open_minute, state.cursor(), keep=0)
            self._unsaved.discard(split.scope)
        else:
            self._unsaved.add(split.scope)

    def release(self, split: Split, error: RetryableError) -> None:
        """See ports.Source."""
        split = replace(as_window(split), maybe_shipped=True)
        self._flying[split.region] -= 1
        self._failures[split.id] += 1
        wait = min(_FIRST_WAIT_SECONDS * 2 ** min(self._failures[split.id] - 1, 10), _LONGEST_WAIT_SECONDS)
        heapq.heappush(self._released, (self._now() + max(wait, error.retry_after or 0.0), split.id, split))
        state = self._states.get(split.scope)
        if isinstance(error, GroupError) and state is not None:
            self._set_trouble(state, error)

    def idle_seconds(self) -> float:
        """See ports.Source."""
        now = self._now()
        moments = [*self._discover_at.values(), *(due for due, _, _ in self._released[:1])]
        reading = (state for state in self._states.values() if state.present and state.trouble is None)
        moments.extend(now + _BUSY_SECONDS if s.flying else max(s.due(now), now + _BUSY_SECONDS) for s in reading)
        return min(max(min(moments, default=now) - now, 0.0), 60.0)

    def complete(self) -> bool:
        """See ports.Source. Groups that were deleted or cannot be read have nothing more to give."""
        since = self._begun_at
        if not self._looked or since is None:
            return False
        final = {arn for arn, state in self._states.items() if state.trouble in _FINAL}
        return all(split.scope in final for split in self._pinned.values()) and all(
            arn in final or state.caught_up(since) for arn, state in self._states.items() if state.present
        )

    def close(self) -> None:
        """See ports.Source."""
        if self._loaded:
            self._save(every_seconds=0)

    def problems(self) -> Iterable[Problem]:
        """See ports.Source."""
        return check_groups(
            self.name, self._selection, self._finder, self._calls, self._tiers, stream_prefix=self._stream_prefix
        )

    def _load(self) -> None:
        """Once: take up what the store kept of an earlier run."""
        if self._loaded:
            return
        self._cursors = self._store.cursors(self.name)
        self._start.load(self._cursors)
        pinned = (split for split in self._store.pinned(self.name) if isinstance(split, WindowSplit))
        self._ready = [replace(split, maybe_shipped=True) for split in pinned]
        self._pinned = {split.id: split for split in self._ready}
        self._loaded = True

    def _now(self) -> float:
        return self._calls.clock.now()

    def _discover(self) -> list[RetryableError]:
        """List the groups of the regions that are due; a region that fails is tried again soon, and alone."""
        trouble: list[RetryableError] = []
        for region, due in self._discover_at.items():
            if self._calls.clock.known and self._now() < due:
                continue
            try:
                found = self._finder.find(region)
            except RetryableError as error:
                trouble.append(error)
                self._discover_at[region] = self._now() + (_DENIED_SECONDS if error.paused else _FAILED_SECONDS)
                self._metrics.waits(self.name, f"log groups of {region}", str(error))
                continue
            self._metrics.waits(self.name, f"log groups of {region}", None)
            self._discover_at[region] = self._now() + self._discover_seconds
            self._take_up(region, found)
        if self._begun_at is None and self._calls.clock.known:
            self._begun_at = self._now()
        return trouble

    def _take_up(self, region: str, found: list[LogGroup]) -> None:
        """Read new groups from now on, and those that are gone no more; leave the others as they are."""
        names = {group.arn for group in found}
        for group in found:
            state = self._states.get(group.arn)
            if state is None:
                state = self._new(group)
                log.info("log group found", source=self.name, group=group.arn)
            state.present, state.group = True, group
            if group.log_class == READABLE_CLASS:
                if state.trouble == "refused" and not state.flying:
                    self._set_trouble(state, None)
            elif state.trouble is None:
                why = f"its class {group.log_class} cannot be read; exclude it, or have its logs go to a STANDARD group"
                self._set_trouble(state, GroupError(why, "refused"))
        for arn, state in self._states.items():
            if state.group.region == region and arn not in names and state.present:
                state.present = False
                log.warning("log group is not there any more, or not wanted", source=self.name, group=arn)
        self._count_groups()

    def _new(self, group: LogGroup) -> GroupState:
        state = GroupState(group, self._tiers, start=self._start.seconds(), cursor=self._cursors.get(group.arn, {}))
        self._states[group.arn] = state
        for split in self._pinned.values():
            if split.scope == group.arn:
                state.restore(split)
        return state

    def _again(self) -> Iterator[WindowSplit]:
        """Windows that were pinned before, unchanged: of an earlier process, and those that waited after a failure."""
        while self._released and self._released[0][0] <= self._now():
            self._ready.append(heapq.heappop(self._released)[2])
        while self._ready:
            split = self._ready.pop(0)
            self._flying[split.region] += 1
            yield split

    def _next(self) -> tuple[GroupState, Sweep, Span] | None:
        """Return what waited longest of all that may be read now."""
        now = self._now()
        budgets = {region: self._calls.budget(region) for region in self._selection.regions}
        free = {
            region
            for region, budget in budgets.items()
            if self._flying[region] < min(max(budget.calls_per_second, 1), _MOST_FLYING)
        }
        waiting = [
            (state.due(now), arn)
            for arn, state in self._states.items()
            if state.present and state.trouble != "refused" and state.group.region in free
        ]
        for due, arn in sorted(waiting):
            if due > now:
                return None
            found = self._states[arn].next_span(now)
            if found is not None:
                return self._states[arn], *found
        return None

    def _pin(self, state: GroupState, sweep: Sweep, span: Span) -> WindowSplit:
        split = window(
            state,
            span,
            self._store,
            source=self.name,
            log_type=self._log_type_of(state.group),
            fresh_from=sweep.fresh_from,
        )
        self._store.pin([split])
        self._pinned[split.id] = split
        state.take(sweep, split, now=self._now())
        self._flying[split.region] += 1
        return split

    def _set_trouble(self, state: GroupState, error: GroupError | None) -> None:
        trouble = error.state if error is not None else None
        if trouble == state.trouble:
            return
        state.trouble = trouble
        self._metrics.waits(self.name, f"log group {state.group.arn}", str(error) if error is not None else None)
        if error is not None:
            log.error("log group waits, the others go on", source=self.name, group=state.group.arn, why=error.advice)
        else:
            log.info("log group is read again", source=self.name, group=state.group.arn)
        self._count_groups()

    def _count_groups(self) -> None:
        counts: Counter[str] = Counter(
            state.trouble or ("reading" if state.present else "gone") for state in self._states.values()
        )
        for name in _STATES:
            self._metrics.log_groups.labels(self.name, name).set(counts[name])

    def _save(self, *, every_seconds: float) -> None:
        """Store how far long looks came. What a crash leaves out is only read again."""
        if self._unsaved and self._now() - self._saved_at >= every_seconds:
            self._store.set_cursors(self.name, {arn: self._states[arn].cursor() for arn in self._unsaved})
            self._unsaved.clear()
            self._saved_at = self._now()
