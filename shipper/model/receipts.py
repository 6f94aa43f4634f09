"""The account of what was shipped: tallies, receipts, the ledger, dead letters, and what `check` found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shipper.errors import UnreadableKind
from shipper.model.records import Origin
from shipper.model.splits import S3Object, S3Split


@dataclass(slots=True)
class Tally:
    """How one sink's share of a split ended, in records. Mutable while the split is on its way."""

    delivered: int = 0
    present: int = 0
    filtered: int = 0
    dead_lettered: int = 0
    bytes_out: int = 0
    repaired: int = 0

    @property
    def accounted(self) -> int:
        """Records whose end is known; equals the records read, or the split is not done."""
        return self.delivered + self.present + self.filtered + self.dead_lettered + self.repaired


@dataclass(frozen=True, slots=True)
class Unread:
    """An object of a split that could not be opened; the source offers it again later."""

    object: S3Object
    kind: UnreadableKind
    reason: str


@dataclass(frozen=True, slots=True)
class Retry:
    """An object that waits for another attempt.

    Attributes:
        attempts: how many have failed.
        next_at: seconds since the epoch.
    """

    object: S3Object
    scope: str
    logs: str
    kind: UnreadableKind
    reason: str
    attempts: int
    next_at: float


@dataclass(frozen=True, slots=True)
class Receipt:
    """The account of one shipped split, kept as the delivery ledger.

    Attributes:
        read: records found in the split, the undecodable ones included.
        bytes_in: bytes as stored.
        sinks: by sink name.
        newest_ms: time of the newest event, None where there was none.
        unread: objects left out; they are not settled.
        done: (bucket of time, hash) pairs that the reader found, to be settled with the split.
        reached_ms: as in Events.
        gaps: records that tell of a gap in AWS's own capture (a flow log's SKIPDATA).
        logs: the log type.
        unparsed: records with none of that type's forms, shipped as they are with the tag `unparsed`.
    """

    split_id: str
    source: str
    read: int
    bytes_in: int
    sinks: Mapping[str, Tally]
    newest_ms: int | None = None
    unread: tuple[Unread, ...] = ()
    seconds: float = 0.0
    done: tuple[tuple[int, int], ...] = ()
    reached_ms: int | None = None
    gaps: int = 0
    logs: str = ""
    unparsed: int = 0

    @property
    def unaccounted(self) -> int:
        """Records without a known end, over all sinks: 0, or the split is not done."""
        return sum(abs(self.read - tally.accounted) for tally in self.sinks.values())


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """How one settled split ended in one sink, as the checkpoint store keeps it.

    Attributes:
        read, delivered, present, filtered, dead_lettered, repaired: records; read is the sum of the other five.
        bytes_in: as stored at the source.
        bytes_out: of documents, uncompressed.
        newest_ms: time of the newest event, None where there was none.
        settled_at: seconds since the epoch.
    """

    split_id: str
    source: str
    sink: str
    read: int
    delivered: int
    present: int
    filtered: int
    dead_lettered: int
    bytes_in: int
    bytes_out: int
    newest_ms: int | None
    settled_at: float
    repaired: int = 0


@dataclass(frozen=True, slots=True)
class Doubled:
    """Documents that a sink holds more than once.

    Attributes:
        stored: all copies of what was compared, those that stand once included.
        extra: how many of them are too many.
        ids: of some of them, where the sink knows ids.
    """

    stored: int = 0
    extra: int = 0
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SettledSplit:
    """A settled group of objects, and how it ended in each sink: what an audit counts against.

    Attributes:
        settled_at: seconds since the epoch; the newest time where it was settled more than once.
        lines: by sink, the newest of each.
    """

    split: S3Split
    settled_at: float
    lines: Mapping[str, LedgerLine]


@dataclass(frozen=True, slots=True)
class LedgerTotal:
    """The sum of all ledger lines of one source and sink, those no longer kept one by one included."""

    source: str
    sink: str
    splits: int
    read: int
    delivered: int
    present: int
    filtered: int
    dead_lettered: int
    bytes_in: int
    bytes_out: int
    newest_ms: int | None
    settled_at: float
    repaired: int = 0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record, document or object that could not be shipped.

    Attributes:
        sink: the sink that refused it; "" where it never got as far (undecodable: dead for every sink).
        position: as in Record; None where the whole object is meant.
        reason: a short kind, such as `document_parsing_exception` or `not_json`.
        answer: the server's or the decoder's own words.
        payload: the record's own bytes; empty for a whole object, which can be fetched again by its origin.
        document: what the sink refused, to be sent again as it was; empty where there was none yet.
        index, time_ms: of that document; where there is none, `time_ms` is the log event's, or 0.
        id: the store's number for the letter.
    """

    source: str
    sink: str
    split_id: str
    logs: str
    origin: Origin
    position: int | None
    reason: str
    answer: str
    payload: bytes = b""
    document_id: str = ""
    time: float = field(default=0.0)
    document: bytes = b""
    index: str = ""
    time_ms: int = 0
    id: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that `shipper check` found.

    Attributes:
        where: the part of the configuration, such as `sinks.siem`.
        what: what is wrong, with the server's own words.
        hint: what to do about it.
        serious: false for a remark that does not stop the daemon.
        note: true for what is only worth knowing; it is not counted.
    """

    where: str
    what: str
    hint: str
    serious: bool = True
    note: bool = False
