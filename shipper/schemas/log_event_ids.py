"""Document ids of CloudWatch Logs events: the same however an event comes, so that nothing is doubled.

The region is no part of it: a subscription filter's envelope does not name it (docs/adr/0008).
"""

from __future__ import annotations

from shipper.model import LogEvent, document_id


def event_document_id(event: LogEvent, time_ms: int) -> str:
    """The id of an event's document.

    Args:
        time_ms: the document's time, milliseconds since the epoch.
    """
    stream = event.stream
    return document_id(time_ms, stream.account, stream.group, stream.name, event.id)
