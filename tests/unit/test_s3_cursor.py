"""The theorem of the listing cursor: whatever appears within 72 hours of its day's end is settled exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shipper.errors import RetryableError
from shipper.model import Split
from shipper.sources.s3_listing import S3ListingSource
from tests.fakes.checkpoints import MemoryCheckpoints
from tests.fakes.s3 import MemoryBucket, TurnedClock, Worker, a_source

BEGINNING = datetime(2026, 3, 1, 22, 40, tzinfo=UTC).timestamp()
HOUR = 3600
ACCOUNTS = ("111111111111", "222222222222")


@dataclass(frozen=True)
class Arrival:
    """An object: when its label says it is from, and when it can be listed; both in seconds since the epoch."""

    key: str
    visible: float
    forbidden_until: float = 0.0


@dataclass(frozen=True)
class Step:
    """What happens next: time passes with nobody looking, then one look, which may be cut short.

    Attributes:
        yields: after so many splits the process dies; None for a look to the end.
        settles: which of the splits taken are settled before the process dies, or the look ends.
    """

    seconds: float
    yields: int | None
    settles: tuple[bool, ...]
    releases: bool
    fails: int


@st.composite
def arrivals(draw: st.DrawFn) -> Arrival:
    """Labels over ten days, up to five minutes ahead of time and up to 72 hours late; suffixes in any order."""
    label = BEGINNING + draw(st.integers(-4 * 24 * 12, 6 * 24 * 12)) * 300.0
    late = draw(st.one_of(st.integers(-300, 1200), st.integers(0, 72 * HOUR), st.sampled_from([0, 72 * HOUR])))
    account, suffix = draw(st.sampled_from(ACCOUNTS)), draw(st.integers(0, 99))
    stamp = datetime.fromtimestamp(label, UTC)
    key = (
        f"AWSLogs/{account}/CloudTrail/us-east-1/{stamp:%Y/%m/%d}/"
        f"{account}_CloudTrail_us-east-1_{stamp:%Y%m%dT%H%MZ}_{suffix:02}.json.gz"
    )
    refused = draw(st.sampled_from([0.0, 0.0, 0.0, 30.0, 120.0])) * HOUR
    return Arrival(key, label + late, label + late + refused if refused else 0.0)


LATE_AND_REFUSED = Arrival(
    "AWSLogs/111111111111/CloudTrail/us-east-1/2026/03/06/111111111111_CloudTrail_us-east-1_20260306T1045Z_00.json.gz",
    visible=1773053001.0,
    forbidden_until=1773485001.0,
)
"""Visible 72 hours late and refused for five days more: only the retry table knows it when its day is closed."""

THERE_FROM_THE_BEGINNING = (
    "AWSLogs/111111111111/CloudTrail/us-east-1/2026/03/01/111111111111_CloudTrail_us-east-1_20260301T2240Z_00.json.gz"
)
"""Found by the first look, though that comes late when the downtime is at the very start."""

STEPS = st.builds(
    Step,
    seconds=st.sampled_from([1.0, 300.0, 300.0, 3600.0, 7 * 3600.0, 30 * 3600.0, 100 * 3600.0]),
    yields=st.one_of(st.none(), st.integers(0, 3)),
    settles=st.lists(st.booleans(), min_size=1, max_size=4).map(tuple),
    releases=st.booleans(),
    fails=st.sampled_from([0, 0, 0, 1, 2]),
)


class World:
    """A bucket that fills as time passes, and a source that is started, killed and started again over one store."""

    def __init__(self, coming: list[Arrival], page_size: int) -> None:
        self.clock = TurnedClock(BEGINNING)
        self.bucket = MemoryBucket(page_size=page_size)
        self.store = MemoryCheckpoints(self.clock)
        self.worker = Worker(self.bucket)
        self._coming = sorted(coming, key=lambda a: a.visible, reverse=True)
        self._forbidden = {a.key: a.forbidden_until for a in coming if a.forbidden_until}
        self.bucket.on_request = self._pass_time
        self.source = self._start()

    def _start(self) -> S3ListingSource:
        return a_source(self.bucket, self.store, self.clock, start=BEGINNING - 4 * 86400.0)

    def restart(self) -> None:
        """The process dies, and a new one starts over the same store."""
        self.source = self._start()

    def _pass_time(self) -> None:
        """A request takes a second, and objects appear while a listing is on its way."""
        self.clock.now += 1.0
        while self._coming and self._coming[-1].visible <= self.clock.now:
            arrival = self._coming.pop()
            self.bucket.put(arrival.key, arrival.visible)

    def take(self, step: Step) -> None:
        self.clock.now += step.seconds
        self.worker.refused = {key: "forbidden" for key, until in self._forbidden.items() if self.clock.now < until}
        self.bucket.failures = [RetryableError("reset")] * step.fails
        taken = list(islice(self._look(), step.yields))
        ids = Counter(split.id for split in taken)
        assert not ids or max(ids.values()) == 1
        for number, split in enumerate(taken):
            if step.settles[number % len(step.settles)]:
                self.worker.finish(self.source, split)
            elif step.releases:
                self.source.release(split, RetryableError("the sink is busy"))
        if step.yields is not None or not step.releases:
            self.restart()

    def come_to_rest(self) -> None:
        """Nothing fails any more; time passes until all is closed, and the last refusal, on the 14th day, has ended."""
        self.bucket.failures = []
        for _ in range(60):
            self.clock.now += 6 * HOUR
            self.worker.refused = {key: "forbidden" for key, until in self._forbidden.items() if self.clock.now < until}
            self.worker.finish_all(self.source)

    def _look(self) -> Iterator[Split]:
        try:
            yield from self.source.splits()
        except RetryableError:
            return


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(arrivals(), max_size=30, unique_by=lambda a: a.key),
    st.lists(STEPS, max_size=20),
    st.sampled_from([1, 3, 1000]),
)
@example([LATE_AND_REFUSED], [], 1)
def test_every_object_is_settled_exactly_once(coming: list[Arrival], steps: list[Step], page_size: int):
    """Late and smaller keys, labels ahead of time, midnight, downtime, outages, refusals and crashes lose nothing."""
    world = World(coming, page_size)
    for step in steps:
        world.take(step)
    world.come_to_rest()
    assert world.worker.settled == Counter(arrival.key for arrival in coming)
    assert world.source.complete()
    assert world.store.pinned("trail") == []
    assert world.store.retries("trail") == []
    # Bounded: everything is older than the days that stay open, so no hash is left.
    assert world.store.open_hashes == 0


DOWNTIME = st.lists(st.tuples(st.integers(0, 9 * 24), st.sampled_from([0, 1, 5, 20, 60, 110])), max_size=3)


@settings(max_examples=25, deadline=None)
@given(st.lists(arrivals(), min_size=1, max_size=30, unique_by=lambda a: a.key), DOWNTIME, st.sampled_from([1, 1000]))
@example([Arrival(THERE_FROM_THE_BEGINNING, BEGINNING)], [(0, 1)], 1)
def test_each_object_is_found_soon(coming: list[Arrival], downtime: list[tuple[int, int]], page_size: int):
    """While it runs: labelled up to an hour back in minutes, up to two days back in six hours, else by closing.

    After downtime, and at the first start: everything up to two days late at once, however long the downtime was.
    """
    world = World([Arrival(a.key, a.visible) for a in coming], page_size)
    for account in ACCOUNTS:
        key = (
            f"AWSLogs/{account}/CloudTrail/us-east-1/2026/02/27/{account}_CloudTrail_us-east-1_20260227T2200Z_x.json.gz"
        )
        world.bucket.put(key, BEGINNING)
    down = sorted((BEGINNING + hour * HOUR, length * HOUR) for hour, length in downtime)
    starts, looks, seen = [BEGINNING], list[float](), dict[str, float]()
    while world.clock.now < BEGINNING + 16 * 86400:
        if down and world.clock.now >= down[0][0]:
            world.clock.now += down.pop(0)[1]
            world.restart()
            starts.append(world.clock.now)
        looks.append(world.clock.now)
        for split in world.worker.finish_all(world.source):
            seen.update((item.key, looks[-1]) for item in split.objects)
        world.clock.now += 300.0
    for arrival in coming:
        due = _due(arrival, starts)
        assert seen[arrival.key] <= next(look for look in looks if look >= due) + 700


def _due(arrival: Arrival, starts: list[float]) -> float:
    """When the first look at or after which an object is found at the latest."""
    label = _label(arrival.key)
    late = arrival.visible - label
    if late <= HOUR - 400 or arrival.visible <= starts[0]:
        return arrival.visible
    if late <= 48 * HOUR:
        return min([start for start in starts if start >= arrival.visible] + [arrival.visible + 6 * HOUR])
    return max(arrival.visible, label - label % 86400 + (24 + 72 + 1) * HOUR)


def _label(key: str) -> float:
    return datetime.strptime(key.split("_")[3], "%Y%m%dT%H%MZ").replace(tzinfo=UTC).timestamp()
