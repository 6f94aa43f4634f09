"""When each worker last moved on, so that one that is stuck within a record is noticed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from shipper.model import Split

Item = TypeVar("Item")
STUCK_SECONDS = 300.0
"""A record takes milliseconds. Waiting for a bucket, a sink or the disk is no work of the worker's own."""


class Work:
    """One split's way through a worker. `step` and `waits` are called by the worker, the rest by any thread.

    Attributes:
        split: what is shipped.
        where: the object that is read.
    """

    def __init__(self, split: Split, clock: Callable[[], float]) -> None:
        self.split = split
        self.where = ""
        self._clock = clock
        self._since: float | None = clock()

    def step(self) -> None:
        """Note that the work goes on."""
        self._since = self._clock()

    def waits(self) -> None:
        """Note that others are waited for, which may take any time, until the next step."""
        self._since = None

    def waiting_for(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the items; what it takes to get each is waiting."""
        iterator = iter(items)
        while True:
            self.waits()
            try:
                item = next(iterator)
            except StopIteration:
                self.step()
                return
            self.step()
            yield item

    @property
    def seconds(self) -> float:
        """For how long the worker has not moved on; 0 while it waits for others."""
        since = self._since
        return 0.0 if since is None else self._clock() - since


class Progress:
    """All workers of the process. Safe to use from many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._works: dict[int, Work] = {}

    def begin(self, split: Split) -> Work:
        """Return the work on a split, which is watched from now on."""
        work = Work(split, self._clock)
        with self._lock:
            self._works[id(work)] = work
        return work

    def end(self, work: Work) -> None:
        """Watch a work no longer."""
        with self._lock:
            self._works.pop(id(work), None)

    def stuck(self, seconds: float = STUCK_SECONDS) -> list[Work]:
        """Return the works that have not moved on for so long."""
        with self._lock:
            return [work for work in self._works.values() if work.seconds > seconds]
