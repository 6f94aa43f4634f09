"""What the ECS documents of all log events have in common: their place, their time, and bounded JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Any, Self

import orjson

from shipper.errors import BadInputError
from shipper.exported_lines import parted
from shipper.model import Document, LogEvent, Origin, Record
from shipper.ports import Clock, Encoder, GeoLookup, wall_clock
from shipper.schemas.ecs.addresses import is_address
from shipper.schemas.ecs.unparsed import is_unparsed, mark_no_time
from shipper.schemas.event_times import LAST_MS, time_of
from shipper.schemas.fallback_times import fallback_ms
from shipper.schemas.line_ids import line_ids
from shipper.schemas.log_event_ids import event_document_id

ECS_VERSION = "8.11.0"
_MOST_DEPTH = 20
_MOST_TIMES = 4_096
_MOST_PATHS = 2_048
_MOST_NAME = 256
_MOST_NAMES = 1000
_MOST_DIGITS = 18
_NOWHERE = Origin("", "", "")

Fields = dict[str, Any]
Describe = Callable[[Fields, str, LogEvent | None], int | None]
"""(document, message, what CloudWatch says of it) → the message's own time in milliseconds, None where it has none.

Adds to the document, whose `event`, `cloud` and `aws` are there, what the message says. It may put another
`data_stream` in place of the one that is there.
"""


class LogEventEcs:
    """Makes ECS documents of the log events of one dataset. Safe to use from many threads.

    Args:
        dataset: the data stream's dataset.
        namespace: of the data stream.
        describe: what the messages say. Safe to use from many threads.
        own_time: the time that a message says counts for more than CloudWatch's.
        exported: whether the time that an export from CloudWatch Logs writes in front of a line is taken off before
            `describe` reads it; false where `describe` knows such lines itself.
        formed: messages have known forms; one that has none is marked by `describe` (`mark_unparsed`).
        clock: the time of lines that have none.
    """

    def __init__(
        self,
        dataset: str,
        namespace: str,
        describe: Describe,
        *,
        own_time: bool = False,
        exported: bool = True,
        formed: bool = False,
        clock: Clock = wall_clock,
    ) -> None:
        self.own_time, self.formed = own_time, formed
        self._dataset = dataset
        self._stream = {"type": "logs", "dataset": dataset, "namespace": namespace}
        self._index = _index_of(self._stream)
        self._describe = _behind_export_time(describe, own_time=own_time) if exported else describe
        self._clock = clock
        self._more: Callable[[Fields, LogEvent | None], None] | None = None

    def adding(self, more: Callable[[Fields, LogEvent | None], None] | None) -> Self:
        """The same, with documents that carry more.

        Args:
            more: adds to a document, after its message did; None for nothing. Safe to use from many threads.
        """
        self._more = more
        return self

    def read(self, text: str, event: LogEvent | None) -> tuple[Fields, int | None]:
        """Return what a message says, as a document has it, and the time: its own, or CloudWatch's, or None.

        Raises:
            BadInputError: it can be no document.
        """
        document = self._skeleton(text, event, _NOWHERE)
        return document, self._time(self._describe(document, text, event), event)

    def _time(self, said_ms: int | None, event: LogEvent | None) -> int | None:
        """Return the time of a message, in milliseconds since the epoch.

        Args:
            said_ms: the time that the message itself says.
        """
        if said_ms is not None and 0 <= said_ms <= LAST_MS and (event is None or self.own_time):
            return said_ms
        return event.time_ms if event is not None else None

    def encoder(self, origin: Origin) -> Encoder:
        """Return a function for the records of one file, or one window of a log group."""
        identity = line_ids(origin.uri)
        otherwise_ms = fallback_ms(origin, self._clock)

        def encode(record: Record) -> Document:
            text = record.raw.decode("utf-8", "replace")
            event = record.event
            document = self._skeleton(text, event, origin)
            said_ms = self._time(self._describe(document, text, event), event)
            if self._more is not None:
                self._more(document, event)
            time_ms = otherwise_ms if said_ms is None else said_ms
            if said_ms is None:
                mark_no_time(document)
            document["@timestamp"] = iso_time(time_ms)
            if not document["aws"]:
                del document["aws"]
            # A line's id knows no clock: read again, it is the same line.
            key = event_document_id(event, event.time_ms) if event else identity(said_ms or 0, record.position)
            stream = document["data_stream"]  # which a message may have chosen for itself
            index = self._index if stream is self._stream else _index_of(stream)
            body = orjson.dumps(document)
            return Document(key, index, time_ms, body, record, origin, self.formed and is_unparsed(document))

        return encode

    def _skeleton(self, text: str, event: LogEvent | None, origin: Origin) -> Fields:
        document: Fields = {
            "@timestamp": None,
            "data_stream": self._stream,
            "ecs": {"version": ECS_VERSION},
            "event": {"kind": "event", "module": "aws", "dataset": self._dataset, "original": text},
            "cloud": {"provider": "aws"},
            "aws": {},
        }
        if event is not None:
            _place(document, event)
        elif origin.uri:
            document["log"] = {"file": {"path": origin.uri}}
            if origin.account:
                document["cloud"]["account"] = {"id": origin.account}
            if origin.region:
                document["cloud"]["region"] = origin.region
            if origin.bucket:
                document["aws"]["s3"] = {"bucket": {"name": origin.bucket}, "object": {"key": origin.key}}
        return document


def _behind_export_time(describe: Describe, *, own_time: bool) -> Describe:
    """Return what describes lines that CloudWatch Logs exported too: their time stands in front, as the event's."""

    def behind(document: Fields, text: str, event: LogEvent | None) -> int | None:
        exported, message = parted(text) if event is None else ("", text)
        said_ms = describe(document, message, event)
        if not exported:
            return said_ms
        if is_unparsed(document):
            document["message"] = text
        return said_ms if own_time and said_ms is not None else time_of(exported)

    return behind


def _index_of(stream: Mapping[str, str]) -> str:
    return f"{stream['type']}-{stream['dataset']}-{stream['namespace']}"


def _place(document: Fields, event: LogEvent) -> None:
    """Say where an event is from, as Filebeat's input does."""
    stream = event.stream
    document["event"]["id"] = event.id
    if stream.account:
        document["cloud"]["account"] = {"id": stream.account}
    if stream.region:
        document["cloud"]["region"] = stream.region
    place = {"log_group": stream.group, "log_stream": stream.name}
    if event.ingested_ms is not None and 0 <= event.ingested_ms <= LAST_MS:
        place["ingestion_time"] = iso_time(event.ingested_ms)
    document["aws"]["cloudwatch"] = dict(place)
    document["awscloudwatch"] = place
    document["log"] = {"file": {"path": f"{stream.group}/{stream.name}"}}


def iso_time(time_ms: int) -> str:
    """Milliseconds since the epoch as ISO 8601 in UTC.

    Raises:
        BadInputError: it is no time of the calendar.
    """
    if not 0 <= time_ms <= LAST_MS:
        raise BadInputError(f"{time_ms} is no time")
    return f"{_to_the_second(time_ms // 1000)}.{time_ms % 1000:03d}Z"


@lru_cache(_MOST_TIMES)
def _to_the_second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def object_of(text: str) -> Fields | None:
    """A message as a JSON object, None where it is none."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def add_fields(document: Fields, fields: Mapping[str, Any]) -> None:
    """Keep a message's JSON object, bounded in depth and names, as one flattened field, and its level."""
    document["aws"].setdefault("cloudwatch", {})["fields"] = bounded(fields)
    if isinstance(level := fields.get("level"), str) and 0 < len(level) < 32:
        document.setdefault("log", {})["level"] = level.lower()


def bounded(value: Any, depth: int = _MOST_DEPTH) -> Any:
    """The value with what lies too deep as text, and without names that no index could hold or that are too many."""
    if isinstance(value, Mapping):
        if not depth:
            return orjson.dumps(value).decode()
        some = value.items() if len(value) <= _MOST_NAMES else islice(value.items(), _MOST_NAMES)
        kept = {name: bounded(item, depth - 1) for name, item in some if 0 < len(name) <= _MOST_NAME}
        return {name.replace("\0", ""): item for name, item in kept.items()}
    if isinstance(value, list):
        return [bounded(item, depth - 1) for item in value] if depth else orjson.dumps(value).decode()
    return value.replace("\0", "") if isinstance(value, str) else value


def text_in(fields: Mapping[str, Any], *names: str) -> str | None:
    """The first of some values that is a text or a number, as text; empty ones are none."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
    return None


def number_in(fields: Mapping[str, Any], *names: str) -> int | None:
    """The first of some values that is a whole number, or a text of one, within Elasticsearch's `long`."""
    for name in names:
        text = text_in(fields, name)
        if text is not None and (found := whole(text)) is not None:
            return found
    return None


def whole(text: str) -> int | None:
    """A text's whole number without sign, None for any other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


def merge(into: Fields, more: Mapping[str, Any]) -> None:
    """Add nested fields to a document; objects are merged, anything else is replaced."""
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(there := into.get(name), dict):
            merge(there, value)
        else:
            into[name] = value


def add(document: Fields, fields: Mapping[str, Any]) -> None:
    """Add fields by dotted path to a document; those of None are left out."""
    for path, value in fields.items():
        if value is None:
            continue
        parents, leaf = _way(path)
        place = document
        for name in parents:
            inner = place.get(name)
            if type(inner) is not dict:
                inner = place[name] = {}
            place = inner
        if type(value) is dict and type(there := place.get(leaf)) is dict:
            merge(there, value)
        else:
            place[leaf] = value


def add_end(document: Fields, side: str, address: str, geo: GeoLookup | None) -> Mapping[str, Any]:
    """Add an end of the traffic; an IP address with its place, which is returned: empty where nothing is known.

    Args:
        side: `source` or `client`.
        address: an IP address, or the name that stands in its place.
    """
    add(document, {f"{side}.address": address})
    if not is_address(address):
        return {}
    add(document, {f"{side}.ip": address, "related.ip": [address]})
    place = geo(address) if geo is not None else None
    if not place:
        return {}
    merge(document[side], place)
    return place


@lru_cache(_MOST_PATHS)
def _way(path: str) -> tuple[tuple[str, ...], str]:
    *parents, leaf = path.split(".")
    return tuple(parents), leaf
