"""CloudTrail objects, `{"Records": […]}`, taken apart into records whose own bytes are kept; bare records too.

The form: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-examples.html
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator

import msgspec
import orjson
from msgspec import Raw

from shipper.errors import BadInputError
from shipper.formats.cloudtrail_scanner import Junk, Overlong, RecordScanner
from shipper.formats.cloudwatch import enveloped, is_enveloped
from shipper.formats.lines import KEPT_BYTES, LongLine, lines
from shipper.formats.stored_bytes import decompressed
from shipper.model import Payload, ReadLimits, Record, Rejected

# Up to this size an object is taken apart at once, which is many times faster than from a stream.
_AT_ONCE_BYTES = 8 << 20
_STEP_BYTES = 256 << 10
_MOST_PROBED_LINES = 20
# What orjson takes. From Python 3.14 on other decoders go as deep as the thread's stack, and what follows does not.
_DEEPEST = 1024
_QUOTE_OR_BRACKET = re.compile(rb'\\.|["\[{\]}]', re.DOTALL)
_TIME = b'"eventTime"'
_NO_RECORD = "JSON, but not a CloudTrail record"


class _Object(msgspec.Struct, gc=False):
    Records: list[Raw]


class _Kind(msgspec.Struct, gc=False):
    """What tells kinds of JSON objects apart; empty where it is absent."""

    eventVersion: Raw = Raw()  # noqa: N815 - AWS's names
    eventTime: Raw = Raw()  # noqa: N815
    eventID: Raw = Raw()  # noqa: N815
    eventSource: Raw = Raw()  # noqa: N815
    digestS3Object: Raw = Raw()  # noqa: N815
    timeWindow: Raw = Raw()  # noqa: N815
    Records: Raw = Raw()

    @property
    def known(self) -> bool:
        """Whether it is a record, or a digest file, which Elastic's integration ships as one too."""
        names = (self.eventVersion, self.eventTime, self.eventID, self.digestS3Object, self.timeWindow)
        return any(map(bytes, names))


_decode_object = msgspec.json.Decoder(_Object).decode
_decode_kind = msgspec.json.Decoder(_Kind).decode
_Part = Iterator[Record | Rejected]


class CloudTrailFormat:
    """Implements `ports.Format` for management, data, insight, network activity and aggregated events, and digest
    files.

    Positions count records from 1; where bare records stand one a line, they are line numbers.

    Args:
        limits: larger objects and records are refused; memory stays far below the object's size.
    """

    def __init__(self, limits: ReadLimits) -> None:
        self._limits = limits

    def records(self, payload: Payload) -> _Part:
        """Yield the payload's records; see `ports.Format`."""
        pieces = decompressed(payload, self._limits)
        head, rest = _beginning(pieces)
        if is_enveloped(head):  # written to a log group, and from there by a subscription filter
            events = enveloped(head, rest or (), payload.origin, self._limits)
            return (self._of_event(record) if type(record) is Record else record for record in events)
        if rest is None:
            if not head.strip():
                return iter(())
            try:
                found = _decode_object(head).Records
            except (msgspec.MsgspecError, RecursionError):
                rest = iter(())
            else:
                return self._elements(map(bytes, found))
        if _in_lines(head):
            return self._lines(_steps(head, rest))
        return self._scanned(_steps(head, rest))

    def _elements(self, found: Iterable[bytes], first: int = 1) -> _Part:
        """What stands in Records of a sound object."""
        short = min(self._limits.record_bytes, 2 * _DEEPEST)  # which no deep record is
        for position, raw in enumerate(found, first):
            if raw[:1] == b"{" and (len(raw) <= short or self._sound(raw)) and (_TIME in raw or _is_known(raw)):
                yield Record(raw, position)
            else:
                yield Rejected(raw[:KEPT_BYTES], position, self._reason(raw))

    def _sound(self, raw: bytes) -> bool:
        return len(raw) <= self._limits.record_bytes and not _deep(raw)

    def _reason(self, raw: bytes) -> str:
        long = len(raw) > self._limits.record_bytes
        if long:
            return f"longer than {self._limits.record_bytes} bytes"
        return _why_not(raw) if _kind(raw) is None or _deep(raw) else _NO_RECORD

    def _scanned(self, pieces: Iterator[bytes]) -> _Part:
        """Large objects, damaged ones, arrays, single records, and what is no CloudTrail at all."""
        scanner = RecordScanner(self._limits.record_bytes)
        position = 0
        for piece in pieces:
            for raw in scanner.feed(piece):
                position += 1
                yield self._checked(raw, position)
        if not scanner.complete:
            raise BadInputError(
                "not JSON, or cut off: it ends in the middle of something; upload the object again, whole"
            )
        if not position and not scanner.seen_records:
            raise BadInputError("not JSON with CloudTrail records")

    def _of_event(self, record: Record) -> Record | Rejected:
        """A message of a log group, where it is a record."""
        if (kind := _kind(record.raw)) is not None and kind.known:
            return record
        reason = "JSON, but not a CloudTrail record" if kind is not None else _why_not(record.raw)
        time_ms = record.event.time_ms if record.event else 0
        return Rejected(record.raw[:KEPT_BYTES], record.position, reason, time_ms)

    def _checked(self, raw: bytes, position: int) -> Record | Rejected:
        if isinstance(raw, Overlong | LongLine):
            return Rejected(bytes(raw), position, f"longer than {self._limits.record_bytes} bytes")
        if isinstance(raw, Junk):
            return Rejected(bytes(raw), position, _why_not(raw))
        kind = _kind(raw)
        if kind is None or _deep(raw):
            return Rejected(raw[:KEPT_BYTES], position, _why_not(raw))
        if not kind.known:
            return Rejected(raw[:KEPT_BYTES], position, _NO_RECORD)
        return Record(raw, position)

    def _lines(self, pieces: Iterator[bytes]) -> _Part:
        """One record a line, or one object with Records a line."""
        number, index = 0, 0
        for some in lines(pieces, self._limits.record_bytes):
            for line in some:
                number += 1
                bare = line.strip() if line.__class__ is bytes else line
                if bare and b'"Records"' in bare and (found := _several(bare)) is not None:
                    yield from self._elements(map(bytes, found), index + 1)
                    index += len(found)
                elif bare:
                    yield self._checked(bare, number)


def _beginning(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes] | None]:
    """All of a small object and None; or the beginning of a large or damaged one and what follows."""
    head: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            head.append(piece)
            size += len(piece)
            if size > _AT_ONCE_BYTES:
                return b"".join(head), pieces
    except BadInputError as error:
        return b"".join(head), _Failing(error)
    return b"".join(head), None


class _Failing(Iterator[bytes]):
    """A stream that ends with an error."""

    def __init__(self, error: BadInputError) -> None:
        self._error = error

    def __next__(self) -> bytes:
        """Raise the error."""
        raise self._error


def _steps(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    first = (head[at : at + _STEP_BYTES] for at in range(0, len(head), _STEP_BYTES))
    return itertools.chain(first, rest)


def _in_lines(head: bytes) -> bool:
    """Whether records stand one a line: then one that is damaged is no harm to the next."""
    start = head.lstrip()
    if start[:1] != b"{":
        return False
    some = start.split(b"\n", _MOST_PROBED_LINES)
    if len(some) == 1:
        return False
    if _kind(some[0]) is not None:
        return True
    return any(line.startswith(b'{"') and (kind := _kind(line)) is not None and kind.known for line in some[1:-1])


def is_cloudtrail(raw: bytes) -> bool:
    """Return whether a JSON object is a CloudTrail record or digest: S3's notifications have many of the same names."""
    kind = _kind(raw)
    return kind is not None and kind.known and not bytes(kind.eventSource).startswith(b'"aws:')


def _several(line: bytes) -> list[Raw] | None:
    try:
        return _decode_object(line).Records
    except (msgspec.MsgspecError, RecursionError):
        return None


def _kind(data: bytes) -> _Kind | None:
    """The kind of a JSON object; None where the bytes are none."""
    try:
        return _decode_kind(data)
    except RecursionError:
        return None
    except msgspec.MsgspecError:
        return _tolerantly(data)


def _is_known(data: bytes) -> bool:
    """Return whether bytes without a time of an event are a record all the same."""
    kind = _kind(data)
    return kind is None or kind.known  # what is no JSON, its schema refuses


def _tolerantly(data: bytes) -> _Kind | None:
    """The same of JSON that strict decoders refuse (half of a surrogate pair), yet grammar allows."""
    if b"\\u" not in data:
        return None
    try:
        found = json.loads(data, parse_constant=_refused)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return _Kind(**{name: Raw(b"1") for name in _Kind.__struct_fields__ if name in found})


def _deep(data: bytes) -> bool:
    """Whether JSON is nested too deeply; it is read whole only where it has enough brackets for that."""
    if data.count(b"{") + data.count(b"[") <= _DEEPEST:
        return False
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:  # for this reason or another
        return _depth(data) > _DEEPEST
    return False


def _depth(data: bytes) -> int:
    """How deeply JSON is nested, sound or not; each byte is looked at once."""
    deepest = depth = 0
    quoted = False
    for found in _QUOTE_OR_BRACKET.finditer(data):
        token = found[0]
        if token == b'"':
            quoted = not quoted
        elif quoted or len(token) > 1:
            continue
        elif token in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def _why_not(data: bytes) -> str:
    """Why bytes are no record, in words; only asked where they are none."""
    if _deep(data):
        return "nested too deeply"
    try:
        json.loads(data, parse_constant=_refused)
    except RecursionError:
        return "nested too deeply"
    except ValueError as error:
        return f"not JSON: {error}"
    return "not a JSON object"


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")
