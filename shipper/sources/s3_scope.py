"""One scope's cursor: where each listing begins, which objects are done, and when a day can be closed."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from shipper.model import S3Object
from shipper.ports import CheckpointStore
from shipper.sources.s3_keys import DAY_SECONDS, Scope

HOUR = 3600.0
CLOSE_AFTER_SECONDS = 72 * HOUR
"""A day is closed so long after its end, by a last full listing of it."""

Tier = Literal["hot", "warm", "cold", "close"]
TIERS: tuple[Tier, ...] = ("hot", "warm", "cold", "close")
"""By urgency: what is new first, what a long backfill finds last."""

# How far back each tier looks, counted from its own last complete listing: downtime makes every look longer by itself.
# With the periods of 5 minutes, 1 and 6 hours nothing was lost of a simulated year of late deliveries.
_LOOK_BACK: dict[Tier, float] = {"hot": HOUR, "warm": 6 * HOUR, "cold": 48 * HOUR}
_MERGE_AT = 1024


class Hashes:
    """A set of 64-bit numbers in 8 bytes each: a sorted array, and a small set of what was added lately."""

    def __init__(self, values: Iterable[int] = ()) -> None:
        self._sorted = array("q", sorted(values))
        self._recent: set[int] = set()

    def __contains__(self, value: int) -> bool:
        if value in self._recent:
            return True
        place = bisect_left(self._sorted, value)
        return place < len(self._sorted) and self._sorted[place] == value

    def __len__(self) -> int:
        return len(self._sorted) + len(self._recent)

    def add(self, values: Iterable[int]) -> None:
        """Add values that may be there already."""
        self._recent.update(value for value in values if value not in self)
        self.merge()

    def merge(self) -> None:
        """Keep the small set small."""
        if len(self._recent) > max(_MERGE_AT, len(self._sorted) // 8):
            self._sorted = array("q", sorted([*self._sorted, *self._recent]))
            self._recent = set()


@dataclass(slots=True)
class Listing:
    """A listing on its way, page by page.

    Attributes:
        after: the last key seen.
        until: the key where it ends; None for no upper bound, as labels run ahead of time.
        started: when it began, seconds since the epoch.
    """

    tier: Tier
    state: ScopeState
    after: str
    until: str | None
    started: float


class ScopeState:
    """What is known of one scope. Used by its source's thread only.

    Days are counted since the epoch. A day before `closed` is never looked at again: all of it was listed at least 72
    hours after its end, and whatever that found is settled, or pinned, or waits in the retry table.

    Args:
        start: objects labelled earlier, in seconds, are not shipped.
        end: nor are those labelled then or later. A scope that has an end is listed once, day by day, and every day is
            closed when it is listed, however young it is.
        cursor: what the store kept of the scope.
    """

    def __init__(
        self,
        name: str,
        scope: Scope,
        *,
        source: str,
        store: CheckpointStore,
        start: float,
        end: float = math.inf,
        cursor: dict[str, float],
    ) -> None:
        if scope.service is not None:
            start = max(start - scope.service.window_seconds, 0.0)
        self.name = name
        self.scope = scope
        self.closed = int(cursor.get("closed", start // DAY_SECONDS))
        self.listed: dict[str, float] = {tier: cursor[tier] for tier in TIERS if tier in cursor}
        self._source = source
        self._store = store
        self._start = start
        self._end = end
        self._days: dict[int, Hashes] = {}
        self._swept = self.closed

    def begin(self, tier: Tier, now: float) -> Listing | None:
        """Begin a tier's listing; None where there is nothing to list."""
        boundary = self._boundary(now)
        if self.scope.service is None:
            # Keys without a time: every listing is a full one, and does for all tiers.
            return Listing(tier, self, "", None, now) if tier == "hot" else None
        if not self.scope.service.shipped and (tier in ("hot", "warm") or self._end < math.inf):
            return None
        if tier != "close" and self._end < math.inf:
            return None
        if tier == "close":
            if self._swept >= boundary:
                return None
            after, until = self.scope.key_of_day(self._swept), self.scope.key_of_day(boundary)
            return Listing(tier, self, after, until, now)
        # What is before the boundary is found by closing it.
        earliest = max(boundary * DAY_SECONDS, self._start)
        last = self.listed.get(tier)
        if last is None and tier == "cold":
            return Listing(tier, self, self.scope.key_of_day(int(earliest // DAY_SECONDS)), None, now)
        back = (min(last, now) if last is not None else now) - _LOOK_BACK[tier]
        if tier == "cold":
            back -= back % DAY_SECONDS
        return Listing(tier, self, self.scope.key_at(max(back, earliest)), None, now)

    def is_new(self, item: S3Object, day: int, value: int) -> bool:
        """Return whether an object of a day, with its hash, has to be shipped, as far as the done-sets know."""
        wanted = self._start <= self.scope.moment(item) < self._end
        return wanted and day >= self.closed and value not in self._done(day)

    def add_done(self, done: Iterable[tuple[int, int]]) -> None:
        """Remember (day, hash) pairs that the store has."""
        for day, value in done:
            self._done(day).add((value,))

    def open_pairs(self, objects: Iterable[S3Object]) -> list[tuple[int, int]]:
        """Return (day, hash) of the objects whose days still keep hashes."""
        days = ((self.scope.day(item), item.hash) for item in objects)
        return [(day, value) for day, value in days if day is not None and day >= self.closed]

    def advance(self, listing: Listing, day: int | None) -> None:
        """A closing listing came as far as a day: all before it is fully listed."""
        if listing.tier == "close" and day is not None:
            self._swept = max(self._swept, min(day, self._boundary(listing.started)))

    def finish(self, listing: Listing) -> None:
        """A listing is complete, and all it found is pinned."""
        self.listed[listing.tier] = listing.started
        if listing.tier == "close" or self.scope.service is None:
            self._swept = max(self._swept, self._boundary(listing.started))

    def close_days(self) -> None:
        """Close the days that are fully listed: what was found of them is done, pinned, or in the retry table."""
        if self._swept <= self.closed:
            return
        self._store.close_before(self._source, self.name, self._swept, {"closed": float(self._swept)})
        self.closed = self._swept
        self._days = {day: hashes for day, hashes in self._days.items() if day >= self.closed}

    def _boundary(self, now: float) -> int:
        """The first day that is not closed by listing it now."""
        return closable_before(now) if self._end == math.inf else math.ceil(self._end / DAY_SECONDS)

    @property
    def progress(self) -> tuple[int, int]:
        """Days that are listed, and days there are in all; of a scope that has an end."""
        first = int(self._start // DAY_SECONDS)
        last = self._boundary(0.0)
        return min(self._swept, last) - first, last - first

    @property
    def remembered(self) -> int:
        """How many hashes are held in memory."""
        return sum(len(hashes) for hashes in self._days.values())

    def _done(self, day: int) -> Hashes:
        known = self._days.get(day)
        if known is None:
            found = self._store.done(self._source, self.name, day, day + 1)
            known = self._days[day] = Hashes(found.get(day, ()))
        return known


def closable_before(now: float) -> int:
    """Return the first day that is not yet old enough to be closed."""
    return int((now - CLOSE_AFTER_SECONDS) // DAY_SECONDS)
