"""Tells a log event's type from its group's name and its message, so that it is told alike whichever way it comes."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from shipper.flow_layouts import layout_from_count

PLAIN = "cloudwatch"
_STATES = frozenset({"OK", "NODATA", "SKIPDATA"})
_APPLICATIONS = ("/aws/lambda/",)
"""What such a group holds is an application's, even where it prints a record of another kind."""
_TRAIL = frozenset({"eventVersion", "eventSource", "eventName", "eventID"})


def type_of_event(group: str, message: str) -> str:
    """The log type of one event; the same whenever and however the event is read."""
    return PLAIN if group.startswith(_APPLICATIONS) else type_of_message(message)


def type_of_events(group: str, messages: Sequence[str]) -> str:
    """The type that all of a group's first messages have; plain events where they differ."""
    kinds = {type_of_event(group, message) for message in messages}
    return kinds.pop() if len(kinds) == 1 else PLAIN


def type_of_message(message: str) -> str:
    """The type that a message's own form tells."""
    if message.startswith("{"):
        try:
            fields = orjson.loads(message)
        except orjson.JSONDecodeError:
            return PLAIN
        return "cloudtrail" if isinstance(fields, dict) and fields.keys() >= _TRAIL else PLAIN
    parts = message.strip().split(" ")
    is_flow = layout_from_count(len(parts)) is not None and parts[0].isdigit() and not _STATES.isdisjoint(parts)
    return "vpcflow" if is_flow else PLAIN


def type_of_name(group: str) -> str:
    """The type that a group's name leads to expect, where nothing else is known yet."""
    lowered = group.lower().replace("-", "").replace("_", "")
    if "cloudtrail" in lowered:
        return "cloudtrail"
    return "vpcflow" if "flowlog" in lowered or "vpclog" in lowered else PLAIN
