"""What the only retry loop guarantees."""

from __future__ import annotations

import pytest

from shipper.delivery import Outlet, Patience
from shipper.errors import RetryableError, Stopped
from shipper.metrics import Metrics
from shipper.model import Document, Origin, Record, Rejection, SendResult
from shipper.pace import Pace
from tests.fakes.pipeline import HastyStop, MemoryDeadLetters, MemorySink, lines_split


def documents(count: int) -> list[Document]:
    return [
        Document(f"id{n}", "logs-lines-test", n, b"{}", Record(b"raw%d" % n, n), Origin("s3://bucket/key"))
        for n in range(count)
    ]


class Bench:
    """An outlet over fakes, with all that a test looks at."""

    def __init__(self, patience: Patience | None = None, pace: Pace | None = None) -> None:
        self.sink = MemorySink()
        self.letters = MemoryDeadLetters()
        self.stop = HastyStop()
        self.metrics = Metrics()
        split = lines_split("key")
        self.outlet = Outlet(
            self.sink.name,
            self.sink.open(split),
            split,
            dead_letters=self.letters,
            metrics=self.metrics,
            stop=self.stop,
            patience=patience or Patience(),
            pace=pace,
        )


def test_ambiguous_attempts_are_sent_again_whole_under_the_same_ids():
    """A reset, a timeout, a busy server: the same documents go again until they are stored."""
    bench = Bench()
    bench.sink.script = [RetryableError("reset"), RetryableError("busy", 7.0)]
    bench.outlet.send(documents(3))
    assert bench.sink.batches == [["id0", "id1", "id2"]] * 3
    assert bench.outlet.tally.delivered == 3
    assert len(bench.stop.waits) == 2
    assert bench.stop.waits[1] >= 7.0


def test_only_the_documents_that_need_it_are_sent_again():
    """Item-level retries keep order and leave the others alone."""
    bench = Bench()
    bench.sink.script = [lambda batch: SendResult(delivered=1, retry=(1, 2), retry_reason="429")]
    bench.outlet.send(documents(3))
    assert bench.sink.batches == [["id0", "id1", "id2"], ["id1", "id2"]]
    assert bench.outlet.tally.delivered == 3


def test_a_request_that_is_too_large_is_halved_down_to_the_document():
    """413 halves at once, without a wait, in order; what fits is delivered."""
    bench = Bench()

    def at_most_one(batch):
        if len(batch) > 1:
            return SendResult(delivered=0, retry=tuple(range(len(batch))), too_large=True)
        return bench.sink.store(batch)

    bench.sink.script = [at_most_one] * 20
    bench.outlet.send(documents(5))
    assert list(bench.sink.stored) == [f"id{n}" for n in range(5)]
    assert bench.outlet.tally.delivered == 5
    assert bench.stop.waits == []


def test_a_rejected_document_is_kept_with_its_reason_and_payload():
    """The letter names sink, split, origin, position and the server's words, and carries the record's own bytes."""
    bench = Bench()
    bench.sink.script = [lambda batch: SendResult(delivered=2, rejected=(Rejection(1, "mapper", "no such field"),))]
    bench.outlet.send(documents(3))
    (letter,) = bench.letters.letters
    assert (letter.document_id, letter.reason, letter.answer) == ("id1", "mapper", "no such field")
    assert (letter.sink, letter.position, letter.payload) == ("memory", 1, b"raw1")
    assert bench.outlet.tally.accounted == 3


def test_nothing_is_accounted_while_the_dead_letter_store_refuses():
    """A full store makes the sink wait; the letter is stored before the document counts."""
    bench = Bench()
    bench.letters.refusals = 2
    bench.sink.script = [lambda batch: SendResult(delivered=0, rejected=(Rejection(0, "mapper", "no"),))]
    bench.outlet.send(documents(1))
    assert len(bench.letters.letters) == 1
    assert len(bench.stop.waits) == 2


def test_patience_ends_for_once_only():
    """With `--once` a dead sink gives the split back; the daemon would wait for ever."""
    bench = Bench(Patience(0.0))
    bench.sink.script = [RetryableError("no route")] * 3
    with pytest.raises(RetryableError, match="no route"):
        bench.outlet.send(documents(1))


def test_the_end_of_the_grace_time_ends_the_waiting():
    """An expired stop raises Stopped out of any wait."""
    bench = Bench()
    bench.sink.script = [RetryableError("no route")] * 3
    bench.stop.expire()
    with pytest.raises(Stopped):
        bench.outlet.send(documents(1))


def test_a_sink_that_loses_count_is_a_bug_and_never_an_acknowledgement():
    """An answer that does not cover every document stops the process."""
    bench = Bench()
    bench.sink.script = [lambda batch: SendResult(delivered=1)]
    with pytest.raises(AssertionError, match="1 of 2"):
        bench.outlet.send(documents(2))


def test_a_paused_sink_is_an_alarm_until_it_takes_documents_again():
    """The gauge `shipper_sink_paused` is 1 exactly while a person has to act."""
    bench = Bench()
    seen = []

    def look(batch):
        seen.append(bench.metrics.registry.get_sample_value("shipper_sink_paused", {"sink": "memory"}))
        return bench.sink.store(batch)

    bench.sink.script = [RetryableError("403", paused=True), look]
    bench.outlet.send(documents(1))
    assert seen == [1.0]
    assert bench.metrics.registry.get_sample_value("shipper_sink_paused", {"sink": "memory"}) == 0.0


def test_a_sink_that_lost_what_it_had_gets_the_whole_split_anew():
    """An archive whose file broke cannot take the batch again: the error ends the split at once, without a wait."""
    bench = Bench()
    bench.sink.script = [RetryableError("disk full", restart=True)]
    with pytest.raises(RetryableError, match="disk full"):
        bench.outlet.send(documents(1))
    assert bench.stop.waits == []


def test_a_busy_server_gets_smaller_batches_until_it_is_well():
    """429 halves what is sent at once; each document still arrives once, and success doubles it again."""
    bench = Bench()
    busy = RetryableError("429", busy=True)
    bench.sink.script = [busy, busy]
    bench.outlet.send(documents(400))
    assert [len(batch) for batch in bench.sink.batches] == [400, 200, 100, 100, 200]
    assert len(bench.sink.stored) == 400
    assert bench.outlet.tally.delivered == 400


def test_a_batch_refused_alike_waits_and_empties_nothing_into_the_dead_letters():
    """A broken mapping pauses the sink with an alarm; once it is mended everything is delivered."""
    bench = Bench(pace=Pace(0.5))
    seen = []

    def refuse(batch):
        refused = tuple(Rejection(n, "mapper_parsing_exception", "no such type") for n in range(90))
        return SendResult(delivered=len(batch) - 90, rejected=refused)

    def look(batch):
        seen.append(bench.metrics.registry.get_sample_value("shipper_sink_paused", {"sink": "memory"}))
        return bench.sink.store(batch)

    bench.sink.script = [refuse, look]
    bench.outlet.send(documents(100))
    assert seen == [1.0]
    assert bench.letters.letters == []
    assert (bench.outlet.tally.delivered, bench.outlet.tally.accounted) == (100, 100)


def test_with_once_a_batch_refused_alike_ends_the_run_with_the_servers_words():
    """Patience ends; the split stays unsettled."""
    bench = Bench(Patience(0.0), Pace(0.5))
    refused = tuple(Rejection(n, "mapper_parsing_exception", "no such type") for n in range(100))
    bench.sink.script = [lambda batch: SendResult(delivered=0, rejected=refused)]
    with pytest.raises(RetryableError, match=r"100 of 100 documents are refused alike.*no such type") as caught:
        bench.outlet.send(documents(100))
    assert caught.value.paused
    assert bench.letters.letters == []


def test_repaired_documents_are_counted_apart():
    """They are an end of their own in the account."""
    bench = Bench()
    bench.sink.script = [lambda batch: SendResult(delivered=1, repaired=2)]
    bench.outlet.send(documents(3))
    assert (bench.outlet.tally.delivered, bench.outlet.tally.repaired, bench.outlet.tally.accounted) == (1, 2, 3)
