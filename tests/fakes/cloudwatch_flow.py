"""The CloudWatch source, its reader and the real shipping over fakes, in simulated time, with crashes where asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from shipper.delivery import Patience
from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.model import (
    Document,
    LogEvent,
    LogStream,
    Origin,
    Problem,
    Receipt,
    Record,
    SendResult,
    Split,
    document_id,
)
from shipper.ports import CheckpointStore, Encoder, SchemaName, Stop
from shipper.shipping import Lane, Route, Shipper
from shipper.sources.aws_clock import AwsClock
from shipper.sources.cloudwatch_calls import Budget, Calls
from shipper.sources.cloudwatch_groups import Selection, pattern_of
from shipper.sources.cloudwatch_logs import CloudWatchSource
from shipper.sources.cloudwatch_reader import CloudWatchReader
from shipper.sources.cloudwatch_tiers import Tiers, tiers_for
from tests.fakes.cloudwatch_client import Client
from tests.fakes.cloudwatch_logs import ACCOUNT, REGION, CloudWatchLogs, Event, Group
from tests.fakes.pipeline import LinesFormat, MemoryDeadLetters
from tests.fakes.s3 import TurnedClock

NOW = 1_780_000_000.0


class Crash(BaseException):
    """The process is killed here."""


class TurningStop(Stop):
    """Waits let the simulated time pass."""

    def __init__(self, clock: TurnedClock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, seconds: float) -> None:
        self._clock.now += seconds


class FilesSink:
    """Keeps a file for each split, as the archive does: a file appears whole, and shipping again overwrites it.

    Attributes:
        fail: called when a file is finished; raises what goes wrong.
        finished: called when it is durable, before the split is settled.
    """

    name = "files"
    schema: SchemaName = "ecs"
    batch_bytes = 1_000_000
    batch_documents = 1000

    def __init__(self) -> None:
        self.files: dict[str, list[str]] = {}
        self.fail: Callable[[], None] = lambda: None
        self.finished: Callable[[], None] = lambda: None

    def prepare(self) -> None:
        """Nothing to be done."""

    def open(self, split: Split) -> _File:
        return _File(self, split.id)

    def problems(self) -> Iterable[Problem]:
        return []

    def close(self) -> None:
        """Nothing to give back."""

    def stored(self) -> Counter[str]:
        """How often each document is there."""
        return Counter(identity for file in self.files.values() for identity in file)


class _File:
    def __init__(self, sink: FilesSink, name: str) -> None:
        self._sink, self._name = sink, name
        self._lines: list[str] = []

    def send(self, documents: Sequence[Document]) -> SendResult:
        self._lines += [document.id for document in documents]
        return SendResult(delivered=len(documents))

    def finish(self) -> None:
        self._sink.fail()
        if self._lines:
            self._sink.files[self._name] = self._lines
        self._sink.finished()

    def abandon(self) -> None:
        self._lines = []


class EventSchema:
    """An event's identity as its document."""

    def encoder(self, origin: Origin) -> Encoder:
        def encode(record: Record) -> Document:
            assert record.event is not None
            identity = name_of(record.event)
            return Document(identity, "logs-events-test", record.event.time_ms, record.raw, record, origin)

        return encode


def identity(group: Group, event: Event) -> str:
    """The id of the document that an event becomes."""
    stream = LogStream(group.account, group.region, group.name, event.stream)
    return name_of(LogEvent(event.id, event.time_ms, stream))


def name_of(event: LogEvent) -> str:
    """A document's id: of where the event is and its own id."""
    stream = event.stream
    return document_id(event.time_ms, stream.account, stream.region, stream.group, stream.name, event.id)


class Flow:
    """A daemon that reads `logs`, one split at a time.

    Attributes:
        clock: AWS's time.
        local: what this machine's monotonic clock shows.
        splits: all that were shipped, in order.
    """

    def __init__(
        self,
        logs: CloudWatchLogs,
        clock: TurnedClock,
        store: CheckpointStore,
        *,
        tiers: Tiers | None = None,
        log_groups: Sequence[str] = ("*",),
        start: float | Callable[[float], float] = NOW - 3600,
        calls_per_second: float = 1e6,
        most_pages: int = 8,
        accounts: str | tuple[str, ...] | None = None,
        exclude: Sequence[str] = (),
        tags: Sequence[tuple[str, str]] = (),
        regions: Sequence[str] = (REGION,),
        stream_prefix: str = "",
        local: Callable[[], float] | None = None,
        name: str = "flow",
    ) -> None:
        self._name = name
        self.logs, self.clock, self.store = logs, clock, store
        self.sink = FilesSink()
        self.dead_letters = MemoryDeadLetters()
        self.local = local or clock
        self.splits: list[Split] = []
        self._start, self._tiers = start, tiers or tiers_for(3600)
        self._rate, self._most_pages, self._prefix = calls_per_second, most_pages, stream_prefix
        self._selection = Selection(
            tuple(map(pattern_of, log_groups)), tuple(regions), tuple(map(pattern_of, exclude)), tuple(tags), accounts
        )
        self.restart()

    def restart(self) -> None:
        """Kill the process and start another over the same store."""
        self.metrics = Metrics()
        stop = TurningStop(self.clock)
        budgets: dict[str, Budget] = {}
        clients: dict[str, Client] = {}

        def budget(region: str) -> Budget:
            return budgets.setdefault(region, Budget(self._rate, self.local))

        def client(region: str) -> Client:
            return clients.setdefault(region, Client(self.logs, ACCOUNT, region))

        calls = Calls(
            self._name,
            client=client,
            budget=budget,
            metrics=self.metrics,
            stop=stop,
            clock=AwsClock(self.local),
            monotonic=self.local,
        )
        self.source = CloudWatchSource(
            self._name,
            selection=self._selection,
            calls=calls,
            tiers=self._tiers,
            start=self._start,
            log_type_of=lambda group: ("events", None),
            store=self.store,
            metrics=self.metrics,
            stream_prefix=self._prefix,
        )
        reader = CloudWatchReader(
            calls,
            metrics=self.metrics,
            stream_prefix=self._prefix,
            by_arn=self._selection.foreign,
            most_pages=self._most_pages,
        )
        self.shipper = Shipper(
            formats={"events": LinesFormat()},
            routes={self._name: Route(reader, (Lane({"events": EventSchema()}, (self.sink,)),))},
            dead_letters=self.dead_letters,
            metrics=self.metrics,
            stop=stop,
            patience=Patience(),
        )

    def look(self) -> int:
        """One look, as the coordinator does it: each split is shipped, and settled or released; return how many."""
        count = 0
        for split in self.source.splits():
            count += 1
            self.finish(split)
        return count

    def finish(self, split: Split) -> Receipt | None:
        """Ship one split and settle or release it."""
        self.splits.append(split)
        try:
            receipt = self.shipper.ship(split)
        except RetryableError as error:
            self.source.release(split, error)
            return None
        self.source.settle(split, receipt)
        return receipt

    def run(self, until: float, *, pause: Callable[[], float] = lambda: 0.0) -> None:
        """Look until a time; `pause` adds to the rest between two looks."""
        while self.clock.now < until:
            for _ in self.steps():
                pass
            self.clock.now += max(self.source.idle_seconds(), 1.0) + pause()

    def steps(self) -> Iterator[int]:
        """Look again and again until nothing is due."""
        while count := self.look():
            yield count

    def value(self, name: str, **labels: str) -> float:
        """A metric's value."""
        return self.metrics.registry.get_sample_value(name, {"source": "flow", **labels}) or 0.0
