"""Finds the intruder in what arrived, by a rule that needs enrichment: a long-lived key in a country new to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shipper.demo.arrived import Event


@dataclass(frozen=True, slots=True)
class Finding:
    """A long-lived access key that was used from a country where nobody else of the organisation works.

    Attributes:
        events: all that came from that network, in order of time.
        revoked: the call that switched the key off, where there is one.
    """

    user: str
    key: str
    place: str
    network: str
    system: str
    usual_place: str
    events: Sequence[Event]
    revoked: Event | None

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
            others = [event for event in _elsewhere(events, place, key) if event.key.startswith("ASIA")]
            if place != usual and not others and not all(event.failed for event in seen):
                return _finding(events, key, seen[0], usual)
    return None


def _elsewhere(events: Sequence[Event], place: str, key: str) -> list[Event]:
    return [event for event in events if event.place == place and event.key != key]


def _finding(events: Sequence[Event], key: str, first: Event, usual: str) -> Finding:
    network = [event for event in events if event.network == first.network]
    revoked = [
        event
        for event in events
        if event.action in {"UpdateAccessKey", "DeleteAccessKey"}
        and event.network != first.network
        and event.time > first.time
        and event.target == first.user
    ]
    return Finding(
        first.user, key, first.place, first.network, first.system, usual, network, revoked[0] if revoked else None
    )
