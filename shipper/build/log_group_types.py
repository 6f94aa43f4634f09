"""`logs: auto` of a log group: by its tag, what AWS says is written to it, its name, subscriptions, or first events."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import structlog

from shipper.build.event_types import PLAIN, type_of_events, type_of_group, type_of_name
from shipper.build.filter_patterns import type_of_patterns
from shipper.build.log_writers import Found, Written
from shipper.errors import ShipperError
from shipper.sources.cloudwatch_groups import LogGroup

TAG = "shipper:logs"
"""The tag of a log group whose value is its log type."""

_KEPT_SECONDS = 3600.0
_KEPT_IN_PART_SECONDS = 60.0
"""For less than all of an answer: a flow log's lines would be read by the wrong fields for as long."""
_MOST_GROUPS = 10_000

log = structlog.get_logger(__name__)

T = TypeVar("T")


class LogGroupTypes:
    """Tells log types, and remembers them for an hour, or a minute where AWS did not say all that it might.

    Used by its source's thread only.

    Args:
        known_types: the values that the tag may have.
        written: what AWS's services are told to write in a region. May block.
        tags: of a group. May block.
        patterns: of the filters that subscribe to a group; None where they cannot be asked for. May block.
        first_events: some messages of a group. May block.
    """

    def __init__(
        self,
        known_types: frozenset[str],
        *,
        written: Callable[[str], Written],
        tags: Callable[[LogGroup], Mapping[str, str]],
        first_events: Callable[[LogGroup], Sequence[str]],
        patterns: Callable[[LogGroup], Sequence[str]] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._known_types = known_types
        self._ask_written = written
        self._tags = tags
        self._first_events = first_events
        self._patterns = patterns
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, Found]] = {}
        self._tagged: dict[str, tuple[float, str | None]] = {}
        self._hinted: dict[str, tuple[float, Found | None]] = {}
        self._written: dict[str, tuple[float, Written]] = {}

    def __call__(self, group: LogGroup) -> Found:
        """A group's log type, and the field names of its lines where AWS says them."""
        now = self._monotonic()
        known = self._known.get(group.arn)
        if known is not None and now < known[0]:
            return known[1]
        found = self._told(group, now)
        if found is None:
            return type_of_name(group.name), None
        if len(self._known) >= _MOST_GROUPS:
            self._known.clear()
        self._known[group.arn] = (self._written[group.region][0], found)
        return found

    def _told(self, group: LogGroup, now: float) -> Found | None:
        """What is certain enough to be remembered; None where only the name is left, for now."""
        written = self._written_to(group, now)
        tagged = _asked_hourly(self._tagged, group, now, self._ask_tag)
        if tagged is not None:
            return tagged, written[1] if written is not None and written[0] == tagged else None
        if written is not None:
            return written
        if (certain := type_of_group(group.name)) is not None:
            return certain, None
        hint = None
        if self._patterns is not None:
            hint = _asked_hourly(self._hinted, group, now, self._ask_hint)
        try:
            events = self._first_events(group)
        except ShipperError as error:
            log.info("a log group's type is told without its events for now", group=group.name, why=error.advice)
            return hint
        return _agreed(hint, type_of_events(group.name, events), events) if events else hint

    def _written_to(self, group: LogGroup, now: float) -> Found | None:
        asked = self._written.get(group.region)
        if asked is None or now >= asked[0]:
            written = self._ask_written(group.region)
            until = now + (_KEPT_SECONDS if written.whole else _KEPT_IN_PART_SECONDS)
            asked = self._written[group.region] = (until, written)
        groups = asked[1].groups
        return groups.get(group.arn) or groups.get(group.name)

    def _ask_hint(self, group: LogGroup) -> Found | None:
        try:
            return type_of_patterns(self._patterns(group)) if self._patterns is not None else None
        except ShipperError as error:
            log.info("a log group's subscriptions are not known", group=group.name, why=error.advice)
            return None

    def _ask_tag(self, group: LogGroup) -> str | None:
        """The type that the operator wrote on the group."""
        try:
            value = self._tags(group).get(TAG)
        except ShipperError as error:
            log.info("a log group's tags are not known", group=group.name, why=error.advice)
            return None
        if value is not None and value not in self._known_types:
            known = ", ".join(sorted(self._known_types))
            log.warning("a log group's tag names no log type", group=group.name, tag=TAG, value=value[:64], known=known)
            return None
        return value


def _asked_hourly(known: dict[str, tuple[float, T]], group: LogGroup, now: float, ask: Callable[[LogGroup], T]) -> T:
    """What was asked for a group; each question costs a call, so it is asked once an hour."""
    asked = known.get(group.arn)
    if asked is None or now - asked[0] >= _KEPT_SECONDS:
        if len(known) >= _MOST_GROUPS:
            known.clear()
        asked = known[group.arn] = (now, ask(group))
    return asked[1]


def _agreed(hint: Found | None, told: str, events: Sequence[str]) -> Found:
    """Events count for more than a subscription's pattern, but only that names a flow log's fields."""
    if hint is None or hint[0] != "vpcflow" or told not in ("vpcflow", PLAIN):
        return told, None
    layout = hint[1]
    fits = layout is not None and all(len(event.split(" ")) == len(layout) for event in events)
    return ("vpcflow", layout) if fits else (told, None)
