"""Finds the intruder in what arrived, by a rule that needs enrichment: a long-lived key in a country new to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shipper.demo.arrived import Event


@dataclass(frozen=True, slots=True)
class Touched:
    """Something that was acted on.

    Attributes:
        refused: whether every call was.
    """

    name: str
    calls: int
    bytes: int
    refused: bool


@dataclass(frozen=True, slots=True)
class Act:
    """What one person did in one way: with a key, at the console, or through a role.

    Attributes:
        events: at least one, in order of time; `first` is that.
    """

    who: str
    role: str
    events: Sequence[Event]

    @property
    def first(self) -> Event:
        """The event that tells of the others where they came from."""
        return self.events[0]

    def touched(self) -> list[Touched]:
        """What was acted on, in order of the first call; a person's own name is left out."""
        by_target: dict[str, list[Event]] = {}
        for event in self.events:
            if event.target and event.target != self.who:
                by_target.setdefault(event.target, []).append(event)
        return [
            Touched(target, len(some), sum(event.bytes_out for event in some), all(event.failed for event in some))
            for target, some in by_target.items()
        ]


@dataclass(frozen=True, slots=True)
class Finding:
    """A long-lived access key that was used from a country where nobody else of the organisation works.

    Attributes:
        events: all that came from that network, in order of time.
        revoked: the call that switched the key off, where there is one.
        answer: that call and the others by which its caller put right what was touched.
    """

    user: str
    key: str
    place: str
    network: str
    system: str
    usual_place: str
    events: Sequence[Event]
    revoked: Event | None
    answer: Sequence[Event]

    def acts(self) -> list[Act]:
        """What was done, by whom and in which way, in order of the first call of each."""
        ways: dict[tuple[str, str, bool], list[Event]] = {}
        for event in self.events:
            ways.setdefault((event.user, event.role, bool(event.key)), []).append(event)
        return [Act(who, role, some) for (who, role, _), some in ways.items()]

    @property
    def addresses(self) -> frozenset[str]:
        """Where the intruder came from."""
        return frozenset(event.address for event in self.events)

    def steps(self) -> Iterator[tuple[Event, int]]:
        """The events with runs of the same call drawn together, each with its length."""
        run: list[Event] = []
        for event in self.events:
            if run and (event.action, event.failed, event.target) != (run[0].action, run[0].failed, run[0].target):
                yield run[0], len(run)
                run = []
            run.append(event)
        if run:
            yield run[0], len(run)


def find_intruder(events: Sequence[Event]) -> Finding | None:
    """Look for a long-lived key (AKIA…) in a second country, used successfully from a network nobody else uses."""
    places: dict[str, dict[str, list[Event]]] = {}
    for event in events:
        if event.key.startswith("AKIA") and event.place:
            places.setdefault(event.key, {}).setdefault(event.place, []).append(event)
    for key, by_place in places.items():
        if len(by_place) < 2:
            continue
        usual = max(by_place, key=lambda place: len(_elsewhere(events, place, key)))
        for place, seen in by_place.items():
            owner = seen[0].user
            # Who acts through a role by the stolen key is, as far as documents show, the key's owner again.
            others = [e for e in _elsewhere(events, place, key) if e.key.startswith("ASIA") and e.user != owner]
            if place != usual and not others and not all(event.failed for event in seen):
                return _finding(events, key, seen[0], usual)
    return None


def _elsewhere(events: Sequence[Event], place: str, key: str) -> list[Event]:
    return [event for event in events if event.place == place and event.key != key]


def _finding(events: Sequence[Event], key: str, first: Event, usual: str) -> Finding:
    network = [event for event in events if event.network == first.network]
    revoked = next(
        (
            event
            for event in events
            if event.action in {"UpdateAccessKey", "DeleteAccessKey"}
            and event.network != first.network
            and event.time > first.time
            and event.target == first.user
        ),
        None,
    )
    hurt = {first.user, *(event.target for event in network if event.target)}
    answer = [
        event
        for event in events
        if revoked and (event.user, event.role) == (revoked.user, revoked.role) and event.time > first.time
        if event.target in hurt
    ]
    found = first.user, key, first.place, first.network, first.system, usual
    return Finding(*found, network, revoked, answer)
