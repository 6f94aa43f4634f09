"""What comes out of a split: payloads, records, log events, and where they came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, final

import msgspec

_POSITIONS = 2**63 - 1


class LogStream(msgspec.Struct, frozen=True):
    """A CloudWatch log stream, shared by its events."""

    account: str
    region: str
    group: str
    name: str


class LogEvent(msgspec.Struct, frozen=True, gc=False):
    """What CloudWatch Logs says of one event, apart from its message.

    Attributes:
        id: CloudWatch's eventId (56 digits); the same however the event is read.
        time_ms: its timestamp, milliseconds since the epoch.
        ingested_ms: when CloudWatch got it; None where the way it came does not say.
    """

    id: str
    time_ms: int
    stream: LogStream
    ingested_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a payload came from: goes into documents, HEC's `source` and dead letters.

    Attributes:
        uri: `s3://bucket/key`, or a path for a local file.
        account, region: from the key's layout, "" where it does not say.
        modified_ms: when the object or file was written, milliseconds since the epoch; None where that is not known.
    """

    uri: str
    bucket: str = ""
    key: str = ""
    account: str = ""
    region: str = ""
    modified_ms: int | None = field(default=None, compare=False)


@dataclass(slots=True)
class Payload:
    """One object's bytes on their way in, as stored (maybe compressed).

    Attributes:
        chunks: the bytes in order, in pieces of any size. Iterating may block and may raise RetryableError.
        size: bytes as stored, None where unknown.
        head: how its text begins, once it is being read: to say what it is where it is not what it should be.
    """

    origin: Origin
    chunks: Iterator[bytes]
    size: int | None = None
    head: bytes = b""


@dataclass(slots=True)
class Events:
    """A window's events on their way in; each is a record already, so that no format is needed.

    Attributes:
        records: in any order. Iterating may block and may raise RetryableError.
        done: (bucket of time, hash) of each event yielded so far; the receipt carries them to the settling.
        bytes_in: bytes of messages yielded so far.
        reached_ms: where the reader ended, because the window holds more than one split may: events of this time and
            later are still to be read. None where the window was read to its end.
    """

    origin: Origin
    records: Iterator[Record | Rejected]
    done: list[tuple[int, int]] = field(default_factory=list)
    bytes_in: int = 0
    reached_ms: int | None = None


def event_position(key: int) -> int:
    """The position of a log event's record: so much of the hash in `Events.done` as SQLite takes for a number.

    It is of the event alone, whichever window it is read in: a dead letter is known by it.
    """
    return key & _POSITIONS


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Bounds that untrusted input cannot exceed, in decompressed bytes.

    Attributes:
        object_bytes: a larger object is a dead letter.
        record_bytes: a larger record is a dead letter.
    """

    object_bytes: int = 536_870_912
    record_bytes: int = 1_048_576


@dataclass(frozen=True, slots=True)
class OutputLimits:
    """Bounds on what one object may make, far above what honest objects do.

    Attributes:
        records: an object with more is a dead letter from there on.
        made_bytes: the same for the bytes of its documents, for one kind of sink.
        made_ratio: the same for those bytes in relation to the object's bytes as stored.
        letters: of its records so many at most are dead letters of their own.
    """

    records: int = 10_000_000
    made_bytes: int = 8_589_934_592
    made_ratio: int = 1_000
    letters: int = 1_000


@final
class Record(msgspec.Struct, frozen=True, gc=False):
    """One log record as AWS wrote it.

    Attributes:
        raw: the record's own bytes, unchanged, without a line end.
        position: counts from 1: the place in a CloudTrail object, or the line of a line format.
        layout: what the format learned from the payload and every record shares (a flow log's field names).
        event: what CloudWatch Logs says of it, where it came that way (`raw` is the event's message); identity, stream
            and fallback time come from it.
    """

    raw: bytes
    position: int
    layout: Any = None
    event: LogEvent | None = None


@final
class Rejected(msgspec.Struct, frozen=True, gc=False):
    """A record that a format could not take apart; its neighbours go on.

    Attributes:
        raw: the bytes as far as they are known (cut to a bound), for the dead letter.
        reason: what is wrong, in words.
        time_ms: of a log event, as in LogEvent: reading it again needs it. 0 where it is none or not known.
    """

    raw: bytes
    position: int
    reason: str
    time_ms: int = 0
