"""What `ship` guarantees: every record of a split has one known end for each sink."""

from __future__ import annotations

import pytest

from shipper.delivery import Patience
from shipper.errors import RetryableError, UnreadableError
from shipper.metrics import Metrics
from shipper.model import Rejection, SendResult
from shipper.ports import Redact
from shipper.redaction import Redactor, Rule
from shipper.shipping import Lane, Route, Shipper
from tests.fakes.pipeline import (
    HastyStop,
    LinesFormat,
    LinesReader,
    LinesSchema,
    MemoryDeadLetters,
    MemorySink,
    lines_split,
)


class Bench:
    """A shipper over fakes with two sinks in one lane and a third in another."""

    def __init__(
        self, contents: dict[str, bytes | Exception], batch_documents: int = 1000, redact: Redact | None = None
    ) -> None:
        self.sinks = [MemorySink(name, batch_documents=batch_documents) for name in ("a", "b", "c")]
        self.letters = MemoryDeadLetters()
        lanes = (
            Lane({"lines": LinesSchema()}, tuple(self.sinks[:2])),
            Lane({"lines": LinesSchema()}, tuple(self.sinks[2:])),
        )
        self.shipper = Shipper(
            formats={"lines": LinesFormat()},
            routes={"lines": Route(LinesReader(contents), lanes)},
            dead_letters=self.letters,
            metrics=Metrics(),
            stop=HastyStop(),
            patience=Patience(0.0),
            redact=redact,
        )


def test_every_record_is_accounted_for_in_every_sink():
    """Records read are delivered, present, filtered or dead-lettered, whatever they are."""
    bench = Bench({"one": b"good\n!undecodable\n?unmappable\n-filtered\nalso good"})
    receipt = bench.shipper.ship(lines_split("one"))
    assert receipt.read == 5
    assert receipt.unaccounted == 0
    for sink in "abc":
        tally = receipt.sinks[sink]
        assert (tally.delivered, tally.filtered, tally.dead_lettered) == (2, 1, 2)
    assert receipt.newest_ms == 5


def test_an_undecodable_record_is_one_letter_and_an_unmappable_one_a_letter_for_each_sink():
    """What no sink could take is kept once; what one schema refuses is kept for its sinks."""
    bench = Bench({"one": b"!undecodable\n?unmappable"})
    bench.shipper.ship(lines_split("one"))
    assert sorted((x.reason, x.sink) for x in bench.letters.letters) == [
        ("undecodable", ""),
        ("unmappable", "a"),
        ("unmappable", "b"),
        ("unmappable", "c"),
    ]


def test_what_is_redacted_reaches_neither_sinks_nor_dead_letters():
    """Delivered, refused, undecodable and unmappable records alike are seen without it."""
    redact = Redactor([Rule(pattern="email")], secrets=True, count=lambda *_: None)
    content = b'{"password":"hunter2"} a@b.example'
    bench = Bench({"one": b"\n".join([content, b"!" + content, b"?" + content, b"refused " + content])}, redact=redact)
    bench.sinks[2].script = [lambda batch: SendResult(delivered=1, rejected=(Rejection(1, "why", ""),))]
    receipt = bench.shipper.ship(lines_split("one"))
    assert receipt.unaccounted == 0
    kept = [body for sink in bench.sinks for body in sink.stored.values()]
    payloads = [letter.payload for letter in bench.letters.letters]
    assert (len(kept), len(payloads)) == (4, 5)
    for text in kept + payloads:
        assert text.removeprefix(b"refused ").strip(b"!?") == b'{"password":"[redacted]"} [redacted]'


def test_an_object_unreadable_in_its_midst_keeps_what_came_before_and_its_neighbours():
    """The object is a dead letter as a whole; the records before it and the next object are delivered."""
    bench = Bench({"bad": b"before\n#\nafter", "good": b"fine"})
    receipt = bench.shipper.ship(lines_split("bad", "good"))
    assert receipt.sinks["a"].delivered == 2
    assert receipt.unaccounted == 0
    (letter,) = bench.letters.letters
    assert (letter.position, letter.reason, letter.origin.key) == (None, "unreadable_object", "bad")


def test_an_object_that_cannot_be_opened_is_left_out_and_named():
    """The rest of the split is settled without it."""
    bench = Bench({"gone": UnreadableError("NoSuchKey", "missing"), "good": b"fine"})
    receipt = bench.shipper.ship(lines_split("gone", "good"))
    assert [(u.object.key, u.kind) for u in receipt.unread] == [("gone", "missing")]
    assert receipt.read == 1


def test_a_failing_sink_gives_the_whole_split_back():
    """Nothing is settled, every delivery is abandoned, and shipping again finds what had arrived."""
    bench = Bench({"one": b"x\ny"})
    bench.sinks[1].script = [RetryableError("down")]
    with pytest.raises(RetryableError, match="down"):
        bench.shipper.ship(lines_split("one"))
    assert [sink.abandoned for sink in bench.sinks] == [["one"]] * 3
    receipt = bench.shipper.ship(lines_split("one"))
    assert receipt.sinks["a"].present == 2
    assert receipt.sinks["b"].delivered == 2
    assert receipt.unaccounted == 0


def test_batches_keep_within_the_smallest_limit_of_the_lane():
    """A lane's batches suit all of its sinks."""
    bench = Bench({"one": b"\n".join(b"%d" % n for n in range(10))}, batch_documents=4)
    bench.shipper.ship(lines_split("one"))
    assert [len(batch) for batch in bench.sinks[0].batches] == [4, 4, 2]


def test_gaps_in_the_capture_are_counted_and_shipped() -> None:
    """A record that tells of a gap is delivered like any other; receipt and metric say how many there were."""
    metrics, sink = Metrics(), MemorySink()
    shipper = Shipper(
        formats={"lines": LinesFormat()},
        routes={
            "lines": Route(
                LinesReader({"a": b"1 OK\n2 SKIPDATA\n3 SKIPDATA"}), (Lane({"lines": LinesSchema()}, (sink,)),)
            )
        },
        dead_letters=MemoryDeadLetters(),
        metrics=metrics,
        stop=HastyStop(),
        patience=Patience(None),
        gap_marks={"lines": b"SKIPDATA"},
    )
    receipt = shipper.ship(lines_split("a"))
    metrics.settled(receipt)
    assert (receipt.gaps, len(sink.stored)) == (2, 3)
    assert metrics.registry.get_sample_value("shipper_capture_gaps_total", {"source": "lines"}) == 2


def test_what_is_unaccounted_for_is_told_from_the_start() -> None:
    """Each source has its 0 before anything is shipped: an alarm can tell that from silence."""
    metrics = Metrics()
    routes = {name: Route(LinesReader({}), (Lane({"lines": LinesSchema()}, (MemorySink(),)),)) for name in ("a", "b")}
    Shipper(
        formats={"lines": LinesFormat()},
        routes=routes,
        dead_letters=MemoryDeadLetters(),
        metrics=metrics,
        stop=HastyStop(),
        patience=Patience(None),
    )
    told = [
        metrics.registry.get_sample_value("shipper_unaccounted_events", {"source": name}) for name in ("a", "b", "c")
    ]
    assert told == [0, 0, None]
