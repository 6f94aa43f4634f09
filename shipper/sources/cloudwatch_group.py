"""What one log group has been read of, and what is to be read next. Pure: time is an argument, nothing is called."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from shipper.model import Receipt, WindowSplit
from shipper.sources.aws_clock import SKEW_SECONDS
from shipper.sources.cloudwatch_calls import GroupTrouble
from shipper.sources.cloudwatch_groups import LogGroup
from shipper.sources.cloudwatch_tiers import DAY, IDLE_SECONDS, MOST_HORIZON, Tiers

_QUIET_SECONDS = 3600.0
_MINUTE_MS = 60_000
Span = tuple[int, int]
"""First and last millisecond, both included."""


@dataclass(slots=True)
class Sweep:
    """One look of some tiers: a span that ends when the look began, read in windows, oldest first.

    Attributes:
        began: AWS's time, in seconds since the epoch.
        depth: the deepest tier; it completes those above it as well.
        fresh_from: the hot look before began then: what is older and turns up now came late.
        spans: what is left to be read.
        flying: ids of windows on their way.
        due: when the next window is due.
    """

    began: float
    depth: int
    fresh_from: float
    spans: deque[Span]
    due: float
    flying: dict[str, Span] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether all of it is settled."""
        return not self.spans and not self.flying

    @property
    def settled_to_ms(self) -> int:
        """All before this millisecond is settled."""
        return min((first for first, _ in [*self.spans, *self.flying.values()]), default=int(self.began * 1000))


class GroupState:
    """One log group's cursor and looks. Used by its source's thread.

    Args:
        start: events before this time are not read: seconds since the epoch.
        cursor: what the store kept.
    """

    def __init__(self, group: LogGroup, tiers: Tiers, *, start: float, cursor: Mapping[str, float]) -> None:
        self.group = group
        self.present = True
        self.trouble: GroupTrouble | None = None
        self.flying: dict[str, WindowSplit] = {}
        self.events_per_ms = 0.0
        self.bytes_per_event = 0.0
        self._tiers = tiers
        # An event may be older than its group, by as much as PutLogEvents accepts.
        first = max(start, group.created - MOST_HORIZON, 0.0)
        self._open = max(cursor.get("open", 0.0), first)
        self._swept = {tier.name: cursor[tier.name] for tier in tiers if tier.name in cursor}
        self._sweeps: dict[bool, Sweep] = {}
        self._newest_event = 0.0
        depth = int(cursor.get("sweep_depth", -1))
        if 0 < depth < len(tiers) and cursor["sweep_began"] > self._swept.get(tiers[depth].name, 0.0):
            left = (int(max(cursor["sweep_at"], self._open) * 1000), int(cursor["sweep_began"] * 1000))
            fresh = self._swept.get("hot", left[0] / 1000)
            self._sweeps[True] = Sweep(cursor["sweep_began"], depth, fresh, deque([left]), cursor["sweep_began"])

    @property
    def sweeping(self) -> bool:
        """Whether a look is on its way."""
        return bool(self._sweeps)

    def due(self, now: float) -> float:
        """When the next window is due, in seconds since the epoch; nothing is due earlier than a look is begun."""
        if self._open > now:
            return self._open  # `start` is still to come
        dues = [sweep.due for sweep in self._sweeps.values() if sweep.spans]
        deep = self._sweeps.get(True)
        for place, tier in enumerate(self._tiers):
            if (place > 0) in self._sweeps:
                continue
            base = self._swept.get(tier.name, 0.0)
            if deep is not None and place == 0:
                base = max(base, deep.began)
            dues.append(base + self._period(place, now))
        return min(dues, default=now + IDLE_SECONDS)

    def next_span(self, now: float) -> tuple[Sweep, Span] | None:
        """Return what should be read now, where nothing that is on its way overlaps it; begin looks that are due."""
        self._begin(now)
        for deep in (False, True):
            sweep = self._sweeps.get(deep)
            if sweep is None or not sweep.spans or sweep.due > now:
                continue
            first, last = sweep.spans[0]
            if (free := self._free(first, last)) >= first:
                return sweep, (first, free)
        return None

    def take(self, sweep: Sweep, split: WindowSplit, *, now: float) -> None:
        """A window of a look is on its way."""
        first, last = sweep.spans.popleft()
        if split.last_ms < last:
            sweep.spans.appendleft((split.last_ms + 1, last))
        sweep.flying[split.id] = (first, split.last_ms)
        sweep.due = now
        self.flying[split.id] = split

    def restore(self, split: WindowSplit) -> None:
        """A window of an earlier process is on its way; the look it was part of begins anew, or where it came to."""
        self.flying[split.id] = split

    def settled(self, split: WindowSplit, receipt: Receipt, now: float) -> bool:
        """A window is settled; return whether a look is complete by that, so that the cursor moved."""
        self.flying.pop(split.id, None)
        self._measure(split, receipt)
        if receipt.done:
            self._newest_event = now
        for deep, sweep in list(self._sweeps.items()):
            if sweep.flying.pop(split.id, None) is None:
                continue
            sweep.due = now
            if receipt.reached_ms is not None:
                sweep.spans.appendleft((receipt.reached_ms, split.last_ms))
            if sweep.complete:
                del self._sweeps[deep]
                for tier in self._tiers[: sweep.depth + 1]:
                    self._swept[tier.name] = max(self._swept.get(tier.name, 0.0), sweep.began)
                self._open = max(self._open, self._horizon_start())
                return True
        return False

    @property
    def open_minute(self) -> int:
        """The first minute that may be read again."""
        return int(self._open // 60)

    def caught_up(self, since: float) -> bool:
        """Whether all that was due at a time is settled."""
        if self.sweeping or self.flying:
            return False
        return self._open > since or all(
            self._swept.get(tier.name, 0.0) + self._period(place, since) > since
            for place, tier in enumerate(self._tiers)
        )

    def cursor(self) -> dict[str, float]:
        """What the store keeps: when each tier's last complete look began, and how far a deep one came."""
        kept = {"open": self._open, **self._swept}
        deep = self._sweeps.get(True)
        if deep is not None:
            kept |= {"sweep_began": deep.began, "sweep_depth": deep.depth, "sweep_at": deep.settled_to_ms / 1000}
        return kept

    def _begin(self, now: float) -> None:
        """Begin the looks that are due; a deep one serves the tiers above it as well."""
        due = [
            place
            for place, tier in enumerate(self._tiers)
            if now >= self._swept.get(tier.name, 0.0) + self._period(place, now)
        ]
        deep = self._sweeps.get(True)
        if due and due[-1] > 0 and deep is None:
            self._sweep(due[-1], now, self._swept)
        elif 0 in due and False not in self._sweeps:
            # What lies before a deep look's beginning is that look's to read.
            base = max(self._swept.get("hot", 0.0), deep.began if deep else 0.0)
            if now >= base + self._period(0, now):
                self._sweep(0, now, {**self._swept, "hot": base})

    def _sweep(self, depth: int, now: float, swept: Mapping[str, float]) -> None:
        earliest = min(swept.get(t.name, 0.0) - t.reach - SKEW_SECONDS for t in self._tiers[: depth + 1])
        if self.group.retention_days is not None:
            earliest = max(earliest, now - (self.group.retention_days + 1) * DAY)
        first = int(max(earliest, self._open) * 1000)
        fresh = swept.get("hot") or first / 1000
        spans = deque([(first, int(now * 1000))]) if first <= now * 1000 else deque()
        if spans:
            self._sweeps[depth > 0] = Sweep(now, depth, fresh, spans, now)

    def _period(self, place: int, now: float) -> float:
        """A tier's period; a group without events for an hour is looked at less often."""
        quiet = place == 0 and now - self._newest_event > _QUIET_SECONDS and bool(self._newest_event or self._swept)
        return IDLE_SECONDS if quiet else self._tiers[place].period

    def _free(self, first: int, last: int) -> int:
        """The last millisecond up to which nothing on its way overlaps; before `first` where all of it does."""
        for split in self.flying.values():
            if split.first_ms <= last and split.last_ms >= first:
                last = split.first_ms - 1
        return last

    def _horizon_start(self) -> float:
        return min(self._swept.get(t.name, 0.0) - t.reach - SKEW_SECONDS for t in self._tiers)

    def _measure(self, split: WindowSplit, receipt: Receipt) -> None:
        """Learn how dense the events are, for the sizes of windows to come."""
        last = split.last_ms if receipt.reached_ms is None else receipt.reached_ms
        # What is delivered already is known by the minute: of a shorter window it says no more than the average.
        minutes = split.last_ms // _MINUTE_MS - split.first_ms // _MINUTE_MS + 1
        density = len(receipt.done) / max(last - split.first_ms + 1, 1) + len(split.seen) / 8 / (minutes * _MINUTE_MS)
        self.events_per_ms = (self.events_per_ms + density) / 2 if self.events_per_ms else density
        if receipt.done:
            size = receipt.bytes_in / len(receipt.done)
            self.bytes_per_event = (self.bytes_per_event + size) / 2 if self.bytes_per_event else size
