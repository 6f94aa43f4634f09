"""Drives one source: splits → executor → settle, bounded in flight. Read `Coordinator.run` first."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace

import structlog

from shipper.errors import RetryableError, Stopped
from shipper.metrics import Metrics
from shipper.model import Receipt, Split
from shipper.ports import Source, Stop

# What a split may hold in memory at once, in relation to its stored size: gzip of JSON logs unpacks to about ten times
# its size, and a large object is streamed, so that its share is bounded.
_EXPANSION = 10
_STREAMED_BYTES = 33_554_432
_LEAST_BYTES = 262_144
# What became visible after this process began, and a short while ago, has been shipped by nobody. All else may have
# been: by a process whose state was reset, lost or restored, by another daemon of a fleet, or by a backfill.
_CLOCKS_DIFFER_SECONDS = 300.0
_LIVE_SECONDS = 900.0

log = structlog.get_logger(__name__)


class InFlight:
    """What all sources together may have on its way. Used from every source's thread.

    Args:
        limit_bytes: estimated memory.
        limit_splits: so that workers are busy, but what waits for them is little.
    """

    def __init__(self, limit_bytes: int, limit_splits: int, metrics: Metrics) -> None:
        self._limit_bytes = limit_bytes
        self._limit_splits = limit_splits
        self._metrics = metrics
        self._lock = threading.Lock()
        self._bytes = 0
        self._splits = 0

    def try_enter(self, split: Split) -> bool:
        """Take the split's share, or say that there is no room now. One split alone always has room."""
        share = _share(split)
        with self._lock:
            if self._splits and (self._bytes + share > self._limit_bytes or self._splits >= self._limit_splits):
                return False
            self._bytes += share
            self._splits += 1
            self._metrics.in_flight_bytes.set(self._bytes)
            return True

    def leave(self, split: Split) -> None:
        """Give the split's share back."""
        with self._lock:
            self._bytes -= _share(split)
            self._splits -= 1
            self._metrics.in_flight_bytes.set(self._bytes)


def _share(split: Split) -> int:
    return max(_LEAST_BYTES, min(split.size_bytes * _EXPANSION, _STREAMED_BYTES))


class Coordinator:
    """One source's loop, in a thread of its own.

    Args:
        ship: `Shipper.ship`, called on the executor.
        on_receipt: told of each settled split (progress, summary), in this thread.
        once: end when all that was there is done.
    """

    def __init__(
        self,
        source: Source,
        executor: Executor,
        ship: Callable[[Split], Receipt],
        *,
        in_flight: InFlight,
        metrics: Metrics,
        stop: Stop,
        on_receipt: Callable[[Receipt], None],
        once: bool = False,
    ) -> None:
        self.source = source
        self.beat = time.monotonic()
        self._executor = executor
        self._ship = ship
        self._in_flight = in_flight
        self._metrics = metrics
        self._stop = stop
        self._on_receipt = on_receipt
        self._once = once
        self._running: dict[Future[Receipt], Split] = {}
        self._finished: queue.SimpleQueue[Future[Receipt]] = queue.SimpleQueue()
        self._failures = 0
        self._settled = 0
        self._began = time.time()
        oldest = metrics.oldest_unsettled.labels(source.name)
        oldest.set_function(self._oldest_unsettled)

    def run(self) -> None:
        """Look, ship and settle until a stop is requested, or until all is done where `once`.

        Raises:
            FatalError: nothing can go on. Any other exception is a bug. Both stop the process.
        """
        try:
            self._run()
        finally:
            self.source.close()

    def _run(self) -> None:
        while not self._stop.requested:
            looked = self._look()
            if self._once:
                self._settle_all()
                if self._settled and not self.source.complete() and not self._stop.requested:
                    self._settled = 0  # a log group's windows come one after the other, as each is settled
                    continue
                return
            pause = self.source.idle_seconds() if looked else min(2.0**self._failures, 60.0)
            until = time.monotonic() + pause
            while not self._stop.requested and (left := until - time.monotonic()) > 0:
                self._settle_next(min(left, 0.5))
        self._settle_all()

    @property
    def running(self) -> int:
        """How many splits are on their way."""
        return len(self._running)

    def _look(self) -> bool:
        """Submit all splits that are due; return whether the look succeeded."""
        self.beat = time.monotonic()
        try:
            for split in self.source.splits():
                while not self._in_flight.try_enter(split):
                    self._settle_next(0.1)
                    if self._stop.requested:
                        return True
                if self._stop.requested:
                    self._in_flight.leave(split)
                    return True
                self._submit(split)
                while not self._finished.empty():
                    self._settle_next(0)
        except RetryableError as error:
            self._failures = min(self._failures + 1, 6)
            self._metrics.source_errors.labels(self.source.name).inc()
            say = log.error if error.paused else log.warning
            say("source cannot be read, trying again", source=self.source.name, why=error.advice)
            return False
        self._failures = 0
        return True

    def _submit(self, split: Split) -> None:
        split = self._marked(split)
        future = self._executor.submit(self._ship, split)
        self._running[future] = split
        self._metrics.in_flight_splits.labels(self.source.name).set(len(self._running))
        future.add_done_callback(self._finished.put)

    def _marked(self, split: Split) -> Split:
        """Return the split, marked where it may have been shipped before."""
        live = split.oldest >= max(self._began + _CLOCKS_DIFFER_SECONDS, time.time() - _LIVE_SECONDS)
        return split if live or split.maybe_shipped else replace(split, maybe_shipped=True)

    def _settle_all(self) -> None:
        """Let what is on its way finish, bounded by the stop's grace time, and settle it."""
        if self._stop.requested:
            for future in list(self._running):
                if future.cancel():
                    self._drop(future)
        while self._running:
            self._settle_next(0.5)

    def _settle_next(self, timeout: float) -> None:
        """Settle one finished split, waiting for it at most `timeout` seconds."""
        self.beat = time.monotonic()
        try:
            future = self._finished.get(timeout=timeout) if timeout else self._finished.get_nowait()
        except queue.Empty:
            return
        split = self._drop(future)
        if split is None or future.cancelled():
            return
        try:
            receipt = future.result()
        except RetryableError as error:
            self._metrics.splits_released.labels(self.source.name).inc()
            log.warning(
                "split not delivered, kept for later", source=self.source.name, split=split.id, why=error.advice
            )
            self.source.release(split, error)
        except Stopped:
            log.warning("split given up at the stop, it is shipped again", source=self.source.name, split=split.id)
        else:
            self.source.settle(split, receipt)
            self._settled += 1
            self._metrics.settled(receipt)
            self._on_receipt(receipt)

    def _drop(self, future: Future[Receipt]) -> Split | None:
        split = self._running.pop(future, None)
        if split is not None:
            self._in_flight.leave(split)
            self._metrics.in_flight_splits.labels(self.source.name).set(len(self._running))
        return split

    def _oldest_unsettled(self) -> float:
        return max((time.time() - split.oldest for split in list(self._running.values())), default=0.0)
