"""What was settled in the last days, so that a message that is delivered twice is shipped once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shipper.ports import CheckpointStore
from shipper.sources.s3_keys import DAY_SECONDS
from shipper.sources.s3_scope import Hashes

_DAYS = 4


class DoneObjects:
    """Hashes of settled objects: 8 bytes each, for four days. Used by its source's thread only.

    S3 notifies at least once, and a queue delivers at least once: a second delivery comes within the visibility
    timeout of the first, twelve hours at most. What comes later is shipped again, under the same document ids.

    Args:
        source, scope: whose they are in the store.
    """

    def __init__(self, source: str, scope: str, store: CheckpointStore) -> None:
        self._source = source
        self._scope = scope
        self._store = store
        self._days: dict[int, Hashes] = {}
        self._today = 0

    def __contains__(self, value: int) -> bool:
        return any(value in hashes for hashes in self._days.values())

    def load(self, now: float) -> None:
        """Read what the store has."""
        self._today = int(now // DAY_SECONDS)
        found = self._store.done(self._source, self._scope, self._today - _DAYS, self._today + 2)
        self._days = {day: Hashes(values) for day, values in found.items()}

    def pairs(self, values: Iterable[int], now: float) -> list[tuple[int, int]]:
        """Return (day, hash) as the store keeps them."""
        self._today = int(now // DAY_SECONDS)
        return [(self._today, value) for value in values]

    def add(self, values: Iterable[int]) -> None:
        """Remember what the store has got with today's `pairs`."""
        self._days.setdefault(self._today, Hashes()).add(values)

    def close_days(self, now: float) -> None:
        """Forget days that are too long ago."""
        first = int(now // DAY_SECONDS) - _DAYS
        if any(day < first for day in self._days):
            self._store.close_before(self._source, self._scope, first, {})
            self._days = dict(self._open(first))

    def _open(self, first: int) -> Iterator[tuple[int, Hashes]]:
        return ((day, hashes) for day, hashes in self._days.items() if day >= first)
