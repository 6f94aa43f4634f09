"""What was settled in the last days, so that a message that is delivered twice is shipped once."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from shipper.ports import CheckpointStore, Clock
from shipper.sources.s3_keys import DAY_SECONDS
from shipper.sources.s3_scope import Hashes

_DAYS = 6


class DoneObjects:
    """Hashes of settled objects: 8 bytes each, for six days. Safe to use from many threads.

    S3 notifies at least once, and a queue delivers at least once: a second delivery comes within the visibility
    timeout of the first, twelve hours at most. A listing that verifies looks at a day for the last time when it is
    four days old. What comes later is shipped again, under the same document ids.

    Args:
        source, scope: whose they are in the store.
    """

    def __init__(self, source: str, scope: str, store: CheckpointStore, clock: Clock) -> None:
        self._source = source
        self._scope = scope
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._days: dict[int, Hashes] | None = None

    def __contains__(self, value: int) -> bool:
        with self._lock:
            return any(value in hashes for hashes in self._loaded().values())

    def pairs(self, values: Iterable[int]) -> list[tuple[int, int]]:
        """Return (day, hash) as the store keeps them."""
        today = self._today()
        return [(today, value) for value in values]

    def add(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Remember pairs that the store has got."""
        with self._lock:
            for day, value in pairs:
                self._loaded().setdefault(day, Hashes()).add((value,))

    def close_days(self) -> None:
        """Forget days that are too long ago."""
        first = self._today() - _DAYS
        with self._lock:
            days = self._loaded()
            if any(day < first for day in days):
                self._store.close_before(self._source, self._scope, first, {})
                self._days = {day: hashes for day, hashes in days.items() if day >= first}

    def _today(self) -> int:
        return int(self._clock() // DAY_SECONDS)

    def _loaded(self) -> dict[int, Hashes]:
        if self._days is None:
            # From the beginning: what is too old is closed then, in the store, too.
            found = self._store.done(self._source, self._scope, 0, self._today() + 2)
            self._days = {day: Hashes(values) for day, values in found.items()}
        return self._days
