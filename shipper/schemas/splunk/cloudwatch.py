"""CloudWatch Logs events as HEC envelopes, for the Splunk Add-on for AWS (`aws:cloudwatchlogs`)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

from shipper.exported_lines import parted
from shipper.model import Document, Origin, Record
from shipper.ports import Clock, Encoder, wall_clock
from shipper.schemas.event_times import COMMON_LOG_FORM, time_of
from shipper.schemas.flow_log_names import label_ms
from shipper.schemas.line_ids import line_ids
from shipper.schemas.log_event_ids import event_document_id
from shipper.schemas.splunk.event_fields import EventFields
from shipper.schemas.splunk.places import FlatPlaces
from shipper.schemas.splunk.stream_sources import stream_source

SOURCETYPE = "aws:cloudwatchlogs"
EKS_SOURCETYPE = "aws:cloudwatchlogs:eks"
RESOLVER_TIME = re.compile(rb'"query_timestamp"\s*:\s*"([0-9TZ:.+-]{10,40})"')
PUBLIC_TIME = re.compile(rb"\A\d+\.\d+ ([0-9TZ:.+-]{10,40}) ")
ELB_SOURCETYPE = "aws:elb:accesslogs"
ELB_TIME = re.compile(rb"\A(?:\w{1,16} (?:\d\.\d )?)?(\d{4}-\d\d-\d\dT[0-9Z:.+-]{8,24}) ")
S3ACCESS_SOURCETYPE = "aws:s3:accesslogs"
S3ACCESS_TIME = re.compile(rb"\A\S+ \S+ \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] ")
WAF_SOURCETYPE = "aws:waf"
WAF_TIME = re.compile(rb'"timestamp"\s*:\s*"?([0-9TZ:.+-]{10,40})')
LINES: Mapping[str, tuple[str | None, re.Pattern[bytes] | None]] = {
    "route53_resolver": (None, RESOLVER_TIME),
    "route53_public": (None, PUBLIC_TIME),
    "eks": (EKS_SOURCETYPE, None),
    "elb": (ELB_SOURCETYPE, ELB_TIME),
    "s3access": (S3ACCESS_SOURCETYPE, S3ACCESS_TIME),
    "waf": (WAF_SOURCETYPE, WAF_TIME),
}
"""By log type: the sourcetype and `line_time` of `CloudWatchSplunk`, where they are others than its defaults."""
_MOST_SEARCHED = 8192
_MOST_TIME = 64
_MOST_DIGITS = 15


class CloudWatchSplunk:
    """Makes HEC envelopes of log events: the event is the message as it was written. Safe to use from many threads.

    Args:
        index: "" for the token's own.
        host: "" for none.
        sourcetype: of all events; None for that of each event's log group.
        line_time: finds the time of lines that are no events of a log group: its first group, in ISO 8601, the Common
            Log Format, or milliseconds since the epoch.
        places: None to leave out what is known of an event's account, region and log group.
        known: None to leave out what is known of a message's addresses, names and user agent.
        clock: the time of lines that have none.
    """

    def __init__(
        self,
        index: str,
        host: str,
        *,
        sourcetype: str | None = None,
        line_time: re.Pattern[bytes] | None = None,
        places: FlatPlaces | None = None,
        known: EventFields | None = None,
        clock: Clock = wall_clock,
    ) -> None:
        self._sourcetype = sourcetype
        self._places = places
        self._known = known
        self._line_time = line_time
        self._shared = {name: value for name, value in (("host", host), ("index", index)) if value}
        self._index = index
        self._clock = clock

    def encoder(self, origin: Origin) -> Encoder:
        """Return a function for the records of one file, or one window of a log group."""
        identity = line_ids(origin.uri)
        fallback_ms = label_ms(origin.key or origin.uri) or int(self._clock() * 1000)

        def encode(record: Record) -> Document:
            event = record.event
            said_ms = event.time_ms if event else self._said_ms(record.raw)
            time_ms = fallback_ms if said_ms is None else said_ms
            key = event_document_id(event, event.time_ms) if event else identity(said_ms or 0, record.position)
            source, sourcetype = origin.uri, self._sourcetype or SOURCETYPE
            if event is not None:
                stream = event.stream
                source = stream_source(stream, origin.uri)
                if stream.group.startswith("/aws/eks/") and stream.group.endswith("/cluster"):
                    sourcetype = EKS_SOURCETYPE
            text = record.raw.decode("utf-8", "replace")
            envelope = {
                "time": time_ms / 1000,
                **self._shared,
                "source": source,
                "sourcetype": sourcetype,
                "event": text,
                "fields": {"event_uid": key},
            }
            more = b""
            if self._places is not None:
                places, here = self._places, (origin.account, origin.region)
                more = places.of_event(event) if event is not None else places.find(*here)
            if self._known is not None:
                more += self._known.find(text, event)
            if more:
                envelope["fields"] = orjson.Fragment(b'{"event_uid":"%b"%b}' % (key.encode(), more))
            return Document(key, self._index, time_ms, orjson.dumps(envelope), record, origin)

        return encode

    def _said_ms(self, raw: bytes) -> int | None:
        exported, _ = parted(raw[:_MOST_TIME].decode("utf-8", "replace"))
        begin = len(exported) + 1 if exported else 0
        most = begin + _MOST_SEARCHED
        found = self._line_time.search(raw[begin:most]) if self._line_time is not None else None
        if found is None:
            return time_of(exported) if exported else None
        text = found[1].decode("ascii", "replace")
        if text.isdigit() and len(text) <= _MOST_DIGITS:  # milliseconds
            return int(text)
        return time_of(text, COMMON_LOG_FORM if "/" in text else "")
