"""Splits on their way: pinned, waiting to be yielded, in flight, or released and waiting for another go."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace

from shipper.errors import RetryableError
from shipper.model import S3Object, Split
from shipper.ports import CheckpointStore
from shipper.sources.s3_splits import group, split_of

_FIRST_WAIT_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 300.0


class Pending:
    """A source's unsettled splits. Used by its source's thread only.

    Args:
        source: the source's name.
    """

    def __init__(self, source: str, store: CheckpointStore) -> None:
        self._source = source
        self._store = store
        self._ready: deque[Split] = deque()
        self._in_flight: dict[str, Split] = {}
        self._released: list[tuple[float, str, Split]] = []
        self._failures: Counter[str] = Counter()
        self._hashes: set[int] = set()

    def __contains__(self, value: int) -> bool:
        return value in self._hashes

    def __len__(self) -> int:
        return len(self._ready) + len(self._in_flight) + len(self._released)

    @property
    def next_at(self) -> float | None:
        """When the next released split is due, in seconds since the epoch."""
        return self._released[0][0] if self._released else None

    def unsettled(self) -> list[Split]:
        """All splits that are not settled."""
        return [*self._ready, *self._in_flight.values(), *(split for _, _, split in self._released)]

    def restore(self) -> list[Split]:
        """Take up what was pinned before a restart, unchanged; an earlier process may have shipped it."""
        splits = [replace(split, maybe_shipped=True) for split in self._store.pinned(self._source)]
        self._add(splits)
        return splits

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
            self._ready.append(heapq.heappop(self._released)[2])
        while self._ready:
            split = self._ready.popleft()
            self._in_flight[split.id] = split
            yield split

    def release(self, split: Split, error: RetryableError, now: float) -> None:
        """A split was not delivered: it is ready again after a wait that grows with each failure.

        A part of it may have been: what ships it again has to look.
        """
        split = replace(split, maybe_shipped=True)
        self._in_flight.pop(split.id, None)
        self._failures[split.id] += 1
        wait = min(_FIRST_WAIT_SECONDS * 2 ** min(self._failures[split.id] - 1, 10), _LONGEST_WAIT_SECONDS)
        heapq.heappush(self._released, (now + max(wait, error.retry_after or 0.0), split.id, split))

    def settled(self, split: Split) -> None:
        """A split is settled in the store."""
        self._in_flight.pop(split.id, None)
        self._failures.pop(split.id, None)
        self._hashes.difference_update(item.hash for item in split.objects)

    def _add(self, splits: Sequence[Split]) -> None:
        for split in splits:
            self._hashes.update(item.hash for item in split.objects)
        self._ready.extend(splits)
