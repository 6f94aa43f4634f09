"""What every sink guarantees to delivery, whichever it is. To add a sink: a factory in `sinks/`, a line here."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shipper.errors import RetryableError
from shipper.model import Document, SendResult
from tests.contract.sinks import SinkCase, SinkFactory, archive, elasticsearch, split, splunk_hec

FACTORIES: dict[str, SinkFactory] = {
    "elasticsearch-fake": elasticsearch.fake,
    "elasticsearch-9": elasticsearch.real9,
    "elasticsearch-8": elasticsearch.real8,
    "opensearch-2": elasticsearch.opensearch,
    "splunk-hec": splunk_hec.received,
    "splunk-hec-acks": splunk_hec.acknowledged,
    "splunk-hec-whole-batches": splunk_hec.whole_batches,
    "archive": archive.folder,
}


@pytest.fixture(params=FACTORIES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SinkCase]:
    """Each sink in turn, prepared."""
    for made in FACTORIES[request.param](request, tmp_path):
        made.sink.prepare()
        yield made


def deliver(case: SinkCase, documents: list[Document], name: str = "one") -> SendResult:
    delivery = case.sink.open(split(name))
    result = delivery.send(documents)
    delivery.finish()
    return result


def test_what_is_acknowledged_is_stored(case):
    """After finish, each document that was counted as delivered is stored exactly once."""
    documents = [case.document(n) for n in range(100)]
    result = deliver(case, documents)
    assert (result.delivered, result.present, result.rejected, result.retry) == (100, 0, (), ())
    assert case.stored() == {d.id: 1 for d in documents}


def test_sending_again_stores_nothing_twice(case):
    """A split that is shipped again, as after a crash, leaves each document stored once."""
    documents = [case.document(n) for n in range(10)]
    deliver(case, documents)
    again = deliver(case, documents)
    assert again.delivered + again.present == 10
    if case.deduplicates:
        assert case.stored() == {d.id: 1 for d in documents}
    else:
        assert set(case.stored()) == {d.id for d in documents}


def test_a_refused_document_is_named_by_position_and_leaves_its_neighbours_alone(case):
    """The refusal carries the position, a reason and the server's words; all others are stored."""
    if case.poison is None:
        return
    documents = [case.document(0), case.document(1), case.poison(2), case.document(3)]
    result = deliver(case, documents)
    assert result.delivered == 3
    assert [r.position for r in result.rejected] == [2]
    assert result.rejected[0].reason
    assert result.rejected[0].answer
    assert set(case.stored()) == {documents[i].id for i in (0, 1, 3)}


def test_an_outage_is_an_error_to_try_again_and_loses_nothing(case):
    """While the server does not answer, send raises RetryableError; the same delivery works afterwards."""
    if case.outage is None:
        return
    documents = [case.document(n) for n in range(5)]
    delivery = case.sink.open(split())
    with case.outage(), pytest.raises(RetryableError):
        delivery.send(documents)
    delivery.send(documents)
    delivery.finish()
    assert set(case.stored()) == {d.id for d in documents}


def test_an_abandoned_delivery_does_not_hinder_the_next(case):
    """After abandon, the same split is delivered as if for the first time."""
    documents = [case.document(n) for n in range(5)]
    delivery = case.sink.open(split())
    delivery.send(documents)
    delivery.abandon()
    deliver(case, documents)
    assert set(case.stored()) == {d.id for d in documents}


def test_deliveries_of_many_threads_do_not_mix(case):
    """Splits that are sent at the same time from many threads are all stored, each document once."""
    batches = [[case.document(1000 * t + n) for n in range(50)] for t in range(8)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda t: deliver(case, batches[t], f"split-{t}"), range(8)))
    assert sum(r.delivered for r in results) == 400
    assert case.stored() == {d.id: 1 for batch in batches for d in batch}


def test_a_healthy_sink_has_no_problems(case):
    """`shipper check` finds nothing wrong where nothing is; it may remark on what success means."""
    assert [problem for problem in case.sink.problems() if problem.serious] == []


def test_problems_are_told_and_never_raised(case):
    """`shipper check` against a server that does not answer names the sink and says what to do."""
    if case.outage is None:
        return
    with case.outage():
        problems = list(case.sink.problems())
    assert problems
    assert all(p.where and p.what and p.hint for p in problems)
