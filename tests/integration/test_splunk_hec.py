"""The HEC sink against a strict collector over HTTP: what it stores, once, whatever goes wrong on the way."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from shipper.delivery import Outlet, Patience
from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.model import Document
from shipper.sinks.splunk_hec import SplunkHecSink
from shipper.sinks.splunk_hec_acks import AckPolicy
from shipper.sinks.splunk_hec_connection import HecServers
from shipper.sinks.splunk_hec_requests import Endpoint
from tests.contract.sinks import split
from tests.contract.sinks.splunk_hec import document, poison
from tests.fakes.pipeline import HastyStop, MemoryDeadLetters
from tests.fakes.splunk_hec import TOKEN, FakeSplunk, Reply, answering, coded

QUICK = AckPolicy(timeout_seconds=0.5, poll_seconds=0.05, most_pending=3)


class Road:
    """One sink, the retry loop before it, and what it left behind."""

    def __init__(
        self,
        *servers: FakeSplunk,
        ack: AckPolicy | None = None,
        token: str = TOKEN,
        timeout_seconds: float = 2.0,
        endpoint: Endpoint = "event",
    ) -> None:
        self.metrics = Metrics()
        self.letters = MemoryDeadLetters()
        self.sink = SplunkHecSink(
            "splunk",
            HecServers([server.url for server in servers], token, request_timeout_seconds=timeout_seconds),
            ack=ack,
            endpoint=endpoint,
            metrics=self.metrics,
        )

    def outlet(self, name: str = "one", patience: float = 30.0) -> Outlet:
        return Outlet(
            "splunk",
            self.sink.open(split(name)),
            split(name),
            dead_letters=self.letters,
            metrics=self.metrics,
            stop=HastyStop(),
            patience=Patience(patience),
        )

    def ship(self, *documents: Document) -> Outlet:
        outlet = self.outlet()
        outlet.send(documents)
        outlet.finish()
        return outlet

    @property
    def possible_duplicates(self) -> float:
        return self.metrics.registry.get_sample_value("shipper_possible_duplicates_total", {"sink": "splunk"}) or 0.0

    def problems(self) -> str:
        return "\n".join(f"{p.what} | {p.hint}" for p in self.sink.problems() if p.serious)


@pytest.fixture
def servers() -> Iterator[list[FakeSplunk]]:
    with ExitStack() as stack:
        yield [stack.enter_context(FakeSplunk()) for _ in range(3)]


@pytest.fixture
def server(servers: list[FakeSplunk]) -> FakeSplunk:
    return servers[0]


def ids(*numbers: int) -> dict[str, int]:
    return {document(number).id: 1 for number in numbers}


def test_envelopes_arrive_as_they_are(server):
    """Time, source, sourcetype, index and indexed fields, compressed, over one connection."""
    road = Road(server)
    outlet = road.ship(document(1, host="h", index="aws"), document(2))
    road.ship(document(3))
    first = server.events[0]
    assert (first.index, first.host, first.source, first.sourcetype) == ("aws", "h", "s3://b/k", "aws:cloudtrail")
    assert first.time == pytest.approx(1_767_225_600.001)
    assert first.event == {"eventID": "1"}
    assert outlet.tally.delivered == 2
    assert len({request.peer for request in server.sends}) == 1
    assert all(request.headers["content-encoding"] == "gzip" for request in server.sends)


@pytest.mark.parametrize("at", [0, 1, 4])
def test_a_bad_event_is_isolated_and_its_neighbours_stand_once(server, at):
    """Those before it were indexed with the refusal, and are not sent again."""
    road = Road(server)
    batch = [poison(number) if number == at else document(number) for number in range(5)]
    outlet = road.ship(*batch)
    assert dict(server.stored) == ids(*(number for number in range(5) if number != at))
    assert (outlet.tally.delivered, outlet.tally.dead_lettered) == (4, 1)
    [letter] = road.letters.letters
    assert (letter.position, letter.reason) == (at, "hec_code_15")
    assert "indexed fields" in letter.answer


def test_bad_events_without_a_number_are_found_by_halves(server):
    """A server that does not name the event: nothing of such a request is taken for stored."""
    road = Road(server)

    def unnamed(fake: FakeSplunk, request: object) -> Reply:
        return coded(6)

    server.script = [unnamed]
    outlet = road.ship(*(document(number) for number in range(8)))
    assert dict(server.stored) == ids(*range(8))
    assert outlet.tally.delivered == 8


def test_several_bad_events_are_all_found(server):
    """Each with its own reason."""
    road = Road(server)
    batch = [poison(n) if n in {0, 1, 5} else document(n) for n in range(7)]
    outlet = road.ship(*batch)
    assert dict(server.stored) == ids(2, 3, 4, 6)
    assert sorted(letter.position or 0 for letter in road.letters.letters) == [0, 1, 5]
    assert outlet.tally.accounted == 7


@pytest.mark.parametrize(
    "fault",
    [
        coded(9),
        coded(26, 429),
        Reply(503, b"", headers={"Retry-After": "1"}),
        coded(8),
        Reply(200, b"<html>login</html>", "text/html"),
        Reply(502, b"bad gateway"),
        Reply(reset=True),
        Reply(stall_seconds=3.0),
    ],
    ids=["busy", "429", "503", "internal error", "a page", "bad gateway", "reset", "no answer"],
)
def test_a_fault_before_storing_loses_and_doubles_nothing(server, fault):
    """What was not stored is sent again."""
    road = Road(server, timeout_seconds=0.5)
    server.script = [answering(fault), answering(fault)]
    outlet = road.ship(document(1), document(2))
    assert dict(server.stored) == ids(1, 2)
    assert outlet.tally.delivered == 2


@pytest.mark.parametrize("fault", [coded(8), Reply(200, b"<html>"), Reply(reset=True), Reply(stall_seconds=3.0)])
def test_a_fault_after_storing_is_counted_as_possible_duplicates(server, fault):
    """Splunk cannot say; the number of events that may stand twice is known."""
    road = Road(server, timeout_seconds=0.5)
    server.script = [answering(fault, store=True)]
    road.ship(document(1), document(2))
    assert set(server.stored) == set(ids(1, 2))
    assert sum(server.stored.values()) - 2 <= road.possible_duplicates == 2


def test_a_request_that_is_too_long_is_halved_down_to_the_event(server):
    """The one event that alone is too long is a dead letter."""
    road = Road(server)
    server.max_content_length = 1_000
    batch = [document(n) for n in range(9)] + [document(9, event={"long": "x" * 2_000})]
    outlet = road.ship(*batch)
    assert dict(server.stored) == ids(*range(9))
    assert outlet.tally.dead_lettered == 1
    assert road.letters.letters[0].reason == "request_too_large"


def test_a_refused_token_pauses_and_is_never_a_dead_letter(server):
    """A person has to act; nothing is lost meanwhile."""
    road = Road(server, token=str(uuid.uuid4()))
    with pytest.raises(RetryableError) as caught:
        road.sink.open(split()).send([document(1)])
    assert caught.value.paused
    assert "compare it with" in str(caught.value)
    assert not road.letters.letters


def test_an_index_that_the_token_may_not_write_to_pauses(server):
    """Events for other indexes that came before are not sent twice."""
    server.tokens[TOKEN].indexes = frozenset({"main"})
    road = Road(server)
    result = road.sink.open(split()).send([document(1), document(2, index="secret"), document(3)])
    assert (result.delivered, result.paused, list(result.retry)) == (1, True, [1, 2])
    assert dict(server.stored) == ids(1)


def test_the_load_is_spread_and_a_dead_collector_is_left_out(servers):
    """Three collectors, one of them down: everything arrives, the others carry it."""
    road = Road(*servers)
    servers[1].down = True
    for number in range(12):
        road.ship(document(number))
    assert dict(sum((server.stored for server in servers), servers[0].stored.__class__())) == ids(*range(12))
    assert servers[0].stored
    assert servers[2].stored
    assert len(servers[1].requests) < 6


def test_raw_sends_the_bare_events(server):
    """With the metadata of the envelopes in the query, one request for each."""
    road = Road(server, endpoint="raw")
    road.ship(document(1), document(2), document(3, source="s3://b/other"))
    assert [event.event for event in server.events] == ['{"eventID":"1"}', '{"eventID":"2"}', '{"eventID":"3"}']
    assert [event.source for event in server.events] == ["s3://b/k", "s3://b/k", "s3://b/other"]
    assert len(server.sends) == 2


class TestAcknowledgement:
    """Delivered means indexed."""

    @pytest.fixture(autouse=True)
    def _ack(self, servers: list[FakeSplunk]) -> None:
        for server in servers:
            server.tokens[TOKEN].ack = True

    def test_delivered_is_what_was_confirmed(self, server):
        """Polled until true; ids are forgotten by Splunk then, and no longer asked for."""
        road = Road(server, ack=QUICK)
        server.acks.after_polls = 3
        outlet = road.ship(document(1), document(2))
        assert outlet.tally.delivered == 2
        assert server.acks.open == 0
        assert road.possible_duplicates == 0
        assert len(server.polls) >= 4

    def test_what_is_never_confirmed_is_sent_again_and_counted(self, server):
        """After the time is over, under a new channel."""
        road = Road(server, ack=QUICK)
        server.lost = 1
        road.ship(document(1), document(2))
        assert dict(server.stored) == ids(1, 2)
        assert road.possible_duplicates == 2
        assert len({request.channel for request in server.sends}) == 2

    def test_a_lost_answer_to_a_poll_is_made_good(self, server):
        """Splunk forgets the id that answered true: it stays false, and the events are sent again, counted."""
        road = Road(server, ack=QUICK)
        server.ack_script = [lambda fake, request: fake.serve(request), answering(Reply(reset=True), store=True)]
        road.ship(document(1))
        assert set(server.stored) == set(ids(1))
        assert sum(server.stored.values()) - 1 <= road.possible_duplicates

    def test_another_indexer_behind_the_balancer_is_noticed(self, server):
        """A changed cookie voids the channel: what was pending is sent again."""
        road = Road(server, ack=QUICK)
        server.cookie = "node=a"
        server.acks.after_polls = 1_000_000
        outlet = road.outlet()
        outlet.send([document(1)])
        server.move("node=b")
        server.acks.after_polls = 0
        outlet.finish()
        assert set(server.stored) == set(ids(1))
        assert road.possible_duplicates == 1

    def test_pending_requests_are_bounded(self, server):
        """Sending waits for confirmations."""
        road = Road(server, ack=AckPolicy(timeout_seconds=30, poll_seconds=0.05, most_pending=3))
        server.acks.after_polls = 2
        outlet = road.outlet()
        most = 0
        for number in range(12):
            outlet.send([document(number)])
            most = max(most, server.acks.open)
        outlet.finish()
        assert most <= 3
        assert dict(server.stored) == ids(*range(12))

    def test_never_confirmed_gives_the_split_back(self, server):
        """Three times in vain: the split is not settled."""
        road = Road(server, ack=QUICK)
        server.acks.never = True
        outlet = road.outlet()
        outlet.send([document(1)])
        with pytest.raises(RetryableError, match="did not confirm"):
            outlet.finish()
        outlet.abandon()

    def test_a_token_without_acknowledgement_pauses(self, server):
        """Nothing is sent that could never be confirmed."""
        server.tokens[TOKEN].ack = False
        road = Road(server, ack=QUICK)
        with pytest.raises(RetryableError) as caught:
            road.sink.open(split()).send([document(1)])
        assert caught.value.paused
        assert not server.events


class TestCheck:
    """`shipper check` sends no event."""

    def test_a_good_collector_is_only_remarked_on(self, server):
        """Received is not indexed, and check says so."""
        road = Road(server)
        remarks = [problem.what for problem in road.sink.problems()]
        assert any("received the events, not yet that it indexed" in what for what in remarks)
        assert not road.problems()
        assert not server.events

    def test_acknowledgement_as_configured_is_no_problem(self, server):
        """No remark is left."""
        server.tokens[TOKEN].ack = True
        assert list(Road(server, ack=QUICK).sink.problems()) == []

    def test_a_bad_token_is_said(self, server):
        """With what to do."""
        assert "compare it with Settings" in Road(server, token=str(uuid.uuid4())).problems()

    def test_a_disabled_token_is_said(self, server):
        """With what to do."""
        server.tokens[TOKEN].enabled = False
        assert "enable it" in Road(server).problems()

    def test_acknowledgement_that_is_off_is_said(self, server):
        """Where the sink wants it, and where the token does."""
        assert "does not acknowledge" in Road(server, ack=QUICK).problems()
        server.tokens[TOKEN].ack = True
        assert "set ack: true" in Road(server).problems()

    def test_a_collector_that_is_not_there_is_said(self, server):
        """And no exception is raised."""
        server.down = True
        assert "cannot be reached" in Road(server).problems()
