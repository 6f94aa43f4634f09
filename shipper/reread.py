"""Dead letters that never became documents: their origin is read again, and what makes documents now is shipped."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol

from shipper.model import (
    DeadLetter,
    Document,
    Origin,
    Problem,
    Receipt,
    S3Object,
    S3Split,
    SendResult,
    Split,
    WindowSplit,
    event_position,
)
from shipper.ports import DeadLetters, Delivery, SchemaName, Sink

_AT_ONCE = 500
_RECORDS = frozenset({"undecodable", "unmappable"})
_WINDOW_MS = 60_000
_OBJECTS = frozenset({"unreadable_object", "object_deleted", "no_log_type", "stalls"})


class Letters(Protocol):
    """A dead-letter store that letters can be taken from again."""

    def put(self, letters: Sequence[DeadLetter]) -> None:
        """See `ports.DeadLetters`."""

    def discard(self, ids: Sequence[int]) -> None:
        """Remove letters by their numbers, durably."""

    def count(self) -> int:
        """How many letters are kept."""

    def close(self) -> None:
        """Release the store."""


@dataclass(slots=True)
class Reread:
    """What became of the letters.

    Attributes:
        made: their records make documents now, or a filter keeps them away; the letters are removed. Documents that a
            sink refused are letters of their own.
        whole: letters of whole objects, which were read to their end now; removed. What is wrong with single records of
            them is in letters of their own.
        still: nothing can be made of them now either, or their objects are gone; kept.
        not_read: of no object in S3 and no log group, or a log event whose time is not known; kept.
    """

    made: int = 0
    whole: int = 0
    still: int = 0
    not_read: int = 0


class PickingSink:
    """Implements `ports.Sink`: passes on the documents of some records only. Used by one thread.

    Attributes:
        wanted: their positions in the object; None for all.
        passed: those that were passed on.
    """

    def __init__(self, sink: Sink) -> None:
        self.name = sink.name
        self.schema: SchemaName = sink.schema
        self.batch_bytes = sink.batch_bytes
        self.batch_documents = sink.batch_documents
        self.wanted: frozenset[int] | None = frozenset()
        self.passed: set[int] = set()
        self._sink = sink

    def prepare(self) -> None:
        """See ports.Sink. The daemon has done it."""

    def open(self, split: Split) -> Delivery:
        """See ports.Sink."""
        self.passed = set()
        delivery = self._sink.open(split)
        return delivery if self.wanted is None else _Picking(delivery, self.wanted, self.passed)

    def problems(self) -> Iterable[Problem]:
        """See ports.Sink."""
        return self._sink.problems()

    def close(self) -> None:
        """See ports.Sink."""
        self._sink.close()


class _Picking:
    """One object's delivery. What is not wanted counts as present: it was delivered long ago."""

    def __init__(self, delivery: Delivery, wanted: frozenset[int], passed: set[int]) -> None:
        self._delivery = delivery
        self._wanted = wanted
        self._passed = passed

    def send(self, documents: Sequence[Document]) -> SendResult:
        places = [place for place, each in enumerate(documents) if each.record.position in self._wanted]
        if not places:
            return SendResult(0, present=len(documents))
        result = self._delivery.send([documents[place] for place in places])
        self._passed.update(documents[place].record.position for place in places)
        return replace(
            result,
            present=result.present + len(documents) - len(places),
            rejected=tuple(replace(each, position=places[each.position]) for each in result.rejected),
            retry=tuple(places[position] for position in result.retry),
        )

    def finish(self) -> None:
        self._delivery.finish()

    def abandon(self) -> None:
        self._delivery.abandon()


class WantedLetters:
    """Implements `ports.DeadLetters`: of an object that is read again, only what is asked for is a letter again.

    Attributes:
        wanted: positions in the object; None for all.
        sink: of what is asked for; "" for all.
        again: (sink, position) of records that still make no document.
    """

    def __init__(self, store: DeadLetters) -> None:
        self._store = store
        self.wanted: frozenset[int] | None = frozenset()
        self.sink = ""
        self.again: set[tuple[str, int | None]] = set()

    def put(self, letters: Sequence[DeadLetter]) -> None:
        """See ports.DeadLetters."""
        asked = {"", self.sink} if self.sink else {letter.sink for letter in letters}
        wanted = self.wanted
        kept = [each for each in letters if each.sink in asked and (wanted is None or each.position in wanted)]
        if kept:
            self._store.put(kept)
        self.again.update((each.sink, each.position) for each in letters if not each.document)

    def count(self) -> int:
        """See ports.DeadLetters."""
        return self._store.count()

    def close(self) -> None:
        """See ports.DeadLetters."""
        self._store.close()


class Rereading:
    """Reads objects and log events again, one after the other. Used by one thread.

    Args:
        sinks: by name; those that `ship` ships to.
        letters: what `ship` puts dead letters into.
        log_types: by source, the log type of objects whose letters name none; without it they stay letters.
        sources: names of the sources that `ship` knows.
        window: makes the window of a letter's log group, from and to a time in milliseconds, both included.
        progress: told the account after each object.
    """

    def __init__(
        self,
        ship: Callable[[Split], Receipt],
        sinks: Sequence[PickingSink],
        letters: WantedLetters,
        store: Letters,
        *,
        sources: frozenset[str],
        window: Callable[[DeadLetter, int, int], WindowSplit],
        log_types: Mapping[str, str] = MappingProxyType({}),
        progress: Callable[[Reread], None] = lambda _: None,
    ) -> None:
        self._ship = ship
        self._sinks = sinks
        self._letters = letters
        self._store = store
        self._sources = sources
        self._window = window
        self._log_types = log_types
        self._progress = progress

    def run(self, letters: Iterable[DeadLetter]) -> Reread:
        """Ship the records of letters that have no document.

        Raises:
            RetryableError: the bucket or a sink is away; what is not delivered stays a letter.
            FatalError, Stopped: as they come.
        """
        account = Reread()
        without = (self._with_log_type(letter) for letter in letters if not letter.document)
        for _, group in itertools.groupby(without, _readings):
            while batch := list(itertools.islice(group, _AT_ONCE)):
                if not self._can_be_read(batch[0]):
                    account.not_read += len(batch)
                elif batch[0].position is None:
                    self._object_again(batch, account)
                elif not batch[0].origin.bucket:
                    self._events_again(batch, account)
                else:
                    self._records_again(batch, account)
                self._progress(account)
        return account

    def _with_log_type(self, letter: DeadLetter) -> DeadLetter:
        """Return the letter as the configuration has it now: a queue may have got a log type for such objects."""
        return letter if letter.logs else replace(letter, logs=self._log_types.get(letter.source, ""))

    def _can_be_read(self, letter: DeadLetter) -> bool:
        reasons = _OBJECTS if letter.position is None else _RECORDS
        if letter.source not in self._sources or letter.reason not in reasons or not letter.logs:
            return False
        event = letter.origin.uri.startswith("arn:") and letter.time_ms > 0 and letter.position is not None
        return bool(letter.origin.bucket) or event

    def _object_again(self, batch: Sequence[DeadLetter], account: Reread) -> None:
        """Ship an object whole: nobody knows how far it was read at first, and the ids tell what is present."""
        receipt = self._read(_split(batch[0], None), batch[0], None, self._sinks)
        if receipt.unread or ("", None) in self._letters.again:
            account.still += len(batch)
            return
        self._store.discard([letter.id for letter in batch])
        account.whole += len(batch)

    def _records_again(self, batch: Sequence[DeadLetter], account: Reread) -> None:
        wanted = frozenset(letter.position for letter in batch if letter.position is not None)
        asked = [sink for sink in self._sinks if batch[0].sink in ("", sink.name)]
        receipt = self._read(_split(batch[0], wanted), batch[0], wanted, asked)
        done = [] if receipt.unread else [letter for letter in batch if self._is_done(letter, asked)]
        # One that neither came to a sink nor failed again was filtered, or is not in the object any more.
        absent = [letter for letter in done if not any(letter.position in sink.passed for sink in asked)]
        if len(absent) > max((tally.filtered for tally in receipt.sinks.values()), default=0):
            done = [letter for letter in done if letter not in absent]
        self._store.discard([letter.id for letter in done])
        account.made += len(done)
        account.still += len(batch) - len(done)

    def _events_again(self, batch: Sequence[DeadLetter], account: Reread) -> None:
        """Read the minutes that events are of; one that is not there any more stays a letter."""
        asked = [sink for sink in self._sinks if batch[0].sink in ("", sink.name)]
        for minute in _minutes(batch):
            wanted = frozenset(letter.position for letter in minute if letter.position is not None)
            first: int | None = minute[0].time_ms
            found: set[int] = set()
            again: set[tuple[str, int | None]] = set()
            while first is not None:
                split = self._window(minute[0], first, minute[-1].time_ms)
                receipt = self._read(split, minute[0], wanted, asked)
                found.update(event_position(key) for _, key in receipt.done)
                again |= self._letters.again
                first = receipt.reached_ms
            self._letters.again = again
            done = [letter for letter in minute if letter.position in found and self._is_done(letter, asked)]
            self._store.discard([letter.id for letter in done])
            account.made += len(done)
            account.still += len(minute) - len(done)

    def _read(
        self, split: Split, letter: DeadLetter, wanted: frozenset[int] | None, asked: Sequence[PickingSink]
    ) -> Receipt:
        self._letters.wanted, self._letters.sink, self._letters.again = wanted, letter.sink, set()
        for sink in self._sinks:
            sink.wanted = wanted if sink in asked else frozenset()
        return self._ship(replace(split, maybe_shipped=True))

    def _is_done(self, letter: DeadLetter, asked: Sequence[PickingSink]) -> bool:
        again = self._letters.again
        if ("", None) in again:  # the object broke off, maybe before it came to the record
            return all(letter.position in sink.passed for sink in asked)
        return not {("", letter.position), (letter.sink, letter.position)} & again


def _readings(letter: DeadLetter) -> tuple[str, str, str, str, bool, bool]:
    """Neighbours that are equal in this are read at once."""
    whole, timeless = letter.position is None, not letter.time_ms
    return letter.source, letter.logs, letter.origin.uri, letter.sink, whole, timeless


def _minutes(batch: Sequence[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """Letters of events by their time, in groups that span a minute at most."""
    group: list[DeadLetter] = []
    for letter in sorted(batch, key=lambda each: each.time_ms):
        if group and letter.time_ms - group[0].time_ms >= _WINDOW_MS:
            yield group
            group = []
        group.append(letter)
    yield group


def _split(letter: DeadLetter, wanted: frozenset[int] | None) -> S3Split:
    """The object alone, under an id that no other split has: an archive's file must not take another's place."""
    origin: Origin = letter.origin
    item = S3Object(origin.bucket, origin.key, 0, "", 0.0)
    positions = ["whole"] if wanted is None else map(str, sorted(wanted))
    text = "\0".join((origin.uri, letter.sink, *positions))
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=15).hexdigest()
    return S3Split(f"replay-{digest}", letter.source, "", letter.logs, (item,))
