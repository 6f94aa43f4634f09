"""CloudWatch Logs events of any kind as ECS documents of Elastic's AWS integration (`cloudwatch_logs`, `ec2_logs`).

A message that is a JSON object is kept as text and, bounded in depth and names, as the one flattened field
`aws.cloudwatch.fields`: no application's fields can swell the mapping.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from shipper.errors import BadInputError
from shipper.model import Document, LogEvent, Origin, Record
from shipper.ports import Clock, Encoder, wall_clock
from shipper.schemas.ecs.lambda_lines import lambda_fields
from shipper.schemas.line_ids import line_ids
from shipper.schemas.log_event_ids import event_document_id

ECS_VERSION = "8.11.0"
_MOST_DEPTH = 20
_MOST_NAME = 256
_LAST_MS = 253_402_300_799_999
_ISO_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)"
_TIME = re.compile(_ISO_TIME)
_SYSLOG = re.compile(
    rf"(?P<time>{_ISO_TIME}) [A-Z][a-z]{{2}} +\d{{1,2}} \d\d:\d\d:\d\d (?P<host>[\w.:-]{{1,255}})"
    r" (?P<process>[^\n]{0,255}?): (?P<message>.*)",
    re.DOTALL,
)


class CloudWatchEcs:
    """Makes ECS documents of log events. Safe to use from many threads.

    Args:
        namespace: of the data stream.
        system: true for an instance's system log (`ec2_logs`): the message is what the process wrote, the time is the
            line's own.
        clock: the time of lines that have none.
    """

    def __init__(self, namespace: str, *, system: bool = False, clock: Clock = wall_clock) -> None:
        self._dataset = "aws.ec2_logs" if system else "aws.cloudwatch_logs"
        self._index = f"logs-{self._dataset}-{namespace}"
        self._stream = {"type": "logs", "dataset": self._dataset, "namespace": namespace}
        self._system = system
        self._clock = clock

    def encoder(self, origin: Origin) -> Encoder:
        """Return a function for the records of one file, or one window of a log group."""
        identity = line_ids(origin.uri)
        now_ms = int(self._clock() * 1000)

        def encode(record: Record) -> Document:
            text = record.raw.decode("utf-8", "replace")
            event = record.event
            time_ms = _time_of(event, text, now_ms, own=self._system)
            body = self._document(text, event, time_ms, origin)
            key = event_document_id(event, event.time_ms) if event else identity(time_ms, record.position)
            return Document(key, self._index, time_ms, orjson.dumps(body), record, origin)

        return encode

    def _document(self, text: str, event: LogEvent | None, time_ms: int, origin: Origin) -> dict[str, Any]:
        document: dict[str, Any] = {
            "@timestamp": iso_time(time_ms),
            "data_stream": self._stream,
            "ecs": {"version": ECS_VERSION},
            "event": {"kind": "event", "module": "aws", "dataset": self._dataset, "original": text},
            "message": text,
            "cloud": {"provider": "aws"},
        }
        aws: dict[str, Any] = {}
        if event is not None:
            _place(document, aws, event)
        elif origin.uri:
            document["log"] = {"file": {"path": origin.uri}}
        if found := _SYSLOG.match(text):
            document["process"] = {"name": found["process"]}
            aws["ec2"] = {"ip_address": found["host"]}
            if self._system:
                document["message"] = found["message"]
        fields = _object_of(text)
        if fields is not None:
            aws.setdefault("cloudwatch", {})["fields"] = _bounded(fields)
            if isinstance(level := fields.get("level"), str) and len(level) < 32:
                document.setdefault("log", {})["level"] = level.lower()
        if lambda_part := lambda_fields(text, fields):
            document["faas"], aws["lambda"] = lambda_part
        if aws:
            document["aws"] = aws
        return document


def _place(document: dict[str, Any], aws: dict[str, Any], event: LogEvent) -> None:
    """Say where an event is from, as Filebeat's input does."""
    stream = event.stream
    document["event"]["id"] = event.id
    if stream.account:
        document["cloud"]["account"] = {"id": stream.account}
    if stream.region:
        document["cloud"]["region"] = stream.region
    place = {"log_group": stream.group, "log_stream": stream.name}
    if event.ingested_ms is not None and 0 <= event.ingested_ms <= _LAST_MS:
        place["ingestion_time"] = iso_time(event.ingested_ms)
    aws["cloudwatch"] = dict(place)
    document["awscloudwatch"] = place
    document["log"] = {"file": {"path": f"{stream.group}/{stream.name}"}}


def iso_time(time_ms: int) -> str:
    """Milliseconds since the epoch as ISO 8601 in UTC.

    Raises:
        BadInputError: it is no time of the calendar.
    """
    if not 0 <= time_ms <= _LAST_MS:
        raise BadInputError(f"{time_ms} is no time")
    return f"{datetime.fromtimestamp(time_ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


def _time_of(event: LogEvent | None, text: str, now_ms: int, *, own: bool) -> int:
    if event is not None and not own:
        return event.time_ms
    fallback_ms = now_ms if event is None else event.time_ms
    found = _TIME.match(text)
    if found is None:
        return fallback_ms
    try:
        moment = datetime.fromisoformat(found[0])
        return max(int(moment.timestamp() * 1000 + 0.5), 0)
    except (ValueError, OverflowError):
        return fallback_ms


def _object_of(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _bounded(value: Any, depth: int = _MOST_DEPTH) -> Any:
    """The value with what lies too deep as text, and without names that no index could hold."""
    if isinstance(value, Mapping):
        if not depth:
            return orjson.dumps(value).decode()
        kept = {name: _bounded(item, depth - 1) for name, item in value.items() if 0 < len(name) <= _MOST_NAME}
        return {name.replace("\0", ""): item for name, item in kept.items()}
    if isinstance(value, list):
        return [_bounded(item, depth - 1) for item in value] if depth else orjson.dumps(value).decode()
    return value.replace("\0", "") if isinstance(value, str) else value
