"""Faults of a collector one by one: all is delivered or a dead letter, and doubles stay within what is counted."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import orjson
import pytest

from shipper.delivery import Outlet, Patience
from shipper.errors import RetryableError, Stopped
from shipper.metrics import Metrics
from shipper.model import Document
from shipper.ports import Stop
from shipper.sinks.splunk_hec import SplunkHecSink
from shipper.sinks.splunk_hec_acks import AckPolicy
from shipper.sinks.splunk_hec_connection import HecServers
from tests.contract.sinks import split
from tests.contract.sinks.splunk_hec import document, poison
from tests.fakes.pipeline import HastyStop, MemoryDeadLetters
from tests.fakes.splunk_hec import TOKEN, FakeSplunk, Reply, Request, answering, coded
from tests.unit.test_splunk_hec_answers import CODES

DOCUMENTS = [document(n) for n in range(6)]
QUICK = AckPolicy(timeout_seconds=0.3, poll_seconds=0.05)
SLOW = AckPolicy(timeout_seconds=30, poll_seconds=0.05)


@pytest.fixture
def server() -> Iterator[FakeSplunk]:
    """A collector of its own for each test."""
    with FakeSplunk() as fake:
        yield fake


class Way:
    """One split on its way through the retry loop, and what can be said of it afterwards."""

    def __init__(self, server: FakeSplunk, ack: AckPolicy | None = None, stop: Stop | None = None) -> None:
        server.tokens[TOKEN].ack = ack is not None
        self.server = server
        self.metrics = Metrics()
        self.letters = MemoryDeadLetters()
        servers = HecServers([server.url], TOKEN, request_timeout_seconds=2)
        self.sink = SplunkHecSink("splunk", servers, ack=ack, metrics=self.metrics, stop=stop)
        self.outlet = Outlet(
            "splunk",
            self.sink.open(split()),
            split(),
            dead_letters=self.letters,
            metrics=self.metrics,
            stop=HastyStop(),
            patience=Patience(30),
        )

    @property
    def possible_duplicates(self) -> float:
        found = self.metrics.registry.get_sample_value("shipper_possible_duplicates_total", {"sink": "splunk"})
        assert found is not None
        return found

    def ship(self, documents: list[Document]) -> None:
        self.outlet.send(documents)
        self.outlet.finish()

    def assert_whole(self, documents: list[Document], dead: int = 0) -> None:
        """Everything is stored but so many dead letters, and doubles are within the bound."""
        stored = self.server.stored
        assert len(stored) == len(documents) - dead == self.outlet.tally.delivered
        assert set(stored) <= {d.id for d in documents}
        assert self.outlet.tally.dead_lettered == dead
        assert stored.total() - len(stored) <= self.possible_duplicates


@pytest.mark.parametrize("ack", [None, SLOW], ids=["received", "acknowledged"])
@pytest.mark.parametrize("code", CODES)
def test_every_code_once_loses_nothing(server, code, ack):
    """The server gives the code for one request, and is well again: no event is lost, none a dead letter."""
    way = Way(server, ack)
    status, _ = CODES[code]

    def step(fake: FakeSplunk, request: Request) -> Reply:
        if status != 200:
            return coded(code, status)
        said = orjson.loads(fake.serve(request).body)
        return coded(code, **{k: v for k, v in said.items() if k == "ackId"})

    server.script = [step]
    way.ship(DOCUMENTS)
    way.assert_whole(DOCUMENTS)


@pytest.mark.parametrize("ack", [None, SLOW], ids=["received", "acknowledged"])
def test_bad_events_beside_faults(server, ack):
    """A bad event, a busy server and a lost answer in one batch."""
    way = Way(server, ack)
    documents = [document(0), poison(1), document(2), document(3), poison(4), document(5)]
    server.script = [answering(coded(9)), FakeSplunk.serve, answering(Reply(reset=True), store=True)]
    way.ship(documents)
    way.assert_whole(documents, dead=2)


@pytest.mark.parametrize(("ack", "unconfirmed"), [(None, 0), (SLOW, 3)], ids=["received", "acknowledged"])
def test_what_stands_before_a_bad_event_is_counted_as_unconfirmed(server, ack, unconfirmed):
    """It is stored once, and no acknowledgement can be asked for; what comes after it is confirmed."""
    way = Way(server, ack)
    documents = [document(0), document(1), poison(2), document(3), poison(4), document(5)]
    way.ship(documents)
    way.assert_whole(documents, dead=2)
    assert server.stored.total() == 4
    found = way.metrics.registry.get_sample_value("shipper_unconfirmed_events_total", {"sink": "splunk"})
    assert found == unconfirmed


@pytest.mark.parametrize("ack", [None, SLOW], ids=["received", "acknowledged"])
def test_bad_events_of_a_server_that_refuses_whole_batches(server, ack):
    """Another dialect: nothing of a batch with a bad event is stored, nor is the event named. Halves find it."""
    server.whole_batches = True
    way = Way(server, ack)
    documents = [document(0), poison(1), document(2), document(3), poison(4), document(5)]
    way.ship(documents)
    way.assert_whole(documents, dead=2)
    assert server.stored.total() == 4


def test_a_prefix_is_not_doubled_before_an_event_whose_index_is_forbidden(server):
    """Code 7 names the event after the bad one; what stands before is stored, and the bad one waits for a person."""
    server.tokens[TOKEN].indexes = frozenset({"main"})
    documents = [document(0), document(1), document(2, index="secret"), document(3)]
    way = Way(server)
    result = way.sink.open(split()).send(documents)
    assert (result.delivered, result.retry, result.paused) == (2, (2, 3), True)
    assert server.stored == {d.id: 1 for d in documents[:2]}
    assert way.possible_duplicates == 0


POLLS = {
    "a page": answering(Reply(200, b"<html>", "text/html")),
    "busy": answering(coded(9)),
    "internal error": answering(coded(8)),
    "reset": answering(Reply(reset=True)),
    "half an answer": answering(Reply(body=b'{"acks":{"0":tr')),
    "another answer": answering(Reply(body=b'{"acks":[0,1]}')),
    "token refused": answering(coded(4)),
}


@pytest.mark.parametrize("fault", POLLS)
def test_a_poll_that_fails_says_nothing(server, fault):
    """Neither yes nor no: it is asked again, and nothing is sent twice."""
    way = Way(server, SLOW)
    way.outlet.send(DOCUMENTS)
    server.ack_script = [POLLS[fault]] * 3
    way.outlet.finish()
    way.assert_whole(DOCUMENTS)
    assert way.possible_duplicates == 0
    assert len(server.sends) == 1


@pytest.mark.parametrize("fault", POLLS)
def test_a_poll_that_fails_is_no_yes(server, fault):
    """What the server lost is sent again, whatever it answered in between."""
    way = Way(server, QUICK)
    server.lost = 1
    way.outlet.send(DOCUMENTS)
    server.ack_script = [POLLS[fault]]
    way.outlet.finish()
    way.assert_whole(DOCUMENTS)


def test_a_restarted_server_that_counts_anew_is_noticed(server):
    """An ackId that was given before says nothing of the earlier events: they are sent again."""
    way = Way(server, SLOW)
    server.lost = 1
    way.outlet.send(DOCUMENTS[:3])
    server.acks.forget()
    way.outlet.send(DOCUMENTS[3:])
    way.outlet.finish()
    way.assert_whole(DOCUMENTS)


def test_cookies_that_a_balancer_renews_with_every_answer_are_no_change(server):
    """An Application Load Balancer does so; the channel stays good."""
    way = Way(server, SLOW)
    numbers = iter(range(1000))

    def renewing(fake: FakeSplunk, request: Request) -> Reply:
        reply = fake.serve(request)
        reply.headers["set-cookie"] = f"AWSALB=v{next(numbers)}; path=/"
        return reply

    server.script = [renewing] * 3
    server.ack_script = [renewing] * 10
    server.acks.after_polls = 2
    for wanted in DOCUMENTS[:3]:
        way.outlet.send([wanted])
    way.outlet.finish()
    way.assert_whole(DOCUMENTS[:3])
    assert way.possible_duplicates == 0
    assert len({request.channel for request in server.sends}) == 1
    assert "AWSALB=v" in server.polls[-1].headers["cookie"], "they are sent back"


def test_a_yes_from_another_indexer_is_not_believed(server):
    """The answer that changes the cookie was not given by the one that has the events."""
    way = Way(server, SLOW)
    server.cookie = "node=a"
    server.lost = 1
    way.outlet.send(DOCUMENTS)

    def other(fake: FakeSplunk, _: Request) -> Reply:
        fake.move("node=b")
        return Reply(body=b'{"acks":{"0":true}}')

    server.ack_script = [other]
    way.outlet.finish()
    way.assert_whole(DOCUMENTS)


def test_sending_gives_the_split_back_where_nothing_is_ever_confirmed(server):
    """Also in mid-split, where sending waits for room: the retry loop does not hold on to it."""
    way = Way(server, AckPolicy(timeout_seconds=0.2, poll_seconds=0.05, most_pending=1))
    server.acks.never = True
    way.outlet.send(DOCUMENTS[:1])
    with pytest.raises(RetryableError, match="did not confirm") as caught:
        way.outlet.send(DOCUMENTS[1:])
    assert caught.value.restart
    way.outlet.abandon()
    assert way.metrics.registry.get_sample_value("shipper_sink_acks_waiting", {"sink": "splunk"}) == 0


def test_a_stop_ends_the_waiting(server):
    """When the grace time is over nobody waits for acknowledgements any more."""
    stop = Stop()
    way = Way(server, SLOW, stop)
    server.acks.never = True
    way.outlet.send(DOCUMENTS)
    stop.expire()
    with pytest.raises(Stopped):
        way.outlet.finish()


def test_every_worker_has_a_channel_a_connection_and_cookies_of_its_own(server):
    """And keeps them from batch to batch and split to split."""
    way = Way(server, SLOW)
    server.cookie = "node=a"
    together = Barrier(4)

    def work(worker: int) -> None:
        together.wait(10)
        for name in ("one", "two"):
            delivery = way.sink.open(split(name))
            delivery.send([document(10 * worker + n) for n in range(3)])
            delivery.finish()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(server.stored) == 12
    seen = {(request.channel, request.peer) for request in server.requests}
    assert len(seen) == len({channel for channel, _ in seen}) == len({peer for _, peer in seen}) == 4
    assert sum("cookie" not in request.headers for request in server.requests) == 4


def test_what_is_sent_again_is_what_was_sent(server):
    """Byte for byte, under another channel."""
    way = Way(server, QUICK)
    server.lost = 1
    way.ship(DOCUMENTS)
    first, second = server.sends
    assert first.body == second.body
    assert first.channel != second.channel
    assert way.possible_duplicates == 6
    way.assert_whole(DOCUMENTS)
