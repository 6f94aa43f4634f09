"""HEC's `source` of what came from log groups, as the Splunk Add-on for AWS writes and reads it."""

from __future__ import annotations

from shipper.model import LogStream

UNKNOWN_REGION = "unknown"
"""What the add-on itself writes for values that are missing."""


def stream_source(stream: LogStream, otherwise: str) -> str:
    """Return `<region>:<log group>:<log stream>`, whose first part the add-on takes for the region, whatever it is.

    Args:
        stream: where an event is from.
        otherwise: the source where neither group nor stream is known.
    """
    place = [part for part in (stream.group, stream.name) if part]
    return ":".join((stream.region or UNKNOWN_REGION, *place)) if place else otherwise
