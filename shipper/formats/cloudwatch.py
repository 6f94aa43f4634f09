"""What leaves CloudWatch Logs as files: subscription filters' envelopes, saved FilterLogEvents pages, and plain lines.

Source: "Log group-level subscription filters" (CloudWatch Logs User Guide): DATA_MESSAGE and CONTROL_MESSAGE; Firehose
writes envelopes one after another into an S3 object, with nothing between them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
from msgspec.structs import replace

from shipper.errors import BadInputError
from shipper.formats.cloudtrail_scanner import Junk, Overlong, RecordScanner
from shipper.formats.lines import KEPT_BYTES, LongLine, lines
from shipper.formats.stored_bytes import decompressed
from shipper.model import LogEvent, LogStream, Origin, Payload, ReadLimits, Record, Rejected, hash64

_ENVELOPES = (b'{"messageType"', b'{"owner"')
_PAGE_STARTS = (*_ENVELOPES, b'{"events"', b'{ "events"')
_START_BYTES = 64
_DOCUMENTS_START = re.compile(rb"\[\s*[{\]]|\{\s*\n")
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogStream.html
_LONGEST_NAME = 512
_KEPT_OF_NAME = 400
_ENVELOPE_FACTOR = 8
"""An envelope holds many events: so many times the bytes of the largest record are read as one."""


class CloudWatchFormat:
    """Takes files of log events apart; a line that is no envelope is an event of its own, without CloudWatch's id.

    Args:
        limits: of objects and events.
        documents: events are JSON objects, so that an array of them, or one over many lines, is taken apart too.
    """

    def __init__(self, limits: ReadLimits, *, documents: bool = False) -> None:
        self._limits = limits
        self._documents = documents

    def records(self, payload: Payload) -> Iterator[Record | Rejected]:
        """Yield the payload's events in order.

        Raises:
            BadInputError: the rest is unreadable: truncated, damaged, over a limit.
            RetryableError: from the payload's own chunks.
        """
        first, chunks = _beginning(decompressed(payload, self._limits))
        yield from self.taken_apart(first, chunks, payload.origin)

    def taken_apart(self, first: bytes, chunks: Iterable[bytes], origin: Origin) -> Iterator[Record | Rejected]:
        """Yield the events of what is decompressed already; see `records`.

        Args:
            first: the beginning, which says what it is.
            chunks: the rest.
        """
        start = first.lstrip()
        whole: Iterable[bytes] = itertools.chain([first], chunks)
        if self._documents and _DOCUMENTS_START.match(start):
            yield from self._scanned(whole, origin)
            return
        if is_enveloped(start):
            whole = _separated(whole)
        batches = lines(whole, self._limits.record_bytes * _ENVELOPE_FACTOR)
        # Batches of nothing but blanks cost no step for each of their lines.
        found = (line for batch in batches if b"".join(batch).strip() for line in batch if line.strip())
        if start[:1] == b"{" and start[1:2] in b"\r\n":
            yield from self._page_over_lines(found, origin)
            return
        position = 0
        for line in found:
            for record in self._line(line, position + 1, origin):
                position += 1
                yield record

    def _scanned(self, chunks: Iterable[bytes], origin: Origin) -> Iterator[Record | Rejected]:
        """Objects of an array, or over many lines."""
        scanner, position = RecordScanner(self._limits.record_bytes * _ENVELOPE_FACTOR), 0
        for chunk in chunks:
            for raw in scanner.feed(chunk):
                if isinstance(raw, Junk):
                    position += 1
                    yield Rejected(bytes(raw), position, "not a JSON object")
                    continue
                for record in self._line(LongLine(raw) if isinstance(raw, Overlong) else raw, position + 1, origin):
                    position += 1
                    yield record
        if not scanner.complete:
            raise BadInputError(
                "not JSON, or cut off: it ends in the middle of something; upload the object again, whole"
            )

    def _page_over_lines(self, found: Iterable[bytes], origin: Origin) -> Iterator[Record | Rejected]:
        """A page as `aws logs filter-log-events` prints it, over many lines; bounded like an envelope."""
        most, kept, size = self._limits.record_bytes * _ENVELOPE_FACTOR, [], 0
        for line in found:
            kept.append(line)
            size += len(line)
            if size > most:
                raise BadInputError(f"a page of more than {most} bytes")
        yield from self._line(b"\n".join(kept), 1, origin)

    def _line(self, line: bytes, position: int, origin: Origin) -> Iterator[Record | Rejected]:
        if isinstance(line, LongLine) or line.startswith(_PAGE_STARTS) or line.startswith((b"{\n", b"{\r")):
            envelope = None if isinstance(line, LongLine) else _parsed(line)
            if envelope is not None and envelope.get("messageType") == "CONTROL_MESSAGE":
                return
            events = envelope and (envelope.get("logEvents") or envelope.get("events"))
            if envelope is not None and isinstance(events, list):
                yield from self._events(envelope, events, position, origin)
                return
        if len(line) > self._limits.record_bytes or isinstance(line, LongLine):
            yield Rejected(bytes(line[:KEPT_BYTES]), position, "the line is longer than allowed")
        else:
            yield Record(line, position)

    def _events(
        self, envelope: dict[str, Any], events: list[Any], position: int, origin: Origin
    ) -> Iterator[Record | Rejected]:
        account, group = _name(envelope.get("owner")) or origin.account, _name(envelope.get("logGroup"))
        envelope_stream = _name(envelope.get("logStream"))
        streams: dict[str, LogStream] = {}
        for number, event in enumerate(events, position):
            if not isinstance(event, dict) or not isinstance(event.get("message"), str):
                yield Rejected(orjson.dumps(event)[:KEPT_BYTES], number, "a log event without a message")
                continue
            name = _name(event.get("logStreamName")) or envelope_stream
            stream = streams.setdefault(name, LogStream(account, origin.region, group, name))
            raw = event["message"].encode("utf-8", "replace")
            identity, time_ms = event.get("id") or event.get("eventId"), event.get("timestamp")
            if len(raw) > self._limits.record_bytes:
                yield Rejected(raw[:KEPT_BYTES], number, "the message is longer than allowed")
            elif isinstance(identity, str) and isinstance(time_ms, int):
                ingested = event.get("ingestionTime")
                ingested = ingested if isinstance(ingested, int) else None
                yield Record(raw, number, None, LogEvent(identity, time_ms, stream, ingested))
            else:
                yield Rejected(raw[:KEPT_BYTES], number, "a log event without an id or a time")


def is_enveloped(start: bytes) -> bool:
    """Whether what begins so is what a subscription filter wrote."""
    return start.startswith(_ENVELOPES)


def enveloped(
    first: bytes, chunks: Iterable[bytes], origin: Origin, limits: ReadLimits, layout: tuple[str, ...] | None = None
) -> Iterator[Record | Rejected]:
    """Yield the events of envelopes, for formats of logs that are written to log groups too.

    Args:
        first: the decompressed beginning.
        chunks: the rest.
        layout: of the events' lines, where it is known.

    Raises:
        BadInputError, RetryableError: from the chunks.
    """
    for record in CloudWatchFormat(limits).taken_apart(first, chunks, origin):
        yield record if layout is None or isinstance(record, Rejected) else replace(record, layout=layout)


def _beginning(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    first = b""
    for chunk in chunks:
        first += chunk
        if len(first) >= _START_BYTES:
            break
    return first, chunks


def _separated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Put a line end between envelopes; a quote within a message is escaped, so nothing else looks like that."""
    marks, rest = [b"}" + start for start in _ENVELOPES], b""
    held = max(map(len, marks)) - 1
    for chunk in chunks:
        data = rest + chunk
        for mark in marks:
            data = data.replace(mark, b"}\n" + mark[1:])
        rest = data[-held:]
        yield data[:-held]
    yield rest


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _name(value: Any) -> str:
    """Return a name, which each event's document repeats; one longer than AWS allows is cut, and told by a hash."""
    if not isinstance(value, str):
        return ""
    if len(value) <= _LONGEST_NAME:
        return value
    return f"{value[:_KEPT_OF_NAME]}…{hash64(value) % 2**64:016x}"
