"""The process around the pipeline: signals, threads that live and die together, the end and its summary."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import structlog

from shipper import notify
from shipper.coordinator import Coordinator, InFlight
from shipper.counting import counted
from shipper.delivery import Backoff, Patience
from shipper.errors import FatalError, RetryableError, Stopped
from shipper.listener import Health, Listener
from shipper.metrics import Metrics
from shipper.model import Receipt, Split, Tally
from shipper.ports import CheckpointStore, DeadLetters, Sink, Source, Stop
from shipper.progress import Progress, Work

_COLLECT_SECONDS = 60.0
_TELL_SECONDS = 5.0
_SILENT_SECONDS = 900.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Pipeline:
    """All parts of a running daemon, as `build` puts them together."""

    sources: Sequence[Source]
    sinks: Mapping[str, Sink]
    ship: Callable[[Split], Receipt]
    store: CheckpointStore
    dead_letters: DeadLetters
    metrics: Metrics
    stop: Stop
    patience: Patience
    threads: int
    in_flight_bytes: int
    grace_seconds: float
    listen: tuple[str, int] | None
    closers: Sequence[Callable[[], None]] = ()
    progress: Progress = field(default_factory=Progress)

    def close(self) -> None:
        """Give back connections and locks."""
        for close in self.closers:
            close()
        for sink in self.sinks.values():
            sink.close()
        self.dead_letters.close()
        self.store.close()


@dataclass(slots=True)
class Summary:
    """What a run did, by source and sink, in records."""

    ok: bool = True
    splits: int = 0
    read: dict[str, int] = field(default_factory=dict)
    sinks: dict[str, dict[str, Tally]] = field(default_factory=dict)
    unread_objects: int = 0
    seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, receipt: Receipt) -> None:
        """Add one settled split. Called from the sources' threads."""
        with self._lock:
            self.splits += 1
            self.unread_objects += len(receipt.unread)
            self.read[receipt.source] = self.read.get(receipt.source, 0) + receipt.read
            totals = self.sinks.setdefault(receipt.source, {})
            for sink, tally in receipt.sinks.items():
                total = totals.setdefault(sink, Tally())
                for part in ("delivered", "present", "filtered", "dead_lettered", "repaired", "bytes_out"):
                    setattr(total, part, getattr(total, part) + getattr(tally, part))

    def as_json(self) -> dict[str, Any]:
        """The summary for machines."""
        return {
            "ok": self.ok,
            "splits": self.splits,
            "unread_objects": self.unread_objects,
            "seconds": round(self.seconds, 3),
            "sources": {
                source: {
                    "read": read,
                    "sinks": {
                        sink: {
                            "delivered": tally.delivered,
                            "present": tally.present,
                            "filtered": tally.filtered,
                            "dead_lettered": tally.dead_lettered,
                            "repaired": tally.repaired,
                            "bytes": tally.bytes_out,
                        }
                        for sink, tally in sorted(self.sinks[source].items())
                    },
                }
                for source, read in sorted(self.read.items())
            },
        }

    def lines(self) -> list[str]:
        """The summary for people."""
        lines = []
        for source, read in sorted(self.read.items()):
            for sink, t in sorted(self.sinks[source].items()):
                account = f"{t.delivered:,} delivered + {t.present:,} already there"
                rest = f"{t.filtered:,} filtered + {t.dead_lettered:,} dead-lettered"
                rest += f" + {t.repaired:,} repaired" if t.repaired else ""
                lines.append(f"{source} → {sink}: {read:,} read = {account} + {rest}")
        if not self.read:
            lines.append("nothing new was found" if self.ok else "nothing was settled; the log above says why")
        if self.unread_objects:
            lines.append(f"not opened, and tried again later: {counted(self.unread_objects, 'object')}")
        state = "all delivered or dead-lettered" if self.ok else "NOT all delivered; run again to go on"
        lines.append(f"{counted(self.splits, 'split')} in {self.seconds:.1f} s: {state}")
        return lines


def run(pipeline: Pipeline, *, once: bool = False, on_receipt: Callable[[Receipt], None] | None = None) -> Summary:
    """Run until a signal, or until all is shipped where `once`.

    The first SIGTERM or SIGINT stops reading, lets sends finish and settles; a second one kills. Signals are heard only
    where this is called from the main thread.

    Args:
        on_receipt: told of each settled split, from the sources' threads.

    Raises:
        FatalError: nothing can go on. Any other exception is a bug of this program.
    """
    return _Service(pipeline, once=once, on_receipt=on_receipt or (lambda _: None)).run()


class _Service:
    def __init__(self, pipeline: Pipeline, *, once: bool, on_receipt: Callable[[Receipt], None]) -> None:
        self._pipeline = pipeline
        self._once = once
        self._tell = on_receipt
        self._stop = pipeline.stop
        self._summary = Summary()
        self._errors: list[BaseException] = []
        self._coordinators: list[Coordinator] = []
        self._threads: list[threading.Thread] = []
        self._ready = False
        self._deadline: float | None = None
        self._stuck: list[Work] = []

    def run(self) -> Summary:
        started = time.monotonic()
        previous = self._catch_signals()
        listener = None
        try:
            if self._pipeline.listen is not None:
                health = Health(
                    alive=self._alive,
                    ready=lambda: self._ready and not self._stop.requested,
                    waiting=self._pipeline.metrics.waiting,
                )
                listener = Listener(self._pipeline.listen, self._pipeline.metrics.registry, health)
                listener.start()
            if self._prepare():
                self._work()
        finally:
            if listener is not None:
                listener.close()
            for number, handler in previous.items():
                signal.signal(number, handler)
            notify.stopping()
        self._summary.seconds = time.monotonic() - started
        if self._errors:
            raise self._errors[0]
        done = all(not c.running and (not self._once or c.source.complete()) for c in self._coordinators)
        self._summary.ok = self._ready and done
        return self._summary

    def _prepare(self) -> bool:
        """Bring the sinks up, waiting for those that are not there yet; return whether work can begin."""
        for sink in self._pipeline.sinks.values():
            backoff = Backoff(self._pipeline.patience, self._stop)
            while True:
                try:
                    sink.prepare()
                except RetryableError as error:
                    log.warning("sink is not ready, waiting", sink=sink.name, why=error.advice)
                    notify.status(f"waiting for sink {sink.name}")
                    if not self._bear(backoff, error):
                        return False
                else:
                    break
                if self._stop.requested:
                    return False
        return True

    def _bear(self, backoff: Backoff, error: RetryableError) -> bool:
        try:
            backoff.wait(error)
        except (RetryableError, Stopped):
            return False
        return True

    def _work(self) -> None:
        pipeline = self._pipeline
        executor = ThreadPoolExecutor(pipeline.threads, thread_name_prefix="ship")
        in_flight = InFlight(pipeline.in_flight_bytes, pipeline.threads * 2, pipeline.metrics)
        self._coordinators = [
            Coordinator(
                source,
                executor,
                pipeline.ship,
                in_flight=in_flight,
                metrics=pipeline.metrics,
                stop=self._stop,
                on_receipt=self._settled,
                once=self._once,
            )
            for source in pipeline.sources
        ]
        # Records form no reference cycles, and a cyclic collection that scans the batches on their way costs more than
        # all the work on them: collect at rest instead. What the start left is not looked through at all.
        gc.freeze()
        gc.disable()
        try:
            for coordinator in self._coordinators:
                thread = threading.Thread(target=self._drive, args=(coordinator,), name=coordinator.source.name)
                thread.start()
                self._threads.append(thread)
            self._ready = True
            notify.ready()
            self._watch()
        finally:
            gc.enable()
            gc.unfreeze()
            executor.shutdown(wait=True, cancel_futures=True)

    def _drive(self, coordinator: Coordinator) -> None:
        try:
            coordinator.run()
        except BaseException as error:  # kept, and raised again in the main thread
            self._errors.append(error)
            if not isinstance(error, FatalError):
                log.exception("bug: a source's thread ended", source=coordinator.source.name)
            self._stop.request()

    def _watch(self) -> None:
        """Wait for the end: ping systemd, collect garbage at rest, keep the grace time."""
        last_collected = time.monotonic()
        last_told = 0.0
        while any(thread.is_alive() for thread in self._threads):
            for thread in self._threads:
                thread.join(0.2 / len(self._threads))
            now = time.monotonic()
            if self._stop.requested:
                if self._deadline is None:
                    self._deadline = now + self._pipeline.grace_seconds
                    log.info("stopping: no new reads, sends may finish", grace_seconds=self._pipeline.grace_seconds)
                elif now > self._deadline and not self._stop.expired:
                    log.warning("the grace time is over, what is on its way is shipped again after the restart")
                    self._stop.expire()
            if now - last_collected > _COLLECT_SECONDS:
                gc.collect()
                last_collected = now
            if now - last_told > _TELL_SECONDS and self._alive():
                self._pipeline.metrics.dead_letters.set(self._pipeline.dead_letters.count())
                notify.watchdog()
                last_told = now

    def _alive(self) -> bool:
        now = time.monotonic()
        if self._errors or any(now - c.beat >= _SILENT_SECONDS for c in self._coordinators):
            return False
        return not self._stuck_workers()

    def _stuck_workers(self) -> list[Work]:
        """Return the workers that stand still within a record, and log each once. Nothing can interrupt a thread."""
        stuck = self._pipeline.progress.stuck()
        for work in stuck:
            if work not in self._stuck:
                log.error(
                    "a worker has stood still: unhealthy until it moves on, or this process is ended and started again",
                    source=work.split.source,
                    split=work.split.id,
                    object=work.where,
                    seconds=round(work.seconds),
                )
        self._stuck = stuck
        return stuck

    def _settled(self, receipt: Receipt) -> None:
        self._summary.add(receipt)
        self._tell(receipt)

    def _catch_signals(self) -> dict[int, Any]:
        if threading.current_thread() is not threading.main_thread():
            return {}
        return {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._stop.requested:
            # The second signal: end at once, as if killed; what is not settled is shipped again.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._stop.request()
