"""What the process around the pipeline guarantees, over in-memory parts."""

from __future__ import annotations

import pytest

from shipper import service
from shipper.delivery import Patience
from shipper.errors import FatalError, RetryableError
from shipper.metrics import Metrics
from shipper.model import Receipt
from shipper.shipping import Lane, Route, Shipper
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


class Closable:
    """A checkpoint store that is only closed here."""

    closed = False

    def close(self) -> None:
        self.closed = True


def pipeline(sink, contents, *, threads=2):
    stop, metrics, letters = HastyStop(), Metrics(), MemoryDeadLetters()
    shipper = Shipper(
        formats={"lines": LinesFormat()},
        routes={"lines": Route(LinesReader(contents), (Lane({"lines": LinesSchema()}, (sink,)),))},
        dead_letters=letters,
        metrics=metrics,
        stop=stop,
        patience=Patience(5.0),
    )
    return service.Pipeline(
        sources=[QueueSource("lines", [lines_split(key) for key in contents])],
        sinks={sink.name: sink},
        ship=shipper.ship,
        store=Closable(),  # type: ignore[arg-type]  # the service does nothing but close it
        dead_letters=letters,
        metrics=metrics,
        stop=stop,
        patience=Patience(0.0),
        threads=threads,
        in_flight_bytes=10**9,
        grace_seconds=5,
        listen=None,
    )


def test_once_ships_all_and_tells_what_it_did():
    """The summary adds up, for people and for machines."""
    sink = MemorySink()
    told: list[Receipt] = []
    done = service.run(pipeline(sink, {"one": b"a\nb\n!c", "two": b"d\n-e"}), once=True, on_receipt=told.append)
    assert done.ok
    assert len(told) == 2
    assert done.as_json()["sources"]["lines"] == {
        "read": 5,
        "sinks": {
            "memory": {"delivered": 3, "present": 0, "filtered": 1, "dead_lettered": 1, "repaired": 0, "bytes": 3}
        },
    }
    assert done.lines() == [
        "lines → memory: 5 read = 3 delivered + 0 already there + 1 filtered + 1 dead-lettered",
        f"2 splits in {done.seconds:.1f} s: all delivered or dead-lettered",
    ]


def test_once_says_so_when_not_all_was_delivered():
    """A sink that stays down ends the run as not ok; what was not delivered is not settled."""
    sink = MemorySink()
    sink.script = [RetryableError("down")] * 1000
    parts = pipeline(sink, {"one": b"a"})
    done = service.run(parts, once=True)
    assert not done.ok
    assert done.lines()[0] == "nothing was settled; the log above says why"
    assert parts.sources[0].complete() is False


def test_a_sink_that_is_not_there_at_the_start_ends_once_as_failed():
    """Nothing is read before the sinks are ready."""

    class Late(MemorySink):
        def prepare(self) -> None:
            raise RetryableError("connection refused")

    parts = pipeline(Late(), {"one": b"a"})
    assert not service.run(parts, once=True).ok


def test_a_fatal_error_is_raised_to_the_command_line():
    """One source's thread ends all, and its error is the process's."""
    sink = MemorySink()
    sink.script = [FatalError("disk gone")]
    with pytest.raises(FatalError, match="disk gone"):
        service.run(pipeline(sink, {"one": b"a"}), once=True)


def test_close_gives_everything_back():
    """Locks and connections are released."""
    parts = pipeline(MemorySink(), {})
    parts.close()
    assert parts.store.closed
