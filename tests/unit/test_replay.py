"""Dead letters sent again: same ids, same sink, removed only when they got through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shipper.deadletters.sqlite import SqliteDeadLetters, Wanted
from shipper.delivery import Patience
from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.model import DeadLetter, Origin, Rejection, SendResult
from shipper.replay import Replay, Replayed
from tests.fakes.pipeline import HastyStop, MemorySink


def letter(number: int, **more: object) -> DeadLetter:
    made = DeadLetter(
        source="trail",
        sink="memory",
        split_id="split",
        logs="cloudtrail",
        origin=Origin("s3://bucket/key"),
        position=number,
        reason="mapper_parsing_exception",
        answer="no",
        payload=b"raw%d" % number,
        document_id=f"id{number}",
        document=b'{"n":%d}' % number,
        index="logs-x",
        time_ms=number,
    )
    return replace(made, **more)  # type: ignore[arg-type] # options of tests


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteDeadLetters]:
    """A real store."""
    made = SqliteDeadLetters(tmp_path / "dead.sqlite", 10_000_000)
    yield made
    made.close()


def replayed(store: SqliteDeadLetters, sink: MemorySink, patience: float | None = None) -> Replayed:
    again = Replay({sink.name: sink}, store, Metrics(), stop=HastyStop(), patience=Patience(patience))
    return again.run(store.letters())


def test_what_gets_through_is_removed_and_has_its_own_id_and_document(store):
    """The sink gets the document as it was refused; what it had already is removed as well."""
    sink = MemorySink()
    sink.stored["id1"] = b'{"n":1}'
    store.put([letter(n) for n in range(3)])
    account = replayed(store, sink)
    assert (account.delivered, account.present, account.kept) == (2, 1, 0)
    assert sink.stored == {f"id{n}": b'{"n":%d}' % n for n in range(3)}
    assert store.count() == 0
    assert sink.finished == ["split"]


def test_what_is_refused_again_stays_with_the_newest_words(store):
    """The letter keeps its number."""
    sink = MemorySink()
    store.put([letter(n) for n in range(3)])
    before = [x.id for x in store.letters()]
    sink.script = [lambda batch: SendResult(delivered=2, rejected=(Rejection(1, "mapper", "still no"),))]
    account = replayed(store, sink)
    assert (account.delivered, account.refused) == (2, 1)
    (left,) = store.letters()
    assert (left.id, left.answer, left.document) == (before[1], "still no", b'{"n":1}')


def test_letters_without_document_or_sink_are_kept_and_counted(store):
    """Nothing is removed that was not sent."""
    store.put([letter(1, document=b"", document_id=""), letter(2, sink="gone"), letter(3)])
    account = replayed(store, MemorySink())
    assert (account.delivered, account.no_document, account.no_sink) == (1, 1, 1)
    assert [x.position for x in store.letters()] == [1, 2]


def test_a_sink_that_is_away_costs_no_letter(store):
    """Its error is raised when the patience is over; the delivery is abandoned."""
    sink = MemorySink()
    sink.script = [RetryableError("no route")]
    store.put([letter(1)])
    with pytest.raises(RetryableError, match="no route"):
        replayed(store, sink, patience=0.0)
    assert store.count() == 1
    assert sink.abandoned == ["split"]


def test_a_crash_before_the_removal_doubles_nothing(store):
    """The sink has it, the letter is still there: sent again, it is present."""
    sink = MemorySink()
    store.put([letter(1)])
    replayed(store, sink)
    store.put([letter(1)])
    account = replayed(store, sink)
    assert (account.delivered, account.present, store.count()) == (0, 1, 0)


def test_thousands_go_in_parts_that_suit_the_sink(store):
    """The sink's own limits hold; every letter is sent once."""
    sink = MemorySink(batch_documents=100)
    store.put([letter(n) for n in range(1203)])
    assert replayed(store, sink).delivered == 1203
    assert max(map(len, sink.batches)) == 100
    assert list(store.letters(Wanted())) == []
