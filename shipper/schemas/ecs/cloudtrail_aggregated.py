"""CloudTrail's aggregated events as ECS documents: a window of time, and what was counted in it."""

from __future__ import annotations

from typing import Any

from shipper.errors import BadInputError
from shipper.schemas.cloudtrail_aggregate import Aggregate
from shipper.schemas.cloudtrail_record import CloudTrailRecord, time_of
from shipper.schemas.ecs.addresses import is_address
from shipper.schemas.ecs.cloudtrail_subtrees import cut, subtree

_LONGEST_BYTES = 8_191
_MOST_NAMES = 1_000


def name_as_usual(event: CloudTrailRecord, aggregate: Aggregate) -> None:
    """Let a record have its id and account where other records have theirs."""
    event.event_id = event.event_id or aggregate.event_id
    event.recipient_account_id = event.recipient_account_id or aggregate.account


def add_aggregate(fields: dict[str, Any], trail: dict[str, Any], aggregate: Aggregate) -> None:
    """Add the window, the summary as text and as a flattened field, and whom and what it names.

    The summary counts calls of both outcomes: its own is unknown, so that rules which look for a success or a failure
    do not take it for one.
    """
    described = fields["event"]
    described["outcome"] = "unknown"
    start, end = _moment(aggregate.window.start), _moment(aggregate.window.end)
    if start is not None:
        described["start"] = start[1]
    if end is not None:
        described["end"] = end[1]
    if start is not None and end is not None and end[0] >= start[0]:
        described["duration"] = (end[0] - start[0]) * 1_000_000
    summary = subtree(aggregate.summary)
    if summary is None:
        return
    trail["summary"] = summary.text
    if summary.flattened is not None:
        trail.setdefault("flattened", {})["summary"] = summary.flattened
    _add_related(fields["related"], summary.tree)


def _add_related(related: dict[str, Any], summary: dict[str, Any]) -> None:
    """Add the addresses and ARNs that the summary counts calls of."""
    addresses: dict[str, None] = {}
    entities: dict[str, None] = {}
    for name in _names(summary):
        if name.startswith("arn:"):
            entities[cut(name, _LONGEST_BYTES)] = None
        elif is_address(name):
            addresses[name] = None
    if addresses:
        related["ip"] = list(addresses)
    if entities:
        related["entity"] = list(entities)


def _names(summary: dict[str, Any]) -> list[str]:
    """Return the names that stand in the statistics of all dimensions."""
    details = summary.get("details")
    dimensions = [summary.get("primaryDimension"), *(details if type(details) is list else [details])]
    return [
        name
        for dimension in dimensions
        if type(dimension) is dict and type(statistics := dimension.get("statistics")) is list
        for item in statistics
        if type(item) is dict and type(name := item.get("name")) is str
    ][:_MOST_NAMES]


def _moment(text: str | None) -> tuple[int, str] | None:
    try:
        return time_of(text) if text else None
    except BadInputError:
        return None
