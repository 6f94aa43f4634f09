"""Splits on their way: pinned, waiting to be yielded, in flight, or released and waiting for another go."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace

import structlog

from shipper.errors import RetryableError
from shipper.model import S3Object, Split
from shipper.ports import FATAL_ATTEMPTS, CheckpointStore
from shipper.sources.s3_splits import group, split_of

_FIRST_WAIT_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 300.0

log = structlog.get_logger(__name__)


class Pending:
    """A source's unsettled splits. Used by its source's thread only.

    A group of objects that the process did not survive several times is taken apart, and its objects are shipped one
    after the other, so that the one to blame is known and its neighbours are delivered.

    Args:
        source: the source's name.
    """

    def __init__(self, source: str, store: CheckpointStore) -> None:
        self._source = source
        self._store = store
        self._ready: deque[Split] = deque()
        self._in_flight: dict[str, Split] = {}
        self._released: list[tuple[float, str, Split]] = []
        self._suspects: deque[Split] = deque()
        self._suspect = ""
        self._alone: set[str] = set()
        self._failures: Counter[str] = Counter()
        self._hashes: set[int] = set()

    def __contains__(self, value: int) -> bool:
        return value in self._hashes

    def __len__(self) -> int:
        return len(self._ready) + len(self._suspects) + len(self._in_flight) + len(self._released)

    @property
    def next_at(self) -> float | None:
        """When the next split is due that waits, in seconds since the epoch."""
        if self._suspects and not self._suspect:
            return 0.0
        return self._released[0][0] if self._released else None

    def unsettled(self) -> list[Split]:
        """All splits that are not settled."""
        return [*self._ready, *self._suspects, *self._in_flight.values(), *(split for _, _, split in self._released)]

    def restore(self) -> list[Split]:
        """Take up what was pinned before a restart: unchanged, but for groups that stopped the process too often."""
        attempts = self._store.attempts(self._source)
        ordinary: list[Split] = []
        suspects: list[Split] = []
        for pinned in self._store.pinned(self._source):
            split = replace(pinned, maybe_shipped=True)  # an earlier process may have shipped it
            fatal = attempts.get(split.id, 0)
            if fatal >= FATAL_ATTEMPTS and len(split.objects) > 1:
                suspects += self._taken_apart(split, fatal)
            elif fatal and len(split.objects) == 1:
                suspects.append(split)
            else:
                ordinary.append(split)
        self._add(ordinary)
        self._hold(suspects)
        self._suspects.extend(suspects)
        self._alone.update(split.id for split in suspects)
        return [*ordinary, *suspects]

    def _taken_apart(self, split: Split, fatal: int) -> list[Split]:
        log.warning(
            "objects are shipped one by one: the process ended again and again while they were on their way",
            source=self._source,
            split=split.id,
            objects=len(split.objects),
            attempts=fatal,
        )
        parts: list[Split] = [
            replace(split_of([item], source=self._source, scope=split.scope, logs=split.logs), maybe_shipped=True)
            for item in split.objects
        ]
        self._store.replace_pins(split, parts)
        return parts

    def pin(self, scope: str, logs: str, objects: Sequence[S3Object], maybe_shipped: Container[int] = ()) -> None:
        """Group objects into splits, which are ready once the store has them.

        Args:
            maybe_shipped: hashes of objects that another process may have shipped.
        """
        splits = [
            replace(
                split_of(members, source=self._source, scope=scope, logs=logs),
                maybe_shipped=any(item.hash in maybe_shipped for item in members),
            )
            for members in group(objects)
        ]
        if splits:
            self._store.pin(splits)
            self._add(splits)

    def take(self, now: float) -> Iterator[Split]:
        """Yield what is ready; each split is in flight from then on."""
        while self._released and self._released[0][0] <= now:
            split = heapq.heappop(self._released)[2]
            (self._suspects if split.id in self._alone else self._ready).append(split)
        while self._ready:
            split = self._ready.popleft()
            self._in_flight[split.id] = split
            yield split
        if self._suspects and not self._suspect:
            split = self._suspects.popleft()
            self._suspect = split.id
            self._in_flight[split.id] = split
            yield split

    def release(self, split: Split, error: RetryableError, now: float) -> None:
        """A split was not delivered: it is ready again after a wait that grows with each failure.

        A part of it may have been: what ships it again has to look.
        """
        split = replace(split, maybe_shipped=True)
        self._in_flight.pop(split.id, None)
        self._failures[split.id] += 1
        self._free(split)
        wait = min(_FIRST_WAIT_SECONDS * 2 ** min(self._failures[split.id] - 1, 10), _LONGEST_WAIT_SECONDS)
        heapq.heappush(self._released, (now + max(wait, error.retry_after or 0.0), split.id, split))

    def settled(self, split: Split) -> None:
        """A split is settled in the store."""
        self._in_flight.pop(split.id, None)
        self._failures.pop(split.id, None)
        self._alone.discard(split.id)
        self._free(split)
        self._hashes.difference_update(item.hash for item in split.objects)

    def _free(self, split: Split) -> None:
        """Let the next suspect go after this one."""
        if split.id == self._suspect:
            self._suspect = ""

    def _add(self, splits: Sequence[Split]) -> None:
        self._hold(splits)
        self._ready.extend(splits)

    def _hold(self, splits: Sequence[Split]) -> None:
        for split in splits:
            self._hashes.update(item.hash for item in split.objects)
