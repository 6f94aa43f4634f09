"""`logs: auto` of a log group: from the flow logs that AWS says are written to it, its first events, or its name."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from shipper.build.event_types import type_of_events, type_of_group, type_of_name
from shipper.errors import ConfigError, ShipperError
from shipper.flow_layouts import Layout, layout_from_log_format
from shipper.sources.cloudwatch_groups import LogGroup

Found = tuple[str, Layout | None]

_KEPT_SECONDS = 3600.0
_MOST_GROUPS = 10_000

log = structlog.get_logger(__name__)


class LogGroupTypes:
    """Tells log types, and remembers them for an hour. Used by its source's thread only.

    Args:
        flow_formats: by region, the LogFormat of each log group that flow logs are written to. May block.
        first_events: some messages of a group. May block.
    """

    def __init__(
        self,
        flow_formats: Callable[[str], Mapping[str, str]],
        first_events: Callable[[LogGroup], Sequence[str]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._flow_formats = flow_formats
        self._first_events = first_events
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, Found]] = {}
        self._formats: dict[str, tuple[float, Mapping[str, str]]] = {}

    def __call__(self, group: LogGroup) -> Found:
        """A group's log type, and the field names of its lines where AWS says them."""
        now = self._monotonic()
        known = self._known.get(group.arn)
        if known is not None and now - known[0] < _KEPT_SECONDS:
            return known[1]
        layout = self._flow_layout(group, now)
        if layout is not None:
            found: Found = ("vpcflow", layout)
        elif (certain := type_of_group(group.name)) is not None:
            return certain, None
        else:
            try:
                events = self._first_events(group)
            except ShipperError as error:
                log.info("a log group's type is told by its name for now", group=group.name, why=str(error))
                return type_of_name(group.name), None
            if not events:
                return type_of_name(group.name), None
            found = (type_of_events(group.name, events), None)
        if len(self._known) >= _MOST_GROUPS:
            self._known.clear()
        self._known[group.arn] = (now, found)
        return found

    def _flow_layout(self, group: LogGroup, now: float) -> Layout | None:
        asked = self._formats.get(group.region)
        if asked is None or now - asked[0] >= _KEPT_SECONDS:
            try:
                asked = (now, self._flow_formats(group.region))
            except ShipperError as error:
                log.info("flow logs are told by their lines alone", region=group.region, why=str(error))
                asked = (now, {})
            self._formats[group.region] = asked
        text = asked[1].get(group.name)
        try:
            return layout_from_log_format(text) if text else None
        except ConfigError:
            return None
