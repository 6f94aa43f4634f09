"""What stands as the event of a flow log line: AWS's own line where the Splunk Add-on for AWS reads it, else JSON.

The add-on (7.x, `aws:cloudwatchlogs:vpcflow`) extracts fields by their places in three formats: the default one, all
fields of version 5 in their documented order, and all of them by the alphabet, as the console's "select all" has them.
In front of the default one it also takes the time that an export from CloudWatch Logs writes.
A line of any other format says nothing without its header. It becomes a JSON object, whose names are those that the
add-on gives the same fields, so that its aliases, lookups and CIM fields work for it as for a line of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson

from shipper.flow_layouts import EXPORT_TIME, V2, V5, Layout

Written = Callable[[str, Sequence[str]], str]
"""(line, its fields) → the event as JSON."""

SELECT_ALL: Layout = tuple(sorted(V5))
_ADD_ON = frozenset({V2, (EXPORT_TIME, *V2), V5, SELECT_ALL})
"""The formats that the add-on reads, the default one also behind the time of an export: their lines stay lines."""
_NAMES = {
    "srcaddr": "src_ip",
    "dstaddr": "dest_ip",
    "srcport": "src_port",
    "dstport": "dest_port",
    "protocol": "protocol_code",
    "start": "start_time",
    "end": "end_time",
    "action": "vpcflow_action",
}
"""The add-on's names for AWS's; all others are AWS's with underscores."""
_TRANSIT_GATEWAY = frozenset({"tgw-id", "tgw-attachment-id", "resource-type"})


def is_transit_gateway(layout: Sequence[str]) -> bool:
    """Whether lines of a layout are of Transit Gateway flow logs."""
    return not _TRANSIT_GATEWAY.isdisjoint(layout)


def splunk_name(name: str) -> str:
    """Return the add-on's name for one of AWS's fields."""
    return _NAMES.get(name) or name.replace("-", "_")


def event_writer(layout: Sequence[str]) -> Written:
    """Return a function for the events of one layout's lines; a line with other than its number of fields stays text.

    Args:
        layout: AWS's field names in order; empty where they are unknown.
    """
    names = tuple(map(splunk_name, layout))
    # An object would lose one of two values of a name; AWS names no field twice.
    as_text = not names or len(set(names)) != len(names) or tuple(layout) in _ADD_ON

    def write(text: str, parts: Sequence[str]) -> str:
        if as_text or len(parts) != len(names):
            return orjson.dumps(text).decode()
        return orjson.dumps(dict(zip(names, parts, strict=True))).decode()

    return write
