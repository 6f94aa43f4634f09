"""What the coordinator guarantees: each split is settled once, after it was shipped, and never before."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from shipper.coordinator import Coordinator, InFlight
from shipper.errors import FatalError, RetryableError
from shipper.metrics import Metrics
from shipper.model import Receipt, S3Object, S3Split, Split
from shipper.ports import Stop
from tests.fakes.pipeline import QueueSource, lines_split


def receipt(split: Split) -> Receipt:
    return Receipt(split.id, split.source, 0, 0, {})


@pytest.fixture
def executor():
    with ThreadPoolExecutor(4) as pool:
        yield pool


def coordinator(source, executor, ship, *, once=True, stop=None, limit_bytes=10**9):
    metrics = Metrics()
    return Coordinator(
        source,
        executor,
        ship,
        in_flight=InFlight(limit_bytes, 8, metrics),
        metrics=metrics,
        stop=stop or Stop(),
        on_receipt=lambda _: None,
        once=once,
    )


def test_once_settles_everything_and_ends(executor):
    """All splits are shipped and settled, then the loop returns."""
    source = QueueSource("lines", [lines_split(str(n)) for n in range(50)])
    coordinator(source, executor, receipt).run()
    assert sorted(r.split_id for r in source.receipts) == sorted(str(n) for n in range(50))
    assert source.complete()
    assert source.closed == 1, "and what was taken from a queue can be given back"


def test_a_split_that_failed_is_released_and_not_settled(executor):
    """Not settling is the nack."""
    source = QueueSource("lines", [lines_split("good"), lines_split("bad")])

    def ship(split):
        if split.id == "bad":
            raise RetryableError("sink is down")
        return receipt(split)

    coordinator(source, executor, ship).run()
    assert [r.split_id for r in source.receipts] == ["good"]
    assert set(source.released) == {"bad"}
    assert not source.complete()


def test_a_fatal_error_reaches_the_service(executor):
    """What cannot be mended by waiting ends the loop."""
    source = QueueSource("lines", [lines_split("one")])

    def ship(split):
        raise FatalError("disk gone")

    with pytest.raises(FatalError, match="disk gone"):
        coordinator(source, executor, ship).run()
    assert source.receipts == []


def test_the_source_is_closed_whatever_ends_the_loop(executor):
    """Even where a sink's failure is final, a queue's messages go back at once."""
    source = QueueSource("lines", [lines_split("1")])

    def ship(split):
        raise FatalError("nothing works")

    with pytest.raises(FatalError):
        coordinator(source, executor, ship).run()
    assert source.closed == 1


def test_a_failed_look_is_tried_again(executor):
    """A throttled listing costs a wait, not the process."""
    seen = threading.Event()

    class Source(QueueSource):
        def idle_seconds(self) -> float:
            seen.set()
            return 0.01

    source = Source("lines", [lines_split("one")])
    source.errors = [RetryableError("SlowDown")]
    stop = Stop()
    thread = threading.Thread(target=coordinator(source, executor, receipt, once=False, stop=stop).run)
    thread.start()
    assert seen.wait(20)
    stop.request()
    thread.join(20)
    assert [r.split_id for r in source.receipts] == ["one"]


@pytest.mark.parametrize(
    ("ages", "marked"),
    [
        ([-400.0], False),  # visible since a moment after the process began
        ([-200.0], True),  # as good as older: clocks differ
        ([60.0], True),
        ([-400.0, 60.0], True),  # one object is enough
    ],
)
def test_what_is_older_than_the_process_may_have_been_shipped_before(executor, ages, marked):
    """Whatever became of the state that an earlier process had: reset, lost, restored, or on another machine."""
    objects = tuple(S3Object("b", str(n), 1, "", time.time() - age) for n, age in enumerate(ages))
    seen = []

    def ship(split):
        seen.append(split.maybe_shipped)
        return receipt(split)

    coordinator(QueueSource("lines", [S3Split("one", "lines", "", "lines", objects)]), executor, ship).run()
    assert seen == [marked]


def test_what_is_in_flight_stays_within_its_bound(executor):
    """Splits wait for room; one larger than all the room goes alone."""
    big = 8_000_000
    splits = [S3Split(str(n), "lines", "", "lines", (S3Object("b", str(n), big, "", 0.0),)) for n in range(20)]
    lock, now, most = threading.Lock(), [0], [0]

    def ship(split):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        with lock:
            now[0] -= 1
        return receipt(split)

    source = QueueSource("lines", splits)
    coordinator(source, executor, ship, limit_bytes=1_000_000).run()
    assert most[0] == 1
    assert len(source.receipts) == 20


def test_a_stop_lets_what_is_on_its_way_finish_and_settles_it(executor):
    """SIGTERM: no new reads; running splits are settled, waiting ones are not begun."""
    stop, running, go = Stop(), threading.Event(), threading.Event()

    def ship(split):
        running.set()
        assert go.wait(20)
        return receipt(split)

    source = QueueSource("lines", [lines_split(str(n)) for n in range(20)])
    thread = threading.Thread(target=coordinator(source, executor, ship, once=False, stop=stop).run)
    thread.start()
    assert running.wait(20)
    stop.request()
    go.set()
    thread.join(20)
    assert not thread.is_alive()
    assert 1 <= len(source.receipts) < 20
