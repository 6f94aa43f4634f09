"""How often and how far back a log group is read, so that an event that becomes visible late is read all the same.

FilterLogEvents selects by an event's own time alone, and an event may become visible long after it. So each tier reads
a span that ends now and begins its `reach` before the tier's last complete look began. An event that becomes visible
after that look, at most `reach` after its own time, lies in the span: whatever the time between the looks was, the late
horizon holds.
"""

from __future__ import annotations

from dataclasses import dataclass

DAY = 86_400.0
HOT_SECONDS = 150.0
IDLE_SECONDS = 300.0
LEAST_HORIZON = 180.0
"""Reads grew for about 90 seconds after events were written: https://github.com/awslabs/amazon-dynamodb-tools/pull/315."""
MOST_HORIZON = 14 * DAY
"""PutLogEvents accepts no event that is older than 14 days."""
PAGE_EVENTS = 10_000
PAGE_BYTES = 1_048_576
QUOTA_CALLS_PER_SECOND = 5.0
"""https://repost.aws/knowledge-center/cloudwatch-logs-throttling: for each account and region, and not to be raised."""


@dataclass(frozen=True, slots=True)
class Tier:
    """One depth of looking back.

    Attributes:
        period: seconds between two looks.
        reach: events that are late by as many seconds are read.
    """

    name: str
    period: float
    reach: float

    @property
    def look_back(self) -> float:
        """Seconds that a look spans when it is on time."""
        return self.period + self.reach


Tiers = tuple[Tier, ...]


def tiers_for(horizon: float) -> Tiers:
    """The tiers whose late horizon is `horizon` seconds, the most frequent first."""
    hot = Tier("hot", HOT_SECONDS, horizon if LEAST_HORIZON <= horizon <= 2 * LEAST_HORIZON else LEAST_HORIZON)
    if horizon <= hot.reach:
        return (hot,)
    warm = Tier("warm", min(horizon, 3600.0), min(horizon, 3600.0))
    if horizon <= warm.reach:
        return hot, warm
    return hot, warm, Tier("cold", horizon if horizon <= DAY else max(DAY, horizon / 4), horizon)


def late_horizon(tiers: Tiers) -> float:
    """Every event that becomes visible within so many seconds of its own time is read."""
    return max(tier.reach for tier in tiers)


def amplification(tiers: Tiers) -> float:
    """How often an event is read, on average."""
    return sum(tier.look_back / tier.period for tier in tiers)


def calls_a_day(tiers: Tiers, events_per_second: float = 0.0, bytes_per_second: float = 0.0) -> float:
    """Calls of FilterLogEvents that one group costs a day; an idle one costs what the tiers alone cost."""
    idle = events_per_second == bytes_per_second == 0
    return sum(
        DAY
        / (IDLE_SECONDS if idle and tier.name == "hot" else tier.period)
        * max(
            1.0,
            events_per_second * tier.look_back / PAGE_EVENTS,
            bytes_per_second * tier.look_back / PAGE_BYTES,
        )
        for tier in tiers
    )
