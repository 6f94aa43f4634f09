"""Stands in for a sink: asks which documents it holds, and ships no more than the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from shipper.delivery import Backoff, Patience
from shipper.errors import RetryableError
from shipper.model import DeadLetter, Document, Doubled, Problem, Receipt, S3Split, SendResult, Split
from shipper.ports import DeadLetters, Delivery, Recount, SchemaName, Sink, Stop

_PATIENCE = Patience(20.0)
Answer = TypeVar("Answer")


@dataclass(slots=True)
class Asked:
    """What a sink holds of one split's documents, each counted once.

    Attributes:
        held: addresses of the objects that those are from that are stored, by id.
        letters: ids of those that are kept as dead letters instead, or were purged.
        missing: the others.
    """

    held: dict[str, str] = field(default_factory=dict)
    letters: set[str] = field(default_factory=set)
    missing: dict[str, Document] = field(default_factory=dict)


class AskingSink:
    """Implements `ports.Sink`. Used by one thread.

    Args:
        sink: the real one.
        recount: what asks it.
        is_letter: whether a document is a dead letter of this sink, or was one until a person purged it.

    Attributes:
        active: false for a sink that is not asked now: it is taken to hold all.
        ships: whether what is missing is sent.
        asked: of the split that was opened last.
    """

    def __init__(self, sink: Sink, recount: Recount, is_letter: Callable[[Document], bool]) -> None:
        self.name = sink.name
        self.schema: SchemaName = sink.schema
        self.batch_bytes = sink.batch_bytes
        self.batch_documents = sink.batch_documents
        self.active = False
        self.ships = False
        self.asked = Asked()
        self.recount = recount
        self._sink = sink
        self._is_letter = is_letter

    def prepare(self) -> None:
        """See ports.Sink. The daemon has done it."""

    def open(self, split: Split) -> Delivery:
        """See ports.Sink."""
        self.asked = Asked()
        return _Asking(self, self._sink.open(split) if self.active and self.ships else None)

    def problems(self) -> Iterable[Problem]:
        """See ports.Sink."""
        return self._sink.problems()

    def close(self) -> None:
        """See ports.Sink."""
        self._sink.close()

    def missing(self, documents: Sequence[Document]) -> list[int]:
        """Positions of what is to be shipped; note what became of each document.

        Raises:
            RetryableError: the sink does not answer.
        """
        asked = self.asked
        absent = set(self.recount.missing(documents))
        for position, document in enumerate(documents):
            if position not in absent:
                asked.held[document.id] = document.origin.uri
            elif self.recount.by_id and self._is_letter(document):
                asked.letters.add(document.id)
                absent.discard(position)
            else:
                asked.missing[document.id] = document
        return sorted(absent)


class _Asking:
    """One split's delivery. What is missing counts as delivered, all else as present."""

    def __init__(self, sink: AskingSink, delivery: Delivery | None) -> None:
        self._sink = sink
        self._delivery = delivery

    def send(self, documents: Sequence[Document]) -> SendResult:
        if not self._sink.active:
            return SendResult(0, present=len(documents))
        absent = self._sink.missing(documents)
        there = len(documents) - len(absent)
        if self._delivery is None or not absent:
            return SendResult(len(absent), present=there)
        result = self._delivery.send([documents[position] for position in absent])
        return replace(
            result,
            present=result.present + there,
            rejected=tuple(replace(each, position=absent[each.position]) for each in result.rejected),
            retry=tuple(absent[position] for position in result.retry),
        )

    def finish(self) -> None:
        if self._delivery is not None:
            self._delivery.finish()

    def abandon(self) -> None:
        if self._delivery is not None:
            self._delivery.abandon()


class Letters:
    """Implements `ports.DeadLetters`: hands letters on only while something is really shipped.

    Args:
        store: where they go then.
    """

    def __init__(self, store: DeadLetters) -> None:
        self._store = store
        self.ships = False

    def put(self, letters: Sequence[DeadLetter]) -> None:
        """See ports.DeadLetters."""
        if self.ships:
            self._store.put(letters)

    def count(self) -> int:
        """See ports.DeadLetters."""
        return self._store.count()

    def close(self) -> None:
        """See ports.DeadLetters."""
        self._store.close()


class Asker:
    """Has splits shipped to sinks that only say what they hold, or to those that take what they do not.

    Args:
        ship: ships a split to all of them.
        letters: what `ship` puts dead letters into.
    """

    def __init__(self, ship: Callable[[Split], Receipt], letters: Letters) -> None:
        self._ship = ship
        self._letters = letters

    def ask(self, split: Split, sinks: Sequence[AskingSink], *, ships: bool = False) -> Receipt:
        """Ask some sinks for a split's documents; `asked` of each says what they hold.

        Args:
            ships: send what is missing.

        Raises:
            RetryableError: a sink or the source does not answer.
        """
        self._letters.ships = ships
        for sink in sinks:
            sink.active, sink.ships = True, ships
        try:
            return self._ship(replace(split, maybe_shipped=True))
        finally:
            self._letters.ships = False
            for sink in sinks:
                sink.active = sink.ships = False


def patiently(ask: Callable[[], Answer], stop: Stop) -> Answer:
    """Ask until there is an answer, for twenty seconds at most.

    Raises:
        RetryableError: there was none.
        Stopped: the process ends.
    """
    backoff = Backoff(_PATIENCE, stop)
    while True:
        try:
            return ask()
        except RetryableError as error:
            if error.paused:
                raise
            backoff.wait(error)


class Unasked:
    """Implements `ports.Recount` for a sink that cannot be asked: nothing is known of what it holds."""

    by_id = False
    doubles = True

    def count(self, splits: Sequence[S3Split]) -> list[int | None]:
        """See ports.Recount."""
        return [None] * len(splits)

    def count_events(self, region: str, group: str, first_ms: int, last_ms: int) -> int | None:  # noqa: ARG002 - the port's signature
        """See ports.Recount."""
        return None

    def doubled(self, paths: Sequence[str]) -> dict[str, Doubled]:  # noqa: ARG002 - the port's signature
        """See ports.Recount."""
        return {}

    def doubled_events(self, region: str, group: str, first_ms: int, last_ms: int) -> Doubled:  # noqa: ARG002 - the port's signature
        """See ports.Recount."""
        return Doubled()

    def missing(self, documents: Sequence[Document]) -> list[int]:
        """See ports.Recount."""
        return list(range(len(documents)))

    def expired(self, index: str, time_ms: int, stored_at: float) -> bool:  # noqa: ARG002 - the port's signature
        """See ports.Recount."""
        return False
