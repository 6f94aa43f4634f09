"""Every fault of a bulk server, alone and all together: what was sent is there once, and poison is a dead letter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from shipper.errors import RetryableError
from shipper.model import Document, SendResult
from shipper.sinks.elasticsearch import ElasticsearchSink
from shipper.sinks.elasticsearch_bulk import bulk_body, read_answer
from tests.fakes.elasticsearch import Bulk, FakeElasticsearch, Reply, Step
from tests.torture.campaign import Campaign, seeds
from tests.torture.faults import FAULTS, storm, well

LENGTH = 60


class Server(FakeElasticsearch):
    """Refuses poison also when its script is over."""

    def bulk(self, request: Bulk) -> Reply:
        if not self.script:
            self.script.append(well)
        return super().bulk(request)


def endure(seed: int, names: list[str], kind: type[ElasticsearchSink] = ElasticsearchSink, **options: object) -> None:
    campaign = Campaign(seed)
    with Server() as server:
        steps: list[Step] = storm(campaign.chance, names, LENGTH)
        server.script = steps
        sink = kind("siem", [server.url], request_timeout_seconds=5, batch_documents=64, **options)  # type: ignore[arg-type] # options of tests
        try:
            campaign.run(sink)
        finally:
            sink.close()
        stored: Counter[str] = Counter()
        for _, id_ in server.stored:
            stored[id_] += 1
        campaign.judge(stored)
        assert max(server.writes.values()) == 1


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_alone(fault, seed):
    """Nothing lost, nothing doubled, only poison dead-lettered."""
    endure(seed, [fault])


@pytest.mark.parametrize("strict", [False, True], ids=["data_stream", "strict"])
@pytest.mark.parametrize("seed", seeds(3))
def test_all_faults_together(seed, strict):
    """In both modes."""
    endure(seed, list(FAULTS), strict=strict)


class TooLargeIsDone(ElasticsearchSink):
    """Takes 413 for an acknowledgement."""

    def _attempt(self, documents: Sequence[Document]) -> SendResult:
        answer = self._post(bulk_body(documents), require_data_stream=False)
        if answer.status == 413:
            return SendResult(delivered=len(documents))
        return read_answer(answer, documents, 0).result


class TrustsTheStatus(ElasticsearchSink):
    """Takes HTTP 200 for all that was sent, and counts no items."""

    def _attempt(self, documents: Sequence[Document]) -> SendResult:
        answer = self._post(bulk_body(documents), require_data_stream=False)
        if answer.status == 200:
            return SendResult(delivered=len(documents))
        return read_answer(answer, documents, 0).result


class MatchesById(ElasticsearchSink):
    """Looks for errors by `_id`; what the answer does not name had none."""

    def _attempt(self, documents: Sequence[Document]) -> SendResult:
        answer = self._post(bulk_body(documents), require_data_stream=False)
        items = answer.json().get("items")
        if items is None:
            return read_answer(answer, documents, 0).result
        failed = {i["create"].get("_id") for i in items if i["create"]["status"] not in (200, 201, 409)}
        again = tuple(n for n, d in enumerate(documents) if d.id in failed)
        if not again:
            return SendResult(delivered=len(documents))
        return read_answer(answer, documents, 0).result


class DropsTheUnparsable(ElasticsearchSink):
    """Acknowledges a batch whose answer cannot be parsed."""

    def _attempt(self, documents: Sequence[Document]) -> SendResult:
        answer = self._post(bulk_body(documents), require_data_stream=False)
        try:
            return read_answer(answer, documents, 0).result
        except RetryableError:
            if answer.status != 200:
                raise
            return SendResult(delivered=len(documents))


@pytest.mark.parametrize(
    ("mutant", "fault"),
    [
        (TooLargeIsDone, "413"),
        (TrustsTheStatus, "429 for documents"),
        (TrustsTheStatus, "items missing, nothing stored"),
        (MatchesById, "items missing, nothing stored"),
        (DropsTheUnparsable, "a page with 200"),
    ],
)
def test_what_peers_do_wrong_is_found_out(mutant, fault):
    """Each deliberate fault of our own makes the judgement fail, so that the judgement is one."""
    with pytest.raises(AssertionError, match=r"lost|dead letters are not"):
        endure(1, [fault], mutant)
