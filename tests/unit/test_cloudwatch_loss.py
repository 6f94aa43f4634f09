"""CloudWatch Logs without loss: every event within the late horizon arrives, once, whatever goes wrong on the way.

`test_cloudwatch_mutations` breaks the product on purpose and demands that this file notices.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shipper.errors import RetryableError
from shipper.sources.cloudwatch_tiers import Tier, late_horizon, tiers_for
from tests.fakes.checkpoints import MemoryCheckpoints
from tests.fakes.cloudwatch_flow import NOW, Crash, Flow, identity
from tests.fakes.cloudwatch_logs import CloudWatchLogs, Event, Group
from tests.fakes.s3 import TurnedClock

MS = int(NOW * 1000)
TIERS = (Tier("hot", 20.0, 10.0), Tier("warm", 100.0, 100.0), Tier("cold", 600.0, 600.0))
HOUR = 3600.0


class World:
    """A fake AWS, a daemon that reads it, and what must have arrived in the end."""

    def __init__(self, **flow: object) -> None:
        self.clock = TurnedClock(NOW)
        self.logs = CloudWatchLogs(self.clock)
        self.store = MemoryCheckpoints(self.clock)
        self.expected: set[str] = set()
        self.app = self.logs.group("app")
        self.flow = Flow(self.logs, self.clock, self.store, **flow)  # type: ignore[arg-type]  # named values of many types

    def put(self, *lines: tuple[float, str], stream: str = "s", late: float = 0.0, group: Group | None = None) -> None:
        """Store (seconds after NOW, message) pairs, visible `late` seconds after their own time."""
        into = group or self.app
        for seconds, message in lines:
            time_ms = int((NOW + seconds) * 1000)
            visible = time_ms + int(late * 1000)
            self.expect(into, self.logs.put(into, stream, (time_ms, message), visible_ms=visible))

    def expect(self, group: Group, events: Sequence[Event]) -> None:
        self.expected |= {identity(group, event) for event in events}

    def check(self) -> None:
        """All is there, once, and nothing else."""
        stored = self.flow.sink.stored()
        assert self.expected - set(stored) == set(), "lost"
        assert set(stored) - self.expected == set(), "foreign"
        assert {name: count for name, count in stored.items() if count > 1} == {}, "doubled"


@st.composite
def _events(draw):
    """Seconds after NOW, lateness, stream: mostly on time, some late, a few as late as the horizon allows."""
    late = st.one_of(st.just(0.0), st.floats(0, 30), st.floats(0, 600), st.just(600.0))
    one = st.tuples(st.integers(-900, 2000), late, st.sampled_from("abc"))
    return draw(st.lists(one, min_size=1, max_size=60))


@given(events=_events(), pauses=st.lists(st.sampled_from([0.0, 0.0, 1.0, 60.0, 700.0]), min_size=5, max_size=5))
@settings(max_examples=60, deadline=None)
@example(events=[(0, 600.0, "a"), (0, 0.0, "b"), (590, 600.0, "a")], pauses=[0.0] * 5)
def test_the_printed_horizon_is_true(events, pauses):
    """Every event whose lateness is within the late horizon arrives, however irregular the looks are."""
    world = World(tiers=TIERS, start=NOW - 1000)
    assert late_horizon(TIERS) == 600
    for seconds, late, stream in events:
        world.put((seconds, f"{seconds} {late}"), stream=stream, late=late)
    waits = iter(pauses * 1000)
    world.flow.run(NOW + 5000, pause=lambda: next(waits))
    world.check()


def test_an_event_beyond_the_horizon_is_what_the_horizon_says():
    """The bound is tight: an event that is later than promised is missed, so the promise is not a guess."""
    world = World(tiers=TIERS, start=NOW - 1000)
    world.flow.run(NOW + 1000)
    seconds = (world.clock.now - NOW) - 1500
    world.put((seconds, "too late"), late=1500)
    world.flow.run(NOW + 4000)
    with pytest.raises(AssertionError, match="lost"):
        world.check()


def test_the_lateness_model_of_a_day():
    """Ten streams for a day, one in twenty late by minutes, some held back by hours: nothing is lost."""
    chance = random.Random(42)
    world = World(tiers=tiers_for(15 * HOUR), start=NOW)
    for stream in range(10):
        outage = chance.uniform(0, 20 * HOUR)
        for _ in range(120):
            seconds = chance.uniform(0, 24 * HOUR)
            late = chance.expovariate(1 / 5)
            if chance.random() < 0.05:
                late = chance.uniform(60, 900)
            if 0 < seconds - outage < HOUR:
                late = min(outage + chance.uniform(1, 12) * HOUR - seconds, 15 * HOUR)
            world.put((seconds, "line"), stream=f"s{stream}", late=max(late, 0))
    world.flow.run(NOW + 60 * HOUR)
    world.check()
    assert world.flow.value("shipper_late_events_recovered_total") > 10
    assert world.flow.value("shipper_late_horizon_seconds") == 15 * HOUR


def test_empty_pages_are_read_through():
    """A page without events, but with a token, is not the end."""
    world = World()
    world.logs.empty_pages = 12
    world.logs.page_events = 3
    world.put(*((n / 10 - 100, f"line {n}") for n in range(20)))
    world.flow.run(NOW + 200)
    world.check()


def test_pages_of_one_megabyte():
    """Bytes end pages as well as counts do, and a window of many pages is read in parts."""
    world = World(most_pages=2)
    world.put(*((n - 200, f"{n} " + "x" * 400_000) for n in range(9)))
    world.flow.run(NOW + 200)
    world.check()
    assert len([split for split in world.flow.splits if split.id in world.flow.sink.files]) > 1


@pytest.mark.parametrize("fault", ["expired", "repeat", "unavailable", "unavailable-midway", "throttle", "reset"])
def test_failures_in_the_midst_of_a_window(fault):
    """An expired token, the same token twice, a failed page: the window is not done before all of it is read."""
    world = World()
    world.logs.page_events = 2
    world.put(*((n - 100, f"line {n}") for n in range(11)))
    world.logs.faults["app"] = [fault] * 7
    world.flow.run(NOW + 700)
    assert world.logs.faults["app"] == [], "the faults did occur"
    world.check()


def test_ninety_percent_of_the_calls_are_throttled():
    """All arrives, later; the same token is asked for again."""
    world = World()
    world.logs.throttle_share = 0.9
    world.logs.page_events = 4
    world.put(*((n - 100, f"line {n}") for n in range(40)))
    world.flow.run(NOW + 1000)
    world.check()
    assert world.flow.value("shipper_aws_throttles_total") == world.logs.count(error="ThrottlingException") > 10


def test_bursts_of_one_millisecond_across_streams():
    """Many events of one time, at the ends of windows and pages, with ids that only their streams tell apart."""
    world = World(most_pages=1)
    world.logs.page_events = 7
    for second in (-60, -59, -58):
        for stream in "abcde":
            world.put(*((second, f"{stream} {n}") for n in range(12)), stream=stream)
    world.flow.run(NOW + 1)
    for stream in "abcde":  # at the very millisecond at which the look before ended
        world.expect(world.app, world.logs.put(world.app, stream, (int(world.clock.now * 1000), "later")))
    world.flow.run(NOW + 1000)
    world.check()


def test_a_burst_costs_calls_for_what_it_holds():
    """Half of many large events in one millisecond, the others over minutes: no window for each of these."""
    world = World()
    message = "x" * 250_000
    for number in range(400):
        world.put((-600 + max(number - 200, 0) * 1.2, message), stream=f"s{number % 5}")
    world.flow.run(NOW + 1)
    world.check()
    pages = 400 / 4
    assert world.logs.count() < 3 * pages


def test_a_stream_that_lags_behind_the_others():
    """One stream's newest event says nothing of the others: each may write earlier times later."""
    world = World()
    for minute in range(60):
        world.put((minute * 60, f"fast {minute}"), stream="fast")
        world.put((minute * 60, f"slow {minute}"), stream="slow", late=1500)
    world.flow.run(NOW + 8000)
    world.check()


def test_this_machines_clock_may_jump():
    """The time is AWS's: a suspended machine, whose own clock stands still, reads what it slept through."""
    local = TurnedClock(1000.0)
    world = World(local=local)
    world.put(*((n * 40, f"line {n}") for n in range(200)))
    for step in range(200):
        world.flow.look()
        world.clock.now += 41
        local.now += 41 if step % 50 else -500  # the other machine's clock is put back, and forward again
    world.flow.run(NOW + 9000)
    world.clock.now, local.now = world.clock.now + 700, local.now + 700
    for _ in range(5):
        world.flow.look()
        world.clock.now, local.now = world.clock.now + 150, local.now + 150
    world.check()


def test_a_day_of_downtime():
    """The first look after it reaches back to where the last one before it ended, and as far as events may be late."""
    world = World(tiers=tiers_for(15 * HOUR), start=NOW)
    world.put(*((n * 300, f"line {n}") for n in range(700)), late=60)
    world.put((2 * HOUR, "held back"), late=5 * HOUR)
    world.flow.run(NOW + 3 * HOUR)
    world.clock.now = NOW + 27 * HOUR
    world.flow.restart()
    world.flow.run(NOW + 62 * HOUR)
    world.check()


def test_two_hundred_groups_under_one_quota():
    """All share the account's calls fairly, none is throttled, and no group waits for ever."""
    world = World(calls_per_second=3, start=NOW - 60)
    world.logs.calls_per_second = 5
    for number in range(200):
        group = world.logs.group(f"/group/{number:03}")
        world.put(*((n * 97, f"line {n}") for n in range(10)), group=group, late=20)
    world.flow.run(NOW + 4000)
    world.check()
    assert world.logs.count(error="ThrottlingException") == 0
    last: dict[str, float] = {}
    longest = 0.0
    for call in world.logs.calls:
        if call.operation == "FilterLogEvents":
            name = call.parameters["logGroupName"]
            longest = max(longest, call.time - last.get(name, call.time))
            last[name] = call.time
    assert longest < 400, f"a group waited {longest:.0f} s"


@pytest.mark.parametrize("seed", range(12))
def test_crashes_at_random_moments(seed):
    """Killed before the delivery, after it, or after the settling; with failing sinks and groups: each event once."""
    chance = random.Random(seed)
    world = World(most_pages=2, start=NOW - 500)
    world.logs.page_events = 5
    other = world.logs.group("other")
    for n in range(300):
        late = chance.choice([0, 0, 0, 5, 90, 900])
        world.put(
            (chance.uniform(-400, 4000), f"line {n}"),
            stream=chance.choice("abc"),
            late=late,
            group=chance.choice([world.app, other]),
        )

    def fail() -> None:
        if chance.random() < 0.05:
            raise Crash
        if chance.random() < 0.1:
            raise RetryableError("the disk is busy")

    def finished() -> None:
        if chance.random() < 0.1:
            raise Crash

    world.flow.sink.fail, world.flow.sink.finished = fail, finished
    while world.clock.now < NOW + 8000:
        if chance.random() < 0.2:
            world.logs.faults["app"] = [chance.choice(["expired", "repeat", "unavailable-midway", "throttle", "reset"])]
        try:
            world.flow.look()
        except Crash:
            world.flow.restart()
        world.clock.now += chance.choice([1.0, 1.0, 30.0, 150.0])
    world.flow.sink.fail = world.flow.sink.finished = lambda: None
    world.flow.run(world.clock.now + 8000)
    world.check()
