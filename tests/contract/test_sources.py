"""What every source guarantees, named by the guarantee; a new source adds its harness to `HARNESSES`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Protocol

import pytest

from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.model import Receipt, S3Object, Split, Tally
from shipper.ports import Source
from shipper.sources.s3_allowed import Allowed
from shipper.sources.s3_notifications import S3NotificationsSource
from tests.fakes.checkpoints import MemoryCheckpoints
from tests.fakes.cloudwatch_flow import Flow
from tests.fakes.cloudwatch_logs import CloudWatchLogs
from tests.fakes.pipeline import MemoryDeadLetters
from tests.fakes.s3 import MemoryBucket, TurnedClock, a_source
from tests.fakes.sqs import MemoryQueue, s3_event

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC).timestamp()


class Harness(Protocol):
    """One kind of source over data that a test adds."""

    source: Source

    def add(self) -> None:
        """Let new data appear."""
        ...

    def fail_next(self) -> None:
        """Make the next request fail."""
        ...

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        ...

    def restart(self) -> None:
        """Kill the process and start another over the same store."""
        ...

    def pinned(self) -> Sequence[Split]:
        """What the store has pinned."""
        ...


class ListedBucket:
    """The S3 listing source over a bucket in memory."""

    def __init__(self) -> None:
        self._clock = TurnedClock(NOW)
        self._bucket = MemoryBucket()
        self._store = MemoryCheckpoints(self._clock)
        self._number = 0
        self.restart()

    def restart(self) -> None:
        self.source: Source = a_source(self._bucket, self._store, self._clock, start=NOW - 86400)

    def add(self) -> None:
        self._number += 1
        folder = "AWSLogs/111111111111/CloudTrail/us-east-1/2026/03/10/111111111111_CloudTrail_us-east-1"
        self._bucket.put(f"{folder}_20260310T1155Z_{self._number:04}.json.gz", self._clock.now)

    def fail_next(self) -> None:
        self._bucket.failures.append(RetryableError("reset"))

    def wait(self, seconds: float) -> None:
        self._clock.now += seconds

    def pinned(self) -> Sequence[Split]:
        return self._store.pinned("trail")


class NotifiedBucket:
    """The notifications source over a queue in memory.

    The queue is what remembers: until its message is deleted, an object comes again.
    """

    def __init__(self) -> None:
        self._clock = TurnedClock(NOW)
        self._queue = MemoryQueue(self._clock)
        self._store = MemoryCheckpoints(self._clock)
        self._number = 0
        self.restart()

    def restart(self) -> None:
        self.source: Source = S3NotificationsSource(
            "trail",
            queue=self._queue,
            allowed=Allowed((("trail", "AWSLogs/"),), None, frozenset({"cloudtrail"})),
            store=self._store,
            client=None,
            metrics=Metrics(),
            dead_letters=MemoryDeadLetters(),
            clock=self._clock,
        )

    def add(self) -> None:
        self._number += 1
        folder = "AWSLogs/111111111111/CloudTrail/us-east-1/2026/03/10/111111111111_CloudTrail_us-east-1"
        key = f"{folder}_20260310T1155Z_{self._number:04}.json.gz"
        self._queue.send(s3_event(S3Object("trail", key, 100, f"etag of {key}", self._clock.now)))

    def fail_next(self) -> None:
        self._queue.silences.append(RetryableError("reset"))

    def wait(self, seconds: float) -> None:
        self._clock.now += seconds

    def pinned(self) -> Sequence[Split]:
        return self._store.pinned("trail")


class LogGroups:
    """The CloudWatch source over an account in memory; what is added is a log group with an event."""

    def __init__(self) -> None:
        self._clock = TurnedClock(NOW)
        self._logs = CloudWatchLogs(self._clock)
        self._store = MemoryCheckpoints(self._clock)
        self._number = 0
        self.restart()

    def restart(self) -> None:
        self.source: Source = Flow(self._logs, self._clock, self._store, start=NOW - 86400).source

    def add(self) -> None:
        self._number += 1
        group = self._logs.group(f"group-{self._number:03}")
        self._logs.put(group, "stream", (int(self._clock.now * 1000) - 1000, "line"))

    def fail_next(self) -> None:
        self._logs.refusals += 1

    def wait(self, seconds: float) -> None:
        self._clock.now += seconds

    def pinned(self) -> Sequence[Split]:
        return self._store.pinned("flow")


HARNESSES: dict[str, Callable[[], Harness]] = {
    "s3_listing": ListedBucket,
    "s3_notifications": NotifiedBucket,
    "cloudwatch_logs": LogGroups,
}


@pytest.fixture(params=list(HARNESSES))
def harness(request) -> Iterator[Harness]:
    made = HARNESSES[request.param]()
    yield made
    made.source.close()


def settle(harness: Harness, split: Split) -> None:
    harness.source.settle(split, Receipt(split.id, split.source, 1, 1, {"sink": Tally(delivered=1)}))


def look_until_found(harness: Harness) -> list[Split]:
    """Look as the coordinator does until something is there; at most for an hour."""
    for _ in range(240):
        if found := list(harness.source.splits()):
            return found
        harness.wait(max(harness.source.idle_seconds(), 0.1))
    return []


def test_a_split_is_pinned_before_it_is_yielded(harness):
    """A crash at any moment after the yield ships the same split again."""
    harness.add()
    for split in harness.source.splits():
        assert split in harness.pinned()
        assert split.source == harness.source.name


def test_a_split_in_flight_is_not_yielded_twice(harness):
    """Looking again while a split is on its way finds only what is new."""
    harness.add()
    first = look_until_found(harness)
    harness.wait(600)
    assert list(harness.source.splits()) == []
    harness.add()
    second = look_until_found(harness)
    assert {split.id for split in first}.isdisjoint(split.id for split in second)


def test_after_a_crash_the_same_splits_come_first(harness):
    """What was pinned is yielded again, unchanged, before anything new."""
    harness.add()
    before = look_until_found(harness)
    harness.add()
    harness.restart()
    after = look_until_found(harness)
    assert after[: len(before)] == before


def test_what_is_settled_never_comes_again(harness):
    """Neither in the same process nor after a restart; a later look at the same log group is another split."""
    harness.add()
    settled = set()
    for split in harness.source.splits():
        settle(harness, split)
        settled.add(split.id)
    assert settled
    assert harness.pinned() == []
    harness.wait(7 * 3600)
    for _ in range(2):
        again = list(harness.source.splits())
        assert settled.isdisjoint(split.id for split in again)
        assert not any(split.objects for split in again)
        harness.restart()


def test_settling_while_looking_is_allowed(harness):
    """The coordinator settles finished splits in the midst of a look."""
    for _ in range(130):
        harness.add()
    seen = 0
    for split in harness.source.splits():
        settle(harness, split)
        seen += 1
    assert seen > 1
    assert harness.source.complete()


def test_a_released_split_comes_again_after_a_wait(harness):
    """It is not lost, not changed, and not yielded at once in a busy loop."""
    harness.add()
    (split,) = look_until_found(harness)
    harness.source.release(split, RetryableError("busy"))
    assert list(harness.source.splits()) == []
    assert look_until_found(harness) == [split]


def test_completeness_is_known(harness):
    """True after a look when all is settled; false before the first look and while anything is outstanding."""
    assert not harness.source.complete()
    harness.add()
    splits = list(harness.source.splits())
    assert not harness.source.complete()
    for split in splits:
        settle(harness, split)
    assert harness.source.complete()
    harness.wait(7 * 3600)
    harness.fail_next()
    with pytest.raises(RetryableError):
        list(harness.source.splits())
    assert not harness.source.complete()


def test_after_a_failed_look_nothing_is_skipped(harness):
    """The next look finds what the failed one did not come to."""
    harness.add()
    harness.fail_next()
    with pytest.raises(RetryableError):
        list(harness.source.splits())
    assert look_until_found(harness) != []


def test_idle_times_are_short(harness):
    """A daemon never rests for longer than a minute, and never for a negative time."""
    for _ in range(5):
        list(harness.source.splits())
        assert 0.0 <= harness.source.idle_seconds() <= 60.0
        harness.wait(45)
