"""What the only retry loop guarantees."""

from __future__ import annotations

import pytest
import structlog

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


def refusing(reason="mapper_parsing_exception", hint=""):
    """An answer that refuses the whole batch."""

    def answer(batch):
        return SendResult(0, rejected=tuple(Rejection(n, reason, "no", hint=hint) for n in range(len(batch))))

    return answer


def faulty(batch):
    """An answer that shows a fault of the server's set-up."""
    faults = tuple(Rejection(n, "validation_exception", "no shards", hint="add a node") for n in range(len(batch)))
    return SendResult(0, retry=tuple(range(len(batch))), retry_reason="no shards", paused=True, faults=faults)


def test_a_fault_of_the_set_up_waits_at_any_size_and_is_said_with_count_and_hint():
    """Even one document: the server's own words tell; once it is mended it is delivered."""
    bench = Bench(pace=Pace(0.5))
    bench.sink.script = [faulty, faulty]
    with structlog.testing.capture_logs() as lines:
        bench.outlet.send(documents(1))
    assert (bench.outlet.tally.delivered, bench.letters.letters) == (1, [])
    refusal = lines[0]
    assert (refusal["log_level"], refusal["documents"], refusal["of"]) == ("error", 1, 1)
    assert (refusal["why"], refusal["hint"], refusal["reason"]) == ("no shards", "add a node", "validation_exception")
    assert lines[-1]["event"] == "sink takes documents again"


def test_where_nothing_may_wait_faults_of_the_set_up_are_dead_letters_too():
    """`pause_above_refused_share: 1`, and a replay of dead letters, which keeps them with the newest words."""
    bench = Bench(pace=Pace(1.0))
    bench.sink.script = [faulty]
    bench.outlet.send(documents(3))
    assert [(letter.reason, letter.answer) for letter in bench.letters.letters] == [
        ("validation_exception", "no shards")
    ] * 3
    assert (bench.outlet.tally.accounted, bench.stop.waits) == (3, [])


def test_small_batches_refused_alike_wait_as_soon_as_they_are_a_run():
    """Over time and over splits: what came before it was known is dead letters, and nothing after that is."""
    pace = Pace(0.5)
    benches = [Bench(pace=pace) for _ in range(5)]
    for bench in benches:
        bench.sink.script = [refusing()] * (3 if bench is benches[-1] else 1)
        bench.outlet.send(documents(10))
    assert [len(bench.letters.letters) for bench in benches] == [10, 10, 10, 10, 0]
    assert [bench.outlet.tally.delivered for bench in benches] == [0, 0, 0, 0, 10]


def test_what_was_held_is_never_a_dead_letter_while_the_fault_lasts():
    """Not though a part of the batch went through at first, nor because fewer than fifty are left of it."""
    bench = Bench(pace=Pace(0.5))
    refused = tuple(Rejection(n, "mapper_parsing_exception", "no") for n in range(60))
    part = refused[:30]
    bench.sink.script = [
        lambda batch: SendResult(delivered=40, rejected=refused),
        lambda batch: SendResult(delivered=0, rejected=part, retry=tuple(range(30, 60)), retry_reason="429"),
        refusing(),
        refusing(),
    ]
    with structlog.testing.capture_logs() as lines:
        bench.outlet.send(documents(100))
    assert bench.letters.letters == []
    assert (bench.outlet.tally.delivered, bench.outlet.tally.accounted) == (100, 100)
    assert [line["documents"] for line in lines if "documents" in line][:2] == [60, 30]


def test_after_the_mend_a_bad_document_is_a_dead_letter_by_itself():
    """What waited is delivered; the one that the mended server still refuses is its own fault."""
    bench = Bench(pace=Pace(0.5))

    def one(batch):
        bench.sink.store(batch[1:])
        return SendResult(delivered=len(batch) - 1, rejected=(Rejection(0, "mapper_parsing_exception", "bad date"),))

    bench.sink.script = [refusing(), refusing(), one]
    bench.outlet.send(documents(60))
    assert [letter.document_id for letter in bench.letters.letters] == ["id0"]
    assert (bench.outlet.tally.delivered, bench.outlet.tally.dead_lettered) == (59, 1)


def test_a_long_wait_is_said_again_and_again_at_growing_intervals():
    """The first, second, fourth, eighth … attempt: neither silence nor a line for each."""
    bench = Bench(pace=Pace(0.5))
    bench.sink.script = [refusing()] * 40
    with structlog.testing.capture_logs() as lines:
        bench.outlet.send(documents(60))
    assert [line["attempts"] for line in lines if "attempts" in line] == [1, 2, 4, 8, 16, 32]
    assert all(line["why"] == "no" and line["hint"] for line in lines if "attempts" in line)
    assert bench.stop.waits[:3] == sorted(bench.stop.waits[:3])


def test_a_pause_of_one_split_is_not_hidden_by_what_another_delivers():
    """The gauge of the sink is 1 until the last outlet that waits goes on."""
    pace = Pace(0.5)
    waiting, other = Bench(pace=pace), Bench(pace=pace)
    other.outlet._metrics = waiting.metrics
    seen = []

    def look(batch):
        other.outlet.send(documents(2))
        seen.append(waiting.metrics.registry.get_sample_value("shipper_sink_paused", {"sink": "memory"}))
        return waiting.sink.store(batch)

    waiting.sink.script = [faulty, look]
    waiting.outlet.send(documents(1))
    assert seen == [1.0]
    assert waiting.metrics.registry.get_sample_value("shipper_sink_paused", {"sink": "memory"}) == 0.0
