"""What stalls or kills workers is known by name, and takes neither its neighbours nor the daemon with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shipper import service
from shipper.attempts import CountedAttempts
from shipper.checkpoints.sqlite import SqliteCheckpoints
from shipper.checkpoints.sqlite_schema import _MIGRATIONS, APPLICATION_ID, VERSION
from shipper.delivery import Patience
from shipper.errors import FatalError, RetryableError, ShipperError
from shipper.metrics import Metrics
from shipper.model import Document, Payload, Receipt, Record, Rejected, S3Object, SendResult, Split, Tally
from shipper.ports import FATAL_ATTEMPTS, GIVE_UP_ATTEMPTS
from shipper.progress import STUCK_SECONDS, Progress
from shipper.shipping import Lane, Route, Shipper
from shipper.sources.s3_splits import split_of
from tests.fakes.checkpoints import MemoryCheckpoints
from tests.fakes.pipeline import (
    HastyStop,
    LinesFormat,
    LinesReader,
    LinesSchema,
    MemoryDeadLetters,
    MemorySink,
    QueueSource,
    lines_split,
)
from tests.fakes.s3 import MemoryBucket, TurnedClock, a_source

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC).timestamp()
BAD = "bad"


class Died(BaseException):
    """The end of the process, as far as this test goes."""


class Daemon:
    """A source over a bucket whose object `bad` ends the process that reads it, and one restart after another."""

    def __init__(self, *keys: str) -> None:
        self.clock = TurnedClock(NOW)
        self.bucket = MemoryBucket()
        for key in keys:
            self.bucket.put(f"logs/{key}", NOW - 60, size=10)
        self.store = MemoryCheckpoints(self.clock)
        self.letters = MemoryDeadLetters()
        self.shipped: list[str] = []
        self.deaths = 0
        self.trouble: dict[str, ShipperError] = {}
        self.start()

    def start(self) -> None:
        self.source = a_source(
            self.bucket, self.store, self.clock, prefix="logs/", metrics=Metrics(), dead_letters=self.letters
        )
        self.ship = CountedAttempts(self._ship, self.store).ship

    def run(self) -> None:
        """Ship one split after the other until all is done; after a death, another process goes on."""
        for _ in range(100):
            try:
                for split in self.source.splits():
                    self._one(split)
            except Died:
                self.deaths += 1
                self.start()
                continue
            self.clock.now += self.source.idle_seconds()
            if self.source.complete():
                return
        raise AssertionError("it never comes to an end")

    def _one(self, split: Split) -> None:
        try:
            receipt = self.ship(split)
        except RetryableError as error:
            self.source.release(split, error)
        else:
            self.source.settle(split, receipt)

    def _ship(self, split: Split) -> Receipt:
        for item in split.objects:
            if item.key.endswith(BAD):
                raise Died
            if trouble := self.trouble.pop(item.key, None):
                raise trouble
        self.shipped += [item.key.removeprefix("logs/") for item in split.objects]
        return Receipt(split.id, split.source, 1, 1, {"siem": Tally(delivered=1)})


def test_an_object_that_kills_is_found_and_its_neighbours_are_shipped() -> None:
    """Three deaths take the group apart, twenty more give the object up: a dead letter that names it, nothing else."""
    daemon = Daemon("a", "b", BAD, "c", "d")
    daemon.run()
    assert sorted(daemon.shipped) == ["a", "b", "c", "d"]
    assert daemon.deaths == FATAL_ATTEMPTS + GIVE_UP_ATTEMPTS
    (letter,) = daemon.letters.letters
    assert (letter.reason, letter.origin.key, letter.position) == ("stalls", f"logs/{BAD}", None)
    assert daemon.store.pinned("trail") == []
    assert daemon.store.attempts("trail") == {}
    daemon.start()
    assert list(daemon.source.splits()) == []  # it is settled, and not tried again


def test_objects_of_a_group_taken_apart_are_tried_one_after_the_other() -> None:
    """While one that may kill is on its way no other one is, so that nothing else is blamed for it."""
    daemon = Daemon("a", "b", "c")
    (group,) = daemon.source.splits()
    for _ in range(FATAL_ATTEMPTS):
        daemon.store.begin_attempt(group)
    daemon.start()
    first = list(daemon.source.splits())
    assert [len(split.objects) for split in first] == [1]
    assert list(daemon.source.splits()) == []
    daemon.source.release(first[0], RetryableError("the sink is away"))
    second = list(daemon.source.splits())
    assert second[0] != first[0]
    daemon._one(second[0])
    daemon.run()
    assert sorted(daemon.shipped) == ["a", "b", "c"]


@pytest.mark.parametrize("trouble", [RetryableError("the sink is away"), FatalError("the disk is full")])
def test_ordinary_trouble_is_no_attempt(trouble: ShipperError) -> None:
    """What a sink, a disk or a stop is to blame for is no object's fault."""
    store = MemoryCheckpoints()
    split = lines_split("a", "b")

    def ship(_: Split) -> Receipt:
        raise trouble

    for _ in range(2 * GIVE_UP_ATTEMPTS):
        with pytest.raises(type(trouble)):
            CountedAttempts(ship, store).ship(split)
    assert store.attempts("lines") == {}


def test_what_was_shipped_and_could_not_be_settled_is_no_attempt() -> None:
    """A full disk ends the process between the two: the objects are well."""
    store, split = MemoryCheckpoints(), lines_split("a")
    for _ in range(2 * GIVE_UP_ATTEMPTS):
        receipt = CountedAttempts(lambda split: Receipt(split.id, split.source, 1, 1, {}), store).ship(split)
        assert receipt.unread == ()
    assert store.attempts("lines") == {}


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemoryCheckpoints | SqliteCheckpoints]:
    made = MemoryCheckpoints() if request.param == "memory" else SqliteCheckpoints(tmp_path / "state" / "c.sqlite")
    yield made
    made.close()


def test_attempts_are_counted_by_split_and_forgotten_with_it(store: MemoryCheckpoints | SqliteCheckpoints) -> None:
    """Settling, unpinning, a reset and another pin in its place forget a split's attempts; other splits keep theirs."""
    splits = [lines_split(name) for name in ("settled", "unpinned", "replaced", "kept")]
    store.pin(splits)
    for split in (*splits, splits[3]):
        count = store.begin_attempt(split)
    assert count == 2
    store.end_attempt(splits[3])
    assert store.attempts("lines") == {"settled": 1, "unpinned": 1, "replaced": 1, "kept": 1}
    store.settle(splits[0], Receipt("settled", "lines", 0, 0, {}), [], [])
    store.unpin([splits[1]])
    parts = [lines_split("x"), lines_split("y")]
    store.replace_pins(splits[2], parts)
    assert store.pinned("lines") == [splits[3], *parts]
    assert store.attempts("lines") == {"kept": 1}
    store.reset("lines")
    assert store.attempts("lines") == {}


def test_a_group_of_one_replaces_itself(store: MemoryCheckpoints | SqliteCheckpoints) -> None:
    """Its pin stays."""
    only = split_of([S3Object("b", "k", 1, "e", 0.0)], source="lines", scope="scope", logs="lines")
    store.pin([only])
    store.replace_pins(only, [only])
    assert store.pinned("lines") == [only]


def test_an_attempt_is_there_when_the_process_is_killed(tmp_path: Path) -> None:
    """A second connection sees it at once, although nothing waited for the disk; commits wait for it as ever."""
    store = SqliteCheckpoints(tmp_path / "c.sqlite")
    store.begin_attempt(lines_split("a"))
    looker = SqliteCheckpoints(tmp_path / "c.sqlite", read_only=True)
    assert looker.attempts("lines") == {"a": 1}
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    looker.close()
    store.close()


@pytest.mark.parametrize("version", range(1, VERSION))
def test_an_older_state_is_opened(tmp_path: Path, version: int) -> None:
    """Every version that was released, 0.1.0's among them, with its pins, which have no attempts."""
    import sqlite3

    path, split = tmp_path / "c.sqlite", lines_split("a")
    SqliteCheckpoints(path).close()
    with_pin = SqliteCheckpoints(path)
    with_pin.pin([split])
    row = with_pin._connection.execute("SELECT * FROM pins").fetchone()
    with_pin.close()
    path.unlink()
    connection = sqlite3.connect(path)
    for script in _MIGRATIONS[:version]:
        connection.executescript(script)
    connection.execute("INSERT INTO pins VALUES (?, ?, ?, ?, ?, ?)", row)
    connection.commit()
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    store = SqliteCheckpoints(path)
    assert store.pinned("lines") == [split]
    assert store.attempts("lines") == {}
    assert store.begin_attempt(split) == 1
    store.close()


class SlowFormat(LinesFormat):
    """Takes its time over a line `stuck`, until it is let go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.let_go = threading.Event()

    def records(self, payload: Payload) -> Iterator[Record | Rejected]:
        for record in super().records(payload):
            if record.raw == b"stuck":
                self.reached.set()
                self.let_go.wait(60)
            yield record


def test_a_worker_within_one_record_for_minutes_is_unhealthy() -> None:
    """`/healthz` says 503 until it moves on, and the log names the object; splits beside it are shipped meanwhile."""
    turned = TurnedClock(0.0)
    format_, sink, stop, metrics = SlowFormat(), MemorySink(), HastyStop(), Metrics()
    shipper = Shipper(
        formats={"lines": format_},
        routes={
            "lines": Route(LinesReader({"a": b"1\nstuck\n2", "b": b"3"}), (Lane({"lines": LinesSchema()}, (sink,)),))
        },
        dead_letters=MemoryDeadLetters(),
        metrics=metrics,
        stop=stop,
        patience=Patience(0),
        progress=Progress(turned),
    )
    source = QueueSource("lines", [lines_split("a"), lines_split("b")])
    pipeline = service.Pipeline(
        sources=[source],
        sinks={"memory": sink},
        ship=shipper.ship,
        store=MemoryCheckpoints(),
        dead_letters=MemoryDeadLetters(),
        metrics=metrics,
        stop=stop,
        patience=Patience(0),
        threads=2,
        in_flight_bytes=10**9,
        grace_seconds=5,
        listen=("127.0.0.1", 0),
        progress=shipper.progress,
    )
    running = service._Service(pipeline, once=True, on_receipt=lambda _: None)
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        assert format_.reached.wait(30)
        assert running._alive()
        turned.now += STUCK_SECONDS + 1
        assert not running._alive()
        assert [work.where for work in shipper.progress.stuck()] == ["s3://bucket/a"]
    finally:
        format_.let_go.set()
        thread.join(30)
    assert not shipper.progress.stuck()
    assert len(sink.stored) == 4


def test_waiting_for_others_is_not_standing_still() -> None:
    """A sink that is away for a day, or a bucket that is slow, makes no worker look stuck."""
    turned = TurnedClock(0.0)
    progress = Progress(turned)

    class DistantSink(MemorySink):
        """Answers after a day."""

        def take(self, documents: Sequence[Document]) -> SendResult:
            turned.now += 86_400
            assert not progress.stuck()
            return super().take(documents)

    class DistantReader(LinesReader):
        """Has each object, and each piece of it, after a day."""

        def open(self, split: Split) -> Iterator[Payload | tuple[S3Object, Exception]]:
            for payload in super().open(split):
                turned.now += 86_400
                assert not progress.stuck()
                if isinstance(payload, Payload):
                    payload.chunks = self._late(payload.chunks)
                yield payload

        def _late(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
            for chunk in chunks:
                turned.now += 86_400
                assert not progress.stuck()
                yield chunk

    sink = DistantSink()
    shipper = Shipper(
        formats={"lines": LinesFormat()},
        routes={"lines": Route(DistantReader({"a": b"1\n2", "b": b"3"}), (Lane({"lines": LinesSchema()}, (sink,)),))},
        dead_letters=MemoryDeadLetters(),
        metrics=Metrics(),
        stop=HastyStop(),
        patience=Patience(0),
        progress=progress,
    )
    assert shipper.ship(lines_split("a", "b")).sinks["memory"].delivered == 3
    assert turned.now >= 5 * 86_400
