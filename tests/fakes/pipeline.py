"""In-memory parts of the pipeline that really work: sinks, dead letters, a source, a reader, a format, a schema."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from shipper.errors import BadInputError, RetryableError
from shipper.model import (
    DeadLetter,
    Document,
    Origin,
    Payload,
    Problem,
    Receipt,
    Record,
    Rejected,
    S3Object,
    S3Split,
    SendResult,
    Split,
    document_id,
)
from shipper.ports import Encoder, SchemaName, Stop

Answer = Callable[[Sequence[Document]], SendResult]


class HastyStop(Stop):
    """Waits take no time, and are noted."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        super().wait(0)


class MemorySink:
    """Stores documents by id, as Elasticsearch's `create` does; answers may be scripted for the next batches."""

    def __init__(self, name: str = "memory", schema: SchemaName = "ecs", batch_documents: int = 1000) -> None:
        self.name = name
        self.schema: SchemaName = schema
        self.batch_bytes = 1_000_000
        self.batch_documents = batch_documents
        self.script: list[Answer | Exception] = []
        self.batches: list[list[str]] = []
        self.finished: list[str] = []
        self.abandoned: list[str] = []
        self.prepared = 0
        self.stored: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def prepare(self) -> None:
        self.prepared += 1

    def open(self, split: Split) -> _MemoryDelivery:
        return _MemoryDelivery(self, split)

    def problems(self) -> Iterable[Problem]:
        return []

    def close(self) -> None:
        """Nothing to give back."""

    def take(self, documents: Sequence[Document]) -> SendResult:
        with self._lock:
            self.batches.append([d.id for d in documents])
            step = self.script.pop(0) if self.script else self.store
        if isinstance(step, Exception):
            raise step
        return step(documents)

    def store(self, documents: Sequence[Document]) -> SendResult:
        with self._lock:
            before = len(self.stored)
            for document in documents:
                self.stored.setdefault(document.id, document.body)
            delivered = len(self.stored) - before
        return SendResult(delivered=delivered, present=len(documents) - delivered)


class _MemoryDelivery:
    def __init__(self, sink: MemorySink, split: Split) -> None:
        self._sink = sink
        self._split = split

    def send(self, documents: Sequence[Document]) -> SendResult:
        return self._sink.take(documents)

    def finish(self) -> None:
        self._sink.finished.append(self._split.id)

    def abandon(self) -> None:
        self._sink.abandoned.append(self._split.id)


class MemoryDeadLetters:
    """Keeps letters in a list; refuses while `full`."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self.refusals = 0
        self.on_put: Callable[[], None] = lambda: None

    def put(self, letters: Sequence[DeadLetter]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise RetryableError("the dead-letter store is full")
        self.letters.extend(letters)
        self.on_put()

    def count(self) -> int:
        return len(self.letters)

    def close(self) -> None:
        """Nothing to release."""


class LinesReader:
    """Opens objects whose content is given; an exception in its place is yielded or raised."""

    def __init__(self, contents: dict[str, bytes | Exception]) -> None:
        self.contents = contents

    def open(self, split: Split) -> Iterator[Payload | tuple[S3Object, Exception]]:
        for item in split.objects:
            content = self.contents[item.key]
            if isinstance(content, RetryableError):
                raise content
            if isinstance(content, Exception):
                yield item, content
            else:
                yield Payload(Origin(item.uri, item.bucket, item.key), iter([content]), len(content))


class LinesFormat:
    """One record a line; `!` at its start cannot be taken apart, `#` alone makes the rest unreadable."""

    def records(self, payload: Payload) -> Iterator[Record | Rejected]:
        for number, line in enumerate(b"".join(payload.chunks).splitlines(), 1):
            if line == b"#":
                raise BadInputError("the rest is unreadable")
            yield Rejected(line, number, "not a record") if line.startswith(b"!") else Record(line, number)


class LinesSchema:
    """The line itself as the document; `?` at its start has no document, `-` is filtered out."""

    def encoder(self, origin: Origin) -> Encoder:
        def encode(record: Record) -> Document | None:
            if record.raw.startswith(b"?"):
                raise BadInputError("no document for this")
            if record.raw.startswith(b"-"):
                return None
            identity = document_id(record.position, origin.uri, str(record.position))
            return Document(identity, "logs-lines-test", record.position, record.raw, record, origin)

        return encode


def lines_split(*keys: str, source: str = "lines") -> S3Split:
    """A split of objects of that name."""
    objects = tuple(S3Object("bucket", key, 10, "etag", 1000.0) for key in keys)
    return S3Split("-".join(keys), source, "scope", "lines", objects)


class QueueSource:
    """Offers given splits once each; released ones again at the next look."""

    def __init__(self, name: str, splits: Sequence[S3Split]) -> None:
        self.name = name
        self.waiting: list[Split] = list(splits)
        self.flying: set[str] = set()
        self.receipts: list[Receipt] = []
        self.released: list[str] = []
        self.errors: list[RetryableError] = []
        self.closed = 0

    def splits(self) -> Iterator[Split]:
        if self.errors:
            raise self.errors.pop(0)
        while self.waiting:
            split = self.waiting.pop(0)
            self.flying.add(split.id)
            yield split

    def settle(self, split: Split, receipt: Receipt) -> None:
        self.flying.remove(split.id)
        self.receipts.append(receipt)

    def release(self, split: Split, error: RetryableError) -> None:
        self.flying.remove(split.id)
        self.released.append(split.id)
        self.waiting.append(split)

    def idle_seconds(self) -> float:
        return 0.01

    def complete(self) -> bool:
        return not self.waiting and not self.flying

    def problems(self) -> Iterable[Problem]:
        return []

    def close(self) -> None:
        self.closed += 1
