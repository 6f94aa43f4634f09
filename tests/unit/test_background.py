"""The memory behind look-ups over the network: what stays when room is made, and failures that end nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from shipper.enrich.background import Background, Policy, Report
from shipper.errors import RetryableError
from shipper.ports import Stop

NOW = 1_767_614_400.0


class Desk:
    """A look-up of names that is told what to answer, and keeps what it is told."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        self.error: Exception | None = None
        self.outcomes: list[str] = []
        self.known: list[int] = []
        self.said: list[tuple[str, str]] = []

    def memory(self, policy: Policy) -> Background[tuple[str, int], str]:
        return Background(
            "desk",
            self.fetch,
            Report(self.outcomes.append, self.known.append),
            self.stop,
            policy=policy,
            owner=lambda key: key[0],
            complain=lambda key, why: self.said.append((key[0], why)),
            clock=lambda: NOW,
        )

    def fetch(self, key: tuple[str, int]) -> str | None:
        if self.error is not None:
            raise self.error
        return f"{key[0]}-{key[1]}" if key[1] >= 0 else None


@pytest.fixture
def desk() -> Iterator[Desk]:
    stop = Stop()
    yield Desk(stop)
    stop.request()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_key_is_asked_for_once(desk):
    """The first question finds nothing, the later ones the answer, or that there is none."""
    memory = desk.memory(Policy(requests_per_second=100_000.0))
    assert memory.get(("a", 1)) is None
    assert memory.get(("a", -1)) is None
    until(lambda: len(desk.outcomes) == 2)
    for _ in range(10):
        assert memory.get(("a", 1)) == "a-1"
        assert memory.get(("a", -1)) is None
    assert desk.outcomes == ["found", "absent"]


def test_what_is_used_stays_when_room_is_made(desk):
    """Of a hundred thousand keys through ten thousand entries, the one in use is still known."""
    memory = desk.memory(Policy(most=10_000, requests_per_second=100_000.0))
    memory.change(("used", 0), lambda _: "kept", NOW, 3_600.0)
    for number in range(100_000):
        assert memory.get(("used", 0)) == "kept"
        memory.change(("a", number), str, NOW, 3_600.0)
    assert max(desk.known) == 10_000
    assert desk.outcomes == []


def test_a_cause_is_said_once_for_each_owner(desk):
    """Ten keys of two accounts that refuse are two complaints, and answers known before stay."""
    memory = desk.memory(Policy(requests_per_second=100_000.0))
    memory.change(("a", 0), lambda _: "before", NOW, 0.0)
    desk.error = RetryableError("AccessDenied (needs x:Y)", paused=True)
    for owner in ("a", "b"):
        for number in range(5):
            memory.get((owner, number))
    until(lambda: len(desk.outcomes) == 10)
    assert desk.outcomes == ["denied"] * 10
    assert sorted(desk.said) == [("a", "AccessDenied (needs x:Y)"), ("b", "AccessDenied (needs x:Y)")]
    assert memory.get(("a", 0)) == "before"


def test_no_thread_is_begun_before_the_first_question_nor_after_a_stop(desk):
    """What is not used costs nothing, and a stop leaves nothing to do."""
    memory = desk.memory(Policy())
    desk.stop.request()
    assert memory.get(("a", 1)) is None
    assert memory.waiting() == 0
    assert desk.outcomes == []
