"""CloudWatch Logs events as HEC envelopes, for the Splunk Add-on for AWS (`aws:cloudwatchlogs`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

import orjson

from shipper.errors import BadInputError
from shipper.exported_lines import parted
from shipper.model import Document, LogEvent, Origin, Record
from shipper.ports import Clock, Encoder, wall_clock
from shipper.schemas.event_times import COMMON_LOG_FORM, LAST_MS, time_of
from shipper.schemas.fallback_times import NO_TIME, UNPARSED, fallback_ms
from shipper.schemas.line_ids import line_ids
from shipper.schemas.log_event_ids import event_document_id
from shipper.schemas.splunk.event_fields import EventFields
from shipper.schemas.splunk.places import FlatPlaces
from shipper.schemas.splunk.stream_sources import stream_source
from shipper.schemas.splunk.tags import TAGS_MEMBER

SOURCETYPE = "aws:cloudwatchlogs"
EKS_SOURCETYPE = "aws:cloudwatchlogs:eks"
ELB_SOURCETYPE = "aws:elb:accesslogs"
S3ACCESS_SOURCETYPE = "aws:s3:accesslogs"
WAF_SOURCETYPE = "aws:waf"
SOURCETYPES: Mapping[str, str] = {
    "eks": EKS_SOURCETYPE,
    "elb": ELB_SOURCETYPE,
    "s3access": S3ACCESS_SOURCETYPE,
    "waf": WAF_SOURCETYPE,
}
"""By log type: the sourcetype of `CloudWatchSplunk`, where it is another than its default."""


LINE_TIMES: Mapping[str, re.Pattern[str]] = {
    "elb": re.compile(r"(?:\w{1,16} (?:\d\.\d )?)?(\d{4}-\d\d-\d\dT[0-9Z:.]{8,24}) "),
    "s3access": re.compile(r"\S+ \S+ \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "),
}
"""By log type: where the time stands in lines of a known layout; to read all of such a line costs ten times as much."""


class Reader(Protocol):
    """What messages of one log type say; the schema for Elasticsearch reads them alike.

    Attributes:
        own_time: the time that a message says counts for more than CloudWatch's.
        formed: messages have known forms; one that has none is tagged.
    """

    own_time: bool
    formed: bool

    def read(self, text: str, event: LogEvent | None) -> tuple[Mapping[str, Any], int | None]:
        """Return what a message says, as ECS fields, and its time in milliseconds; None where there is none.

        Raises:
            BadInputError: it can be no document.
        """
        ...


class CloudWatchSplunk:
    """Makes HEC envelopes of log events: the event is the message as it was written. Safe to use from many threads.

    Args:
        index: "" for the token's own.
        host: "" for none.
        reader: reads messages, for their time, their tags and what is looked up.
        sourcetype: of all events; None for that of each event's log group.
        line_time: finds the time, as its first group, of lines whose layout is known (`LINE_TIMES`).
        places: None to leave out what is known of an event's account, region and log group.
        known: None to leave out what is known of a message's addresses, names and user agent.
        clock: the time of lines that have none.
    """

    def __init__(
        self,
        index: str,
        host: str,
        reader: Reader,
        *,
        sourcetype: str | None = None,
        line_time: re.Pattern[str] | None = None,
        places: FlatPlaces | None = None,
        known: EventFields | None = None,
        clock: Clock = wall_clock,
    ) -> None:
        self._sourcetype = sourcetype
        self._places = places
        self._known = known
        self._reader = reader
        self._line_time = line_time if known is None else None
        self._always = reader.own_time or reader.formed or known is not None
        self._shared = {name: value for name, value in (("host", host), ("index", index)) if value}
        self._index = index
        self._clock = clock

    def encoder(self, origin: Origin) -> Encoder:
        """Return a function for the records of one file, or one window of a log group."""
        identity = line_ids(origin.uri)
        otherwise_ms = fallback_ms(origin, self._clock)
        read, always = self._reader.read, self._always

        def encode(record: Record) -> Document:
            event = record.event
            text = record.raw.decode("utf-8", "replace")
            said: Mapping[str, Any] = {}
            if record.layout is not None and event is None and (found_ms := self._found_ms(text)) is not None:
                said_ms: int | None = found_ms
            elif event is None or always:
                said, said_ms = read(text, event)
            else:  # the time is CloudWatch's, whatever the message says
                said_ms = event.time_ms
            time_ms = otherwise_ms if said_ms is None else said_ms
            if not 0 <= time_ms <= LAST_MS:
                raise BadInputError(f"{time_ms} is no time")
            key = event_document_id(event, event.time_ms) if event else identity(said_ms or 0, record.position)
            source, sourcetype = origin.uri, self._sourcetype or SOURCETYPE
            if event is not None:
                stream = event.stream
                source = stream_source(stream, origin.uri)
                if stream.group.startswith("/aws/eks/") and stream.group.endswith("/cluster"):
                    sourcetype = EKS_SOURCETYPE
            envelope = {
                "time": time_ms / 1000,
                **self._shared,
                "source": source,
                "sourcetype": sourcetype,
                "event": text,
                "fields": {"event_uid": key},
            }
            tags = [*said.get("tags", ()), *([NO_TIME] if said_ms is None else ())]
            more = TAGS_MEMBER % orjson.dumps(tags) if tags else b""
            if self._places is not None:
                places, here = self._places, (origin.account, origin.region)
                more += places.of_event(event) if event is not None else places.find(*here)
            if self._known is not None:
                more += self._known.of(said)
            if more:
                envelope["fields"] = orjson.Fragment(b'{"event_uid":"%b"%b}' % (key.encode(), more))
            body = orjson.dumps(envelope)
            return Document(key, self._index, time_ms, body, record, origin, UNPARSED in tags)

        return encode

    def _found_ms(self, text: str) -> int | None:
        found = self._line_time.match(parted(text)[1]) if self._line_time is not None else None
        if found is None:
            return None
        time_ms = time_of(found[1], COMMON_LOG_FORM if "/" in found[1] else "")
        return time_ms if time_ms is not None and 0 <= time_ms <= LAST_MS else None
