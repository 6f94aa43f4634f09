"""Which listing is next: what is new first, then what is warm, cold, and long past."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count

from shipper.sources.s3_scope import HOUR, TIERS, Listing, ScopeState, Tier

_PERIODS: dict[Tier, float] = {"warm": HOUR, "cold": 6 * HOUR, "close": HOUR}
_DAILY: dict[Tier, float] = {"hot": 24 * HOUR, "warm": 24 * HOUR, "cold": 24 * HOUR, "close": HOUR}
_SHARE_OF_TIME = 10


class Schedule:
    """The listings of all scopes, by urgency; one listing of a tier is on its way at a time.

    Args:
        hot_seconds: between two listings of the newest keys.
        daily: everything once a day only.
    """

    def __init__(self, hot_seconds: float, *, daily: bool = False) -> None:
        self._periods: dict[Tier, float] = _DAILY if daily else {"hot": hot_seconds, **_PERIODS}
        self._later: list[tuple[float, int, Tier, ScopeState]] = []
        self._due: dict[Tier, deque[ScopeState]] = {tier: deque() for tier in TIERS}
        self._begun: dict[Tier, Listing] = {}
        self._numbers = count()
        self._dropped: set[str] = set()

    def add(self, state: ScopeState) -> None:
        """List a scope from now on, all tiers at once: whatever the time is, for the first answer may set it."""
        self._dropped.discard(state.name)
        for tier in TIERS:
            self._push(0.0, tier, state)

    def drop(self, name: str) -> None:
        """List a scope no more."""
        self._dropped.add(name)

    def current(self, tier: Tier, now: float) -> Listing | None:
        """Return the tier's listing that is on its way, or begin the next one that is due."""
        self._wake(now)
        while tier not in self._begun and self._due[tier]:
            state = self._due[tier].popleft()
            if state.name in self._dropped:
                continue
            listing = state.begin(tier, now)
            if listing is None:
                self._push(now + self._periods[tier], tier, state)
            else:
                self._begun[tier] = listing
        return self._begun.get(tier)

    def finish(self, listing: Listing, now: float) -> None:
        """The tier's listing is complete. One that took long (a bucket without dates) rests for longer."""
        del self._begun[listing.tier]
        rest = max(self._periods[listing.tier], _SHARE_OF_TIME * (now - listing.started))
        self._push(listing.started + rest, listing.tier, listing.state)

    def postpone(self, listing: Listing, until: float) -> None:
        """Give the tier's listing up for now; it begins anew later."""
        del self._begun[listing.tier]
        self._push(until, listing.tier, listing.state)

    def idle(self, now: float) -> bool:
        """Whether nothing is due or on its way."""
        self._wake(now)
        return not self._begun and not any(self._due.values())

    @property
    def next_at(self) -> float | None:
        """When the next listing is due, in seconds since the epoch; None where there is no scope."""
        if self._begun or any(self._due.values()):
            return 0.0
        return self._later[0][0] if self._later else None

    def _push(self, due: float, tier: Tier, state: ScopeState) -> None:
        heapq.heappush(self._later, (due, next(self._numbers), tier, state))

    def _wake(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            _, _, tier, state = heapq.heappop(self._later)
            self._due[tier].append(state)
