"""`logs: auto` of a log group: by the configuration, its tag, what AWS says is written to it, or AWS's own names.

What its events look like counts for nothing: whoever can write one of them chooses it (docs/adr/0010).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import structlog

from shipper.build.event_types import PLAIN, GroupTypes, type_of_group
from shipper.build.filter_patterns import type_of_patterns
from shipper.build.log_writers import Found, Written
from shipper.errors import ShipperError
from shipper.flow_layouts import Layout
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
        patterns: of the filters that subscribe to a group, which may name a flow log's fields; None where they cannot
            be asked for. May block.
        named: the types that the configuration gives.
        foreign: groups of other accounts are among them, so that a name alone does not tell a group.
    """

    def __init__(
        self,
        known_types: frozenset[str],
        *,
        written: Callable[[str], Written],
        tags: Callable[[LogGroup], Mapping[str, str]],
        patterns: Callable[[LogGroup], Sequence[str]] | None = None,
        named: GroupTypes | None = None,
        foreign: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._known_types = known_types
        self._ask_written = written
        self._tags = tags
        self._patterns = patterns
        self._named = named or GroupTypes()
        self._foreign = foreign
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
        found = self._vouched(group, now)
        if len(self._known) >= _MOST_GROUPS:
            self._known.clear()
        self._known[group.arn] = (self._written[group.region][0], found)
        return found

    def _vouched(self, group: LogGroup, now: float) -> Found:
        """Return what somebody vouches for who does not write events; plain events where nobody does."""
        written = self._written_to(group, now)
        logs = self._named.configured(group.account, group.name)
        if logs is None:
            logs = _asked_hourly(self._tagged, group, now, self._ask_tag)
        if logs is None and written is not None:
            return written
        if logs is None:
            logs = type_of_group(group.name) or PLAIN
        if written is not None and written[0] == logs:
            return written
        return logs, self._layout_of(group, now) if logs == "vpcflow" else None

    def _layout_of(self, group: LogGroup, now: float) -> Layout | None:
        """Return the fields that a subscription's pattern names of a group that holds flow logs."""
        if self._patterns is None:
            return None
        hint = _asked_hourly(self._hinted, group, now, self._ask_hint)
        return hint[1] if hint is not None and hint[0] == "vpcflow" else None

    def _written_to(self, group: LogGroup, now: float) -> Found | None:
        asked = self._written.get(group.region)
        if asked is None or now >= asked[0]:
            written = self._ask_written(group.region)
            if asked is not None and not written.whole:  # what was known before counts until all is known again
                written = Written({**asked[1].groups, **written.groups}, whole=False)
            until = now + (_KEPT_SECONDS if written.whole else _KEPT_IN_PART_SECONDS)
            asked = self._written[group.region] = (until, written)
        groups = asked[1].groups
        return groups.get(group.arn) or (None if self._foreign else groups.get(group.name))

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
