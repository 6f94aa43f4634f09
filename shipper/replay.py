"""Sends dead letters again: the same documents, to the same sinks, over the same road as at first."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shipper.delivery import Outlet, Patience
from shipper.letter_log import LetterLog, words_of
from shipper.metrics import Metrics
from shipper.model import DeadLetter, Document, Record, S3Split
from shipper.ports import Sink, Stop

_BATCH = 500

Key = tuple[str, str, str, int | None, str]


class LetterStore(Protocol):
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
class Replayed:
    """What became of the letters.

    Attributes:
        delivered, present, repaired: stored now, there already, stored after a part was moved aside; all removed.
        refused: refused again; kept with the newest words.
        no_document: never became a document (undecodable records, unreadable objects); kept.
        no_sink: their sink is not in the configuration any more; kept.
        first_refusal: reason and words of the first that was refused again; "" if none was.
    """

    delivered: int = 0
    present: int = 0
    repaired: int = 0
    refused: int = 0
    no_document: int = 0
    no_sink: int = 0
    first_refusal: str = ""

    @property
    def kept(self) -> int:
        """How many of them are still dead letters."""
        return self.refused + self.no_document + self.no_sink


class Replay:
    """Sends letters; one that got through is removed only after its sink has it for good.

    A crash between the two leaves the letter, and sending it again finds the document present (Splunk: a second one
    under the same `event_uid`).

    Args:
        sinks: by name.
        progress: told the account after each batch.
    """

    def __init__(
        self,
        sinks: Mapping[str, Sink],
        store: LetterStore,
        metrics: Metrics,
        *,
        stop: Stop,
        patience: Patience,
        progress: Callable[[Replayed], None] = lambda _: None,
    ) -> None:
        self._sinks = sinks
        self._store = store
        self._metrics = metrics
        self._stop = stop
        self._patience = patience
        self._progress = progress

    def run(self, letters: Iterable[DeadLetter]) -> Replayed:
        """Send all letters that have a document.

        Raises:
            RetryableError: a sink is away for longer than the patience; what is not delivered stays a letter.
            FatalError, Stopped: as they come.
        """
        account = Replayed()
        for batch in _batches(letters):
            first = batch[0]
            if not first.document:
                account.no_document += len(batch)
            elif first.sink not in self._sinks:
                account.no_sink += len(batch)
            else:
                self._send(self._sinks[first.sink], batch, account)
            self._progress(account)
        return account

    def _send(self, sink: Sink, batch: Sequence[DeadLetter], account: Replayed) -> None:
        first = batch[0]
        split = S3Split(first.split_id, first.source, "", first.logs, (), maybe_shipped=True)
        refused = _Refused(self._store)
        letters = LetterLog(refused)
        outlet = Outlet(
            sink.name,
            sink.open(split),
            split,
            dead_letters=letters,
            metrics=self._metrics,
            stop=self._stop,
            patience=self._patience,
        )
        try:
            for part in _parts([_document(letter) for letter in batch], sink):
                outlet.send(part)
            outlet.finish()
        except BaseException:
            outlet.abandon()
            raise
        finally:
            letters.write()
        self._store.discard([letter.id for letter in batch if _key(letter) not in refused.keys])
        account.delivered += outlet.tally.delivered
        account.present += outlet.tally.present
        account.repaired += outlet.tally.repaired
        account.refused += len(refused.keys)
        account.first_refusal = account.first_refusal or refused.first_words


class _Refused:
    """Keeps letters in the store as ever, and notes which came, and why the first did."""

    def __init__(self, store: LetterStore) -> None:
        self._store = store
        self.keys: set[Key] = set()
        self.first_words = ""

    def put(self, letters: Sequence[DeadLetter]) -> None:
        self._store.put(letters)
        self.first_words = self.first_words or words_of(letters[0])
        self.keys.update(map(_key, letters))

    def count(self) -> int:
        return self._store.count()

    def close(self) -> None:
        self._store.close()


def _batches(letters: Iterable[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """Neighbours that go the same way, so that memory is bounded."""
    for _, group in itertools.groupby(letters, lambda x: (x.sink, x.source, x.split_id, x.logs, bool(x.document))):
        while batch := list(itertools.islice(group, _BATCH)):
            yield batch


def _parts(documents: Sequence[Document], sink: Sink) -> Iterator[list[Document]]:
    """Cut to the sink's own limits; a single larger document goes alone."""
    part: list[Document] = []
    size = 0
    for document in documents:
        if part and (size + len(document.body) > sink.batch_bytes or len(part) >= sink.batch_documents):
            yield part
            part, size = [], 0
        part.append(document)
        size += len(document.body)
    yield part


def _document(letter: DeadLetter) -> Document:
    record = Record(letter.payload, letter.position or 0)
    return Document(letter.document_id, letter.index, letter.time_ms, letter.document, record, letter.origin)


def _key(letter: DeadLetter) -> Key:
    return (letter.source, letter.sink, letter.origin.uri, letter.position, letter.document_id)
