"""Faults of a server's set-up, made on real servers: single documents wait, and are stored once the fault is mended."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import structlog

from shipper.delivery import Outlet, Patience
from shipper.metrics import Metrics
from shipper.pace import Pace
from shipper.ports import Stop
from shipper.sinks.elasticsearch import ElasticsearchSink
from tests.contract.sinks import split
from tests.contract.sinks.elasticsearch import document
from tests.fakes.pipeline import MemoryDeadLetters
from tests.parts.search_server import SearchServer

SERVERS = ["elasticsearch9", "elasticsearch8", "opensearch"]


@dataclass
class Place:
    """A namespace of its own on a shared server."""

    server: SearchServer
    strict: bool = False

    def __post_init__(self) -> None:
        self.namespace = uuid.uuid4().hex[:8]
        self.stream = f"logs-aws.cloudtrail-{self.namespace}"
        self.index = f"shipper-aws.cloudtrail-{self.namespace}-2026.01.01"
        self.sink = ElasticsearchSink("siem", [self.server.url], namespace=self.namespace, strict=self.strict)
        self.sink.prepare()

    def ask(self, method: str, path: str, body: object = None) -> None:
        answer = self.server.request(method, path, body)
        assert answer.status == 200, answer

    def count(self) -> int:
        return len(self.server.documents(self.index if self.strict else self.stream))


class MendingStop(Stop):
    """Whoever waits for the second time has the fault mended; the waits take no time."""

    def __init__(self, mend: Callable[[], None]) -> None:
        super().__init__()
        self.waits = 0
        self._mend = mend

    def wait(self, seconds: float) -> None:
        self.waits += 1
        if self.waits == 2:
            self._mend()
        super().wait(0)


def _shard_limit(place: Place) -> Callable[[], None]:
    def limit(value: int | None) -> None:
        place.ask("PUT", "_cluster/settings", {"persistent": {"cluster.max_shards_per_node": value}})

    limit(1)
    return lambda: limit(None)


def _pipeline(kind: str) -> Callable[[Place], Callable[[], None]]:
    def break_(place: Place) -> Callable[[], None]:
        _deliver(place, [0])
        place.ask("PUT", f"{place.stream}/_settings", {"index": {kind: "nosuch"}})
        return lambda: place.ask("PUT", f"{place.stream}/_settings", {"index": {kind: None}})

    return break_


def _alias(place: Place) -> Callable[[], None]:
    """Two indices under the data stream's name; one alone would be written to where it need not be a data stream."""
    indices = [f"other-{place.namespace}-{number}" for number in range(2)]
    for index in indices:
        place.ask("PUT", index, {"aliases": {place.stream: {}}})
    return lambda: place.ask("DELETE", ",".join(indices))


def _closed(place: Place) -> Callable[[], None]:
    place.ask("PUT", place.index)
    place.ask("POST", f"{place.index}/_close")
    return lambda: place.ask("POST", f"{place.index}/_open")


def _routing(place: Place) -> Callable[[], None]:
    place.ask("PUT", place.index, {"mappings": {"_routing": {"required": True}}})
    return lambda: place.ask("DELETE", place.index)


def _template(place: Place) -> Callable[[], None]:
    name = f"_index_template/broken-{place.namespace}"
    body = {
        "index_patterns": [f"{place.index}*"],
        "priority": 900,
        "template": {"settings": {"index.sort.field": "nosuch"}},
    }
    place.ask("PUT", name, body)
    return lambda: place.ask("DELETE", name)


FAULTS = {
    "shard limit": (_shard_limit, False, "this action would add"),
    "shard limit, strict": (_shard_limit, True, "this action would add"),
    "default pipeline": (_pipeline("default_pipeline"), False, "pipeline with id [nosuch] does not exist"),
    "final pipeline": (_pipeline("final_pipeline"), False, "pipeline with id [nosuch] does not exist"),
    "alias in the place": (_alias, False, "alias|not a data stream"),
    "closed index": (_closed, True, "index_closed_exception"),
    "routing": (_routing, True, "routing is required"),
    "broken template": (_template, True, "unknown index sort field"),
}


def _outlet(place: Place, letters: MemoryDeadLetters, stop: Stop | None = None) -> Outlet:
    return Outlet(
        "siem",
        place.sink.open(split()),
        split(),
        dead_letters=letters,
        metrics=Metrics(),
        stop=stop or Stop(),
        patience=Patience(),
        pace=Pace(0.5),
    )


def _deliver(place: Place, numbers: list[int], stop: Stop | None = None) -> tuple[Outlet, MemoryDeadLetters]:
    letters = MemoryDeadLetters()
    outlet = _outlet(place, letters, stop)
    outlet.send([document(number, place.namespace) for number in numbers])
    return outlet, letters


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[SearchServer]:
    """Each kind of server; whatever a test leaves of its limits is taken back."""
    running: SearchServer = request.getfixturevalue(request.param)
    yield running
    running.request("PUT", "_cluster/settings", {"persistent": {"cluster.max_shards_per_node": None}})


@pytest.mark.parametrize("fault", FAULTS)
def test_one_document_waits_for_a_person_and_is_stored_after_the_mend(server, fault):
    """No dead letter and no loss, however small the batch; the log has the server's words."""
    break_, strict, words = FAULTS[fault]
    place = Place(server, strict)
    mend = break_(place)
    stop = MendingStop(mend)
    before = place.count() if "pipeline" in fault else 0
    with structlog.testing.capture_logs() as lines:
        outlet, letters = _deliver(place, [7], stop)
    assert (outlet.tally.delivered, letters.letters, stop.waits) == (1, [], 2)
    assert place.count() == before + 1
    assert lines[0]["log_level"] == "error"
    assert any(word in lines[0]["why"] for word in words.split("|")), lines
    place.sink.close()


def test_a_documents_own_fault_is_a_dead_letter_at_once(server):
    """Among those that are stored: nothing waits."""
    place = Place(server)
    letters = MemoryDeadLetters()
    outlet = _outlet(place, letters)
    outlet.send([document(0, place.namespace), document(1, place.namespace, source="text")])
    assert (outlet.tally.delivered, outlet.tally.dead_lettered) == (1, 1)
    assert "source" in letters.letters[0].answer
    place.sink.close()
