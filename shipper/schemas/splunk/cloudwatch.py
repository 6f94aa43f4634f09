"""CloudWatch Logs events as HEC envelopes, for the Splunk Add-on for AWS (`aws:cloudwatchlogs`)."""

from __future__ import annotations

import orjson

from shipper.model import Document, Origin, Record
from shipper.ports import Clock, Encoder, wall_clock
from shipper.schemas.line_ids import line_ids
from shipper.schemas.log_event_ids import event_document_id

SOURCETYPE = "aws:cloudwatchlogs"
EKS_SOURCETYPE = "aws:cloudwatchlogs:eks"


class CloudWatchSplunk:
    """Makes HEC envelopes of log events: the event is the message as it was written. Safe to use from many threads.

    Args:
        index: "" for the token's own.
        host: "" for none.
        clock: the time of lines that have none.
    """

    def __init__(self, index: str, host: str, *, clock: Clock = wall_clock) -> None:
        self._shared = {name: value for name, value in (("host", host), ("index", index)) if value}
        self._index = index
        self._clock = clock

    def encoder(self, origin: Origin) -> Encoder:
        """Return a function for the records of one file, or one window of a log group."""
        identity = line_ids(origin.uri)
        now_ms = int(self._clock() * 1000)

        def encode(record: Record) -> Document:
            event = record.event
            time_ms = event.time_ms if event else now_ms
            key = event_document_id(event, time_ms) if event else identity(time_ms, record.position)
            source, sourcetype = origin.uri, SOURCETYPE
            if event is not None:
                stream = event.stream
                source = ":".join(part for part in (stream.region, stream.group, stream.name) if part)
                if stream.group.startswith("/aws/eks/") and stream.group.endswith("/cluster"):
                    sourcetype = EKS_SOURCETYPE
            envelope = {
                "time": time_ms / 1000,
                **self._shared,
                "source": source,
                "sourcetype": sourcetype,
                "event": record.raw.decode("utf-8", "replace"),
                "fields": {"event_uid": key},
            }
            return Document(key, self._index, time_ms, orjson.dumps(envelope), record, origin)

        return encode
