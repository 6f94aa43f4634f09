"""What leaves CloudWatch Logs as files: subscription filters' envelopes, saved FilterLogEvents pages, and plain lines.

Source: "Log group-level subscription filters" (CloudWatch Logs User Guide): DATA_MESSAGE and CONTROL_MESSAGE; Firehose
writes envelopes one after another into an S3 object, with nothing between them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from shipper.errors import BadInputError
from shipper.formats.lines import KEPT_BYTES, LongLine, lines
from shipper.formats.stored_bytes import decompressed
from shipper.model import LogEvent, LogStream, Origin, Payload, ReadLimits, Record, Rejected

_ENVELOPE = b'{"messageType"'
_PAGE_STARTS = (_ENVELOPE, b'{"events"', b'{ "events"')
_START_BYTES = 64
_ENVELOPE_FACTOR = 8
"""An envelope holds many events: so many times the bytes of the largest record are read as one."""


class CloudWatchFormat:
    """Takes files of log events apart; a line that is no envelope is an event of its own, without CloudWatch's id.

    Args:
        limits: of objects and events.
    """

    def __init__(self, limits: ReadLimits) -> None:
        self._limits = limits

    def records(self, payload: Payload) -> Iterator[Record | Rejected]:
        """Yield the payload's events in order.

        Raises:
            BadInputError: the rest is unreadable: truncated, damaged, over a limit.
            RetryableError: from the payload's own chunks.
        """
        chunks = iter(decompressed(payload, self._limits))
        first = b""
        for chunk in chunks:
            first += chunk
            if len(first) >= _START_BYTES:
                break
        start = first.lstrip()
        whole: Iterator[bytes] = itertools.chain([first], chunks)
        if start.startswith(_ENVELOPE):
            whole = _separated(whole)
        batches = lines(whole, self._limits.record_bytes * _ENVELOPE_FACTOR)
        # Batches of nothing but blanks cost no step for each of their lines.
        found = (line for batch in batches if b"".join(batch).strip() for line in batch if line.strip())
        if start[:1] == b"{" and start[1:2] in b"\r\n":
            yield from self._page_over_lines(found, payload.origin)
            return
        position = 0
        for line in found:
            for record in self._line(line, position + 1, payload.origin):
                position += 1
                yield record

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
        if isinstance(line, LongLine) or line.startswith(_PAGE_STARTS) or line.startswith(b"{\n"):
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
        account, group = _text(envelope.get("owner")) or origin.account, _text(envelope.get("logGroup"))
        streams: dict[str, LogStream] = {}
        for number, event in enumerate(events, position):
            if not isinstance(event, dict) or not isinstance(event.get("message"), str):
                yield Rejected(orjson.dumps(event)[:KEPT_BYTES], number, "a log event without a message")
                continue
            name = _text(event.get("logStreamName")) or _text(envelope.get("logStream"))
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


def _separated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Put a line end between envelopes; a quote within a message is escaped, so nothing else looks like that."""
    mark, rest = b"}" + _ENVELOPE, b""
    held = len(mark) - 1
    for chunk in chunks:
        data = (rest + chunk).replace(mark, b"}\n" + _ENVELOPE)
        rest = data[-held:]
        yield data[:-held]
    yield rest


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
