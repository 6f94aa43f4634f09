"""Objects that could not be opened: when each is tried again, and when one is given up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from shipper.errors import UnreadableKind
from shipper.model import Retry, S3Object, Unread

MISSING_SECONDS = 600.0
"""Three attempts over ten minutes: a listing may run ahead of the object's own servers, but not for longer."""

_MISSING_SHARES = (0.2, 0.8)
FORBIDDEN_LIMIT = 200
"""So many refused objects of a scope stop the listing of that scope, so that a missing permission fills no table."""


class Waiting:
    """The retry table in memory. Used by its source's thread only.

    Args:
        retries: what waits already.
        missing_seconds: an object that is missing for so long is given up.
    """

    def __init__(self, retries: Iterable[Retry], missing_seconds: float = MISSING_SECONDS) -> None:
        self._missing_seconds = missing_seconds
        self._waiting = {retry.object.hash: retry for retry in retries}
        self._trying: dict[int, Retry] = {}

    def __contains__(self, value: int) -> bool:
        return value in self._waiting or value in self._trying

    def __len__(self) -> int:
        return len(self._waiting) + len(self._trying)

    @property
    def next_at(self) -> float | None:
        """When the next attempt is due, in seconds since the epoch."""
        return min((retry.next_at for retry in self._waiting.values()), default=None)

    def take_due(self, now: float) -> list[tuple[str, str, list[S3Object]]]:
        """Take out what is due, as (scope, log type, objects)."""
        groups: dict[tuple[str, str], list[S3Object]] = {}
        for retry in [retry for retry in self._waiting.values() if retry.next_at <= now]:
            self.take(retry.object)
            groups.setdefault((retry.scope, retry.logs), []).append(retry.object)
        return [(scope, logs, objects) for (scope, logs), objects in groups.items()]

    def take(self, item: S3Object) -> None:
        """An object that waited is being tried now."""
        retry = self._waiting.pop(item.hash, None)
        if retry is not None:
            self._trying[item.hash] = retry

    def again(self, unread: Unread, scope: str, logs: str, now: float) -> Retry | None:
        """Return when an unread object is tried again; None where it is given up.

        A refusal burns no attempt: it is tried for ever, with growing waits.
        """
        before = self._trying.get(unread.object.hash)
        attempts = before.attempts + 1 if before and before.kind == unread.kind else 1
        wait = self._wait(unread.kind, attempts)
        if wait is None:
            return None
        return Retry(unread.object, scope, logs, unread.kind, unread.reason, attempts, now + wait)

    def settled(self, objects: Iterable[S3Object], retries: Iterable[Retry]) -> None:
        """Objects of a settled split are tried no more, but for those in `retries`."""
        for item in objects:
            self._trying.pop(item.hash, None)
        self._waiting.update((retry.object.hash, retry) for retry in retries)

    def blocks(self, scope: str) -> bool:
        """Whether so much of a scope is refused that nothing more of it should be found now."""
        if len(self) < FORBIDDEN_LIMIT:
            return False
        return sum(retry.scope == scope and retry.kind == "forbidden" for retry in self._all()) >= FORBIDDEN_LIMIT

    def by_kind(self) -> Counter[str]:
        """How many objects wait, by kind."""
        return Counter(retry.kind for retry in self._all())

    def _all(self) -> Iterator[Retry]:
        yield from self._waiting.values()
        yield from self._trying.values()

    def _wait(self, kind: UnreadableKind, attempts: int) -> float | None:
        if kind == "missing":
            return self._missing_seconds * _MISSING_SHARES[attempts - 1] if attempts <= len(_MISSING_SHARES) else None
        if kind == "stalls":
            return None
        if kind == "archived":
            return min(3600.0 * attempts, 21_600.0)
        return float(min(60 * 2 ** min(attempts - 1, 10), 3600))
