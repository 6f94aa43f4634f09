"""The whole way of the data on one screen: read a split, take it apart, make documents, deliver, account."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter

import structlog

from shipper.counting import counted
from shipper.delivery import Backoff, Outlet, Patience, keep
from shipper.errors import BadInputError, RetryableError, ShipperError, UnreadableError
from shipper.floods import UNBOUNDED, Flood
from shipper.letter_log import LetterLog
from shipper.metrics import Metrics
from shipper.model import (
    DeadLetter,
    Document,
    Events,
    Origin,
    OutputLimits,
    Payload,
    Receipt,
    Record,
    Rejected,
    S3Object,
    Split,
    Unread,
)
from shipper.pace import Pace
from shipper.ports import DeadLetters, Format, Reader, Redact, Schema, Sink, Stop
from shipper.progress import Progress, Work
from shipper.unparsed_log import UnparsedLog

_time_ms = attrgetter("time_ms")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Lane:
    """Sinks that take the same documents, so that each record is encoded once for all of them.

    Attributes:
        schemas: by log type.
    """

    schemas: Mapping[str, Schema]
    sinks: tuple[Sink, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """How one source's data goes: how it is read and taken apart, and which lanes it takes.

    Attributes:
        formats: by log type, where the source's own settings are in them; else the shipper's are used.
    """

    reader: Reader
    lanes: tuple[Lane, ...]
    formats: Mapping[str, Format] = field(default_factory=dict)


class Shipper:
    """Ships splits; knows nothing of checkpoints. `ship` is called from many threads at once.

    Args:
        formats: by log type.
        routes: by source name.
        patience: how long a sink's failures are borne.
        redact: takes out of records what nobody shall see, before anything else is done with them; None for nothing.
        paces: by sink name; sinks without one are never slowed down or paused by what they refuse.
        gap_marks: by log type, what is in a record that tells of a gap in AWS's own capture; counted, and shipped too.
        output: bounds on what one object may make.
        progress: where workers note that they move on.

    Attributes:
        progress: of all workers, for who watches them.
    """

    def __init__(
        self,
        *,
        formats: Mapping[str, Format],
        routes: Mapping[str, Route],
        dead_letters: DeadLetters,
        metrics: Metrics,
        stop: Stop,
        patience: Patience,
        redact: Redact | None = None,
        paces: Mapping[str, Pace] | None = None,
        gap_marks: Mapping[str, bytes] | None = None,
        output: OutputLimits | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.progress = progress or Progress()
        self._output = output or OutputLimits()
        self._redact = redact
        self._formats = formats
        self._routes = routes
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._stop = stop
        self._patience = patience
        self._paces = paces or {}
        self._gap_marks = gap_marks or {}
        self._unparsed_log = UnparsedLog()
        for source in routes:
            metrics.unaccounted.labels(source).set(0)  # an alarm can tell 0 from a daemon that says nothing

    def ship(self, split: Split) -> Receipt:
        """Ship one split to all of its source's sinks and return the account.

        Raises:
            RetryableError: the split is not done and is shipped again later, under the same document ids.
            FatalError, Stopped: the process ends; the split is shipped again after the restart.
        """
        started = time.monotonic()
        route = self._routes[split.source]
        letters = LetterLog(self._dead_letters)
        work = self.progress.begin(split)
        strands = [_Strand(lane, split, partial(self._outlet, letters), work) for lane in route.lanes]
        format_ = route.formats.get(split.logs) or self._formats[split.logs]
        journey = _Journey(
            split,
            strands,
            format_,
            partial(self._bury, letters),
            redact=self._redact,
            gap_mark=self._gap_marks.get(split.logs, b""),
            output=self._output,
            work=work,
        )
        try:
            for payload in work.waiting_for(route.reader.open(split)):
                if isinstance(payload, Payload | Events):
                    journey.carry(payload)
                else:
                    journey.leave_out(*payload)
            for strand in strands:
                strand.flush()
            work.waits()
            for strand in strands:
                strand.finish()
        except BaseException:
            for strand in strands:
                strand.abandon()
            raise
        finally:
            self.progress.end(work)
            letters.write()
        receipt = journey.receipt(time.monotonic() - started)
        if receipt.unaccounted:
            self._metrics.unaccounted.labels(split.source).set(receipt.unaccounted)
            raise AssertionError(f"{receipt.unaccounted} records of split {split.id} have no known end: {receipt}")
        if journey.first_unparsed is not None:
            uri, position = journey.first_unparsed
            self._unparsed_log.note(split.source, split.logs, lines=journey.unparsed, origin=uri, position=position)
        return receipt

    def _outlet(self, letters: LetterLog, sink: Sink, split: Split) -> Outlet:
        return Outlet(
            sink.name,
            sink.open(split),
            split,
            dead_letters=letters,
            metrics=self._metrics,
            stop=self._stop,
            patience=self._patience,
            pace=self._paces.get(sink.name),
        )

    def _bury(self, store: LetterLog, letters: Sequence[DeadLetter]) -> None:
        keep(store, letters, Backoff(self._patience, self._stop))


class _Strand:
    """One lane of one split: gathers documents into batches that suit the lane's sinks."""

    def __init__(self, lane: Lane, split: Split, outlet: Callable[[Sink, Split], Outlet], work: Work) -> None:
        self.schema = lane.schemas[split.logs]
        self._work = work
        self._flushed_bytes = 0
        self.newest_ms: int | None = None
        self.outlets = [outlet(sink, split) for sink in lane.sinks]
        self._batch: list[Document] = []
        self._limit_bytes = self._room_bytes = min(sink.batch_bytes for sink in lane.sinks)
        self._limit_documents = min(sink.batch_documents for sink in lane.sinks)

    @property
    def made_bytes(self) -> int:
        """The bytes of all documents so far."""
        return self._flushed_bytes + self._limit_bytes - self._room_bytes

    def add(self, document: Document) -> None:
        size = len(document.body)
        if size > self._room_bytes:
            self.flush()
        batch = self._batch
        batch.append(document)
        self._room_bytes -= size
        if len(batch) >= self._limit_documents:
            self.flush()

    def filtered(self) -> None:
        for outlet in self.outlets:
            outlet.tally.filtered += 1

    def dead(self) -> None:
        for outlet in self.outlets:
            outlet.tally.dead_lettered += 1

    def flush(self) -> None:
        if not self._batch:
            return
        self._flushed_bytes = self.made_bytes
        batch, self._batch, self._room_bytes = self._batch, [], self._limit_bytes
        self._work.waits()
        for outlet in self.outlets:
            outlet.send(batch)
        self._work.step()
        newest = max(map(_time_ms, batch))
        self.newest_ms = newest if self.newest_ms is None else max(newest, self.newest_ms)

    def finish(self) -> None:
        for outlet in self.outlets:
            outlet.finish()

    def abandon(self) -> None:
        for outlet in self.outlets:
            outlet.abandon()


class _Journey:
    """What happened on the way of one split."""

    def __init__(
        self,
        split: Split,
        strands: Sequence[_Strand],
        format_: Format,
        bury: Callable[[Sequence[DeadLetter]], None],
        *,
        redact: Redact | None,
        gap_mark: bytes,
        output: OutputLimits,
        work: Work,
    ) -> None:
        self._output = output
        self._work = work
        self._redact = redact
        self._split = split
        self._strands = strands
        self._format = format_
        self._bury = bury
        self._gap_mark = gap_mark
        self._gaps = 0
        self.unparsed = 0
        self.first_unparsed: tuple[str, int] | None = None
        self._read = 0
        self._bytes_in = 0
        self._done: list[tuple[int, int]] = []
        self._reached_ms: int | None = None
        self._unread: list[Unread] = []

    def carry(self, payload: Payload | Events) -> None:
        """Ship one payload's records; what cannot be a document becomes a dead letter and its neighbours go on."""
        origin, redact, gap_mark = payload.origin, self._redact, self._gap_mark
        lanes = [(strand, strand.schema.encoder(origin)) for strand in self._strands]
        flood, self._work.where = self._flood(payload), origin.uri
        read = 0
        try:
            for record in self._records(payload):
                if read >= flood.look_at:
                    flood.look(read)
                read += 1
                if redact is not None:
                    record = redact(record)  # noqa: PLW2901 - nothing after this may see the other
                if type(record) is Rejected:
                    if flood.keeps_letter(record.raw, len(lanes)):
                        self._dead(
                            origin,
                            record.position,
                            "undecodable",
                            record.reason,
                            raw=record.raw,
                            time_ms=record.time_ms,
                        )
                    for strand in self._strands:
                        strand.dead()
                    continue
                if gap_mark and gap_mark in record.raw:
                    self._gaps += 1
                unparsed = False
                for strand, encode in lanes:
                    try:
                        document = encode(record)
                    except BadInputError as error:
                        if flood.keeps_letter(record.raw, 1):
                            self._unmappable(strand, record, origin, error)
                        strand.dead()
                        continue
                    if document is None:
                        strand.filtered()
                    else:
                        strand.add(document)
                        unparsed |= document.unparsed
                if unparsed:
                    self._note_unparsed(origin, record)
        except BadInputError as error:
            # The object as a whole counts as one record that was read and found dead.
            read += 1
            self._dead(origin, None, "unreadable_object", str(error))
            for strand in self._strands:
                strand.dead()
        else:
            self._unkept(flood, origin)
        self._read += read
        if isinstance(payload, Events):
            self._done += payload.done
            self._bytes_in += payload.bytes_in
            self._reached_ms = payload.reached_ms
        else:
            self._bytes_in += payload.size or 0

    def _note_unparsed(self, origin: Origin, record: Record) -> None:
        self.unparsed += 1
        if self.first_unparsed is None:
            self.first_unparsed = origin.uri, record.position

    def _flood(self, payload: Payload | Events) -> Flood:
        """Return what one object makes: nothing yet. A window of a log group is bounded by its reader."""
        limits, size = (UNBOUNDED, None) if isinstance(payload, Events) else (self._output, payload.size)
        return Flood(
            limits,
            stored_bytes=size,
            lanes=len(self._strands),
            made=lambda: max(strand.made_bytes for strand in self._strands),
            moved=self._work.step,
        )

    def _records(self, payload: Payload | Events) -> Iterator[Record | Rejected]:
        """Return a payload's records; getting its bytes is no work of ours."""
        if isinstance(payload, Events):
            return self._work.waiting_for(payload.records)
        payload.chunks = self._work.waiting_for(payload.chunks)
        return self._format.records(payload)

    def _unkept(self, flood: Flood, origin: Origin) -> None:
        """Say with one dead letter how many records of an object have none of their own."""
        if flood.unkept:
            more = counted(flood.unkept, "dead letter")
            what = f"{more} of its records more than limits.object_letters are not kept one by one"
            self._dead(origin, None, "unreadable_object", f"{what}; look at the object, and read it again")

    def _unmappable(self, strand: _Strand, record: Record, origin: Origin, error: BadInputError) -> None:
        time_ms = record.event.time_ms if record.event else 0
        for outlet in strand.outlets:
            self._dead(
                origin,
                record.position,
                "unmappable",
                str(error),
                raw=record.raw,
                sink=outlet.sink,
                time_ms=time_ms,
            )

    def leave_out(self, unopened: S3Object, error: Exception) -> None:
        """Note an object that cannot be opened now; the source offers it again."""
        if not isinstance(error, UnreadableError):
            hint = error.hint if isinstance(error, ShipperError) else ""
            raise RetryableError(str(error), hint=hint) from error
        self._unread.append(Unread(unopened, error.kind, str(error)))
        log.warning("object left out for now", source=self._split.source, object=unopened.uri, why=str(error))

    def _dead(
        self,
        origin: Origin,
        position: int | None,
        reason: str,
        answer: str,
        *,
        raw: bytes = b"",
        sink: str = "",
        time_ms: int = 0,
    ) -> None:
        letter = DeadLetter(
            source=self._split.source,
            sink=sink,
            split_id=self._split.id,
            logs=self._split.logs,
            origin=origin,
            position=position,
            reason=reason,
            answer=answer,
            payload=raw,
            time=time.time(),
            time_ms=time_ms,
        )
        self._bury([letter])

    def receipt(self, seconds: float) -> Receipt:
        """The split's account."""
        newest = [strand.newest_ms for strand in self._strands if strand.newest_ms is not None]
        return Receipt(
            split_id=self._split.id,
            source=self._split.source,
            read=self._read,
            bytes_in=self._bytes_in,
            sinks={outlet.sink: outlet.tally for strand in self._strands for outlet in strand.outlets},
            newest_ms=max(newest, default=None),
            unread=tuple(self._unread),
            seconds=seconds,
            done=tuple(self._done),
            reached_ms=self._reached_ms,
            gaps=self._gaps,
            logs=self._split.logs,
            unparsed=self.unparsed,
        )
