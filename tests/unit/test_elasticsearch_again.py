"""Where documents that may be stored already are looked for, and what is not looked for at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.model import Document, Origin, Record, S3Object, S3Split
from shipper.sinks.elasticsearch import ElasticsearchSink
from tests.fakes.backing_indices import Backing, BackingIndices
from tests.fakes.elasticsearch import FakeElasticsearch, Reply, answering

STREAM = "logs-aws.cloudtrail-default"
DAY = 86_400.0
NOW = 1_800_000_000.0


@pytest.fixture
def server() -> Iterator[FakeElasticsearch]:
    """Six backing indices, made a day apart, the last one an hour and a half ago; the search is behind."""
    with FakeElasticsearch() as fake:
        made = [NOW - 5400 - days * DAY for days in range(5, -1, -1)]
        fake.backing = BackingIndices(
            [Backing(f".ds-{STREAM}-{number:06}", moment) for number, moment in enumerate(made, 1)]
        )
        yield fake


def document(name: str, time: float = NOW) -> Document:
    return Document(name, STREAM, int(time * 1000), b'{"a":1}', Record(b"{}", 1), Origin("s3://b/k"))


def ship(server: FakeElasticsearch, *documents: Document, again: bool = True, modified: float = NOW) -> tuple[int, int]:
    """Return how many were delivered and present."""
    sink, metrics = opened(server)
    split = S3Split("s", "trail", "x", "cloudtrail", (S3Object("b", "k", 1, "e", modified),), maybe_shipped=again)
    try:
        result = sink.open(split).send(documents)
    finally:
        sink.close()
    server.not_looked_up = metrics.registry.get_sample_value(  # type: ignore[attr-defined]
        "shipper_events_not_looked_up_total", {"sink": "siem"}
    )
    return result.delivered, result.present


def opened(server: FakeElasticsearch) -> tuple[ElasticsearchSink, Metrics]:
    metrics = Metrics()
    return ElasticsearchSink("siem", [server.url], metrics=metrics, clock=lambda: NOW), metrics


def backing(server: FakeElasticsearch) -> BackingIndices:
    assert server.backing is not None
    return server.backing


def test_live_traffic_is_not_looked_for(server: FakeElasticsearch) -> None:
    """What is shipped for the first time is sent as ever: one request."""
    assert ship(server, document("a"), again=False) == (1, 0)
    assert server.other_requests == []


def test_what_is_in_any_index_is_present(server: FakeElasticsearch) -> None:
    """The oldest by a search, the newest, which no search sees yet, by `_mget`; the rest is sent."""
    indices = backing(server).indices
    indices[0].ids = {"old"}
    indices[5].ids = indices[5].unrefreshed = {"new"}
    documents = [document(name, NOW - 9 * DAY) for name in ("old", "absent", "new")]
    assert ship(server, *documents, modified=NOW - 8 * DAY) == (1, 2)
    assert [id_ for _, id_ in server.stored] == ["absent"]
    assert backing(server).searched == {each.name for each in indices[:4]}


def test_only_indices_of_its_time_are_asked(server: FakeElasticsearch) -> None:
    """An event of yesterday cannot be in an index that was written no more the day before it."""
    ship(server, document("a", NOW - DAY), modified=NOW - DAY)
    assert backing(server).asked == {each.name for each in backing(server).indices[3:]}


def test_an_object_older_than_its_event_reaches_as_far_back(server: FakeElasticsearch) -> None:
    """A line without a time is dated by something later: its object says when it can have been stored."""
    backing(server).indices[0].ids = {"a"}
    assert ship(server, document("a"), modified=NOW - 6 * DAY) == (0, 1)


def test_one_index_tells_by_itself(server: FakeElasticsearch) -> None:
    """`create` answers 409 for what is there."""
    del backing(server).indices[1:]
    assert ship(server, document("a")) == (1, 0)
    assert backing(server).asked == set()


def test_an_index_that_was_rolled_over_just_now_is_not_searched(server: FakeElasticsearch) -> None:
    """Three rollovers within a minute: what was stored before is in no refresh yet."""
    for number, each in enumerate(backing(server).indices[2:]):
        each.made = NOW - 60 + number
    backing(server).indices[1].ids = backing(server).indices[1].unrefreshed = {"a"}
    assert ship(server, document("a")) == (0, 1)


def test_what_may_not_be_looked_for_is_counted(server: FakeElasticsearch) -> None:
    """It is stored all the same, whether the credentials or a closed index keep us from looking."""
    backing(server).indices[0].closed = True
    assert ship(server, document("a", NOW - 9 * DAY), modified=0.0) == (1, 0)
    assert server.not_looked_up == 1  # type: ignore[attr-defined]
    backing(server).forbidden = True
    assert ship(server, document("b"), document("c")) == (2, 0)
    assert server.not_looked_up == 2  # type: ignore[attr-defined]
    sink, _ = opened(server)
    told = [problem for problem in sink.problems() if "may not look for" in problem.what]
    assert [problem.serious for problem in told] == [False]
    sink.close()


def test_an_index_that_does_not_answer_holds_the_batch_back(server: FakeElasticsearch) -> None:
    """Nothing is stored while a copy may be in it."""
    backing(server).indices[5].broken = "no_shard_available_action_exception"
    with pytest.raises(RetryableError, match="no_shard_available"):
        ship(server, document("a"))
    assert server.stored == {}


def test_a_busy_answer_does_not_ask_again_and_a_lost_one_does(server: FakeElasticsearch) -> None:
    """A request that was refused whole stored nothing; of one without an answer nobody knows."""
    sink, _ = opened(server)
    split = S3Split("s", "trail", "x", "cloudtrail", (S3Object("b", "k", 1, "e", NOW),), maybe_shipped=True)
    delivery = sink.open(split)
    server.script = [answering(Reply(429)), answering(Reply(reset=True)), answering(Reply(429))]
    looks = []
    for _ in range(3):
        with pytest.raises(RetryableError):
            delivery.send([document("a")])
        looks.append(sum("_mget" in path for _, path in server.other_requests))
    assert looks == [1, 1, 2]
    assert delivery.send([document("a")]).delivered == 1
    sink.close()
