"""Lists a bucket once more, and tells which objects nothing is known of. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from shipper.model import S3Object
from shipper.ports import CheckpointStore
from shipper.sources.s3_bucket import Bucket
from shipper.sources.s3_keys import DAY_SECONDS, Scope, follows_layout, scope_of, services_of
from shipper.sources.s3_scope import HOUR, Hashes
from shipper.sources.s3_walk import Walk

_DAY_LOOK_BACK = 48 * HOUR
_OVERDUE_SECONDS = 24 * HOUR
_EVER = (-(2**62), 2**62)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which objects the ledger should know.

    Attributes:
        since: those labelled since (LastModified where keys have no label), seconds since the epoch.
        written_since: those written since, likewise.
        notified: they are found by a queue, which tells of them within hours, instead of by listing.
    """

    since: float
    written_since: float = 0.0
    notified: bool = False


@dataclass(slots=True)
class _Day:
    """What was listed of a day."""

    count: int = 0
    xor: int = 0
    unknown: list[S3Object] = field(default_factory=list)


class Inventory:
    """One place of a source. Used by one thread.

    Args:
        names: the source's, and those of the listings under it: whose state is asked.
        settled: hashes of objects that have a receipt.
        waiting: hashes of those on their way.
        layouts_only: as `S3ListingSource` has it.
        now: seconds since the epoch.

    Attributes:
        logs: the objects' log type.
        listed: objects that should be known.
        with_receipt: how many of them have one.
        due_later: objects that are on their way, or that the next looks will find.
    """

    def __init__(
        self,
        bucket: Bucket,
        prefix: str,
        logs: str,
        wanted: Wanted,
        *,
        names: Sequence[str],
        store: CheckpointStore,
        settled: Hashes,
        waiting: AbstractSet[int],
        layouts_only: bool,
        now: float,
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._services = services_of(logs)
        self.logs = logs
        self._wanted = wanted
        self._names = names
        self._store = store
        self._settled = settled
        self._waiting = waiting
        self._layouts_only = layouts_only
        self._now = now
        self.listed = 0
        self.with_receipt = 0
        self.due_later = 0

    def unknown(self) -> Iterator[S3Object]:
        """Yield the objects that should have been shipped, and of which neither a receipt nor the state tells.

        Raises:
            RetryableError: the listing failed.
        """
        walk = Walk(self._bucket, self._prefix, self._services)
        while not walk.done:
            for scope in walk.step():
                yield from self._of_scope(scope)
        if not walk.found and not self._layouts_only:
            yield from self._of_scope(Scope(self._prefix))

    def _of_scope(self, scope: Scope) -> Iterator[S3Object]:
        if scope.service is not None and not scope.service.shipped:
            return
        name = f"{self._bucket.name}/{scope.prefix}"
        state = _ScopeState(self._store, self._names, name)
        days: dict[int, _Day] = {}
        for item, day in self._items(scope):
            if scope.service is not None and days and day not in days:  # keys come day by day
                yield from self._judge(scope, state, days)
                days = {}
            listed = days.setdefault(day, _Day())
            listed.count += 1
            listed.xor ^= item.hash
            if scope.moment(item) < self._wanted.since or item.last_modified < self._wanted.written_since:
                continue
            self.listed += 1
            if item.hash in self._settled:
                self.with_receipt += 1
            elif item.hash in self._waiting:
                self.due_later += 1
            elif item.hash not in state.done:
                listed.unknown.append(item)
        yield from self._judge(scope, state, days)

    def _items(self, scope: Scope) -> Iterator[tuple[S3Object, int]]:
        after = scope.key_of_day(int(self._wanted.since // DAY_SECONDS)) if scope.service is not None else ""
        while True:
            page = self._bucket.page(max(scope.prefix, self._prefix, key=len), after)
            for item in page.objects:
                after = item.key
                day = scope.day(item)
                if day is None or (item.size == 0 and item.key.endswith("/")):
                    continue
                if scope.service is None and (follows_layout(item.key) or scope_of(item.key, self._services)):
                    continue
                yield item, day
            if not page.more or not page.objects:
                return

    def _judge(self, scope: Scope, state: _ScopeState, days: dict[int, _Day]) -> Iterator[S3Object]:
        for day, listed in days.items():
            if state.closed.get(day) == (listed.count, listed.xor):
                continue  # all that is there was settled when the day was closed
            for item in listed.unknown:
                if self._is_due(scope, state, item, day):
                    yield item
                else:
                    self.due_later += 1

    def _is_due(self, scope: Scope, state: _ScopeState, item: S3Object, day: int) -> bool:
        """Whether the looks that there were should have found the object."""
        age = self._now - item.last_modified
        if self._wanted.notified:
            return age > 6 * HOUR
        if age > _OVERDUE_SECONDS or (scope.service is not None and day < state.closed_before):
            return True
        look = state.full_look if scope.service is not None else state.hot_look
        # S3 tells whole seconds: an object of the look's own second may have come after it.
        return item.last_modified < look - 1 and (scope.service is None or day * DAY_SECONDS >= look - _DAY_LOOK_BACK)


class _ScopeState:
    """What the state tells of one scope, whichever of a source's listings has it."""

    def __init__(self, store: CheckpointStore, names: Sequence[str], scope: str) -> None:
        self.closed: dict[int, tuple[int, int]] = {}
        self.done = Hashes()
        cursor: dict[str, float] = {}
        for name in names:
            cursor.update(store.cursors(name).get(scope, {}))
            self.closed.update(store.closed(name, scope))
            for hashes in store.done(name, scope, *_EVER).values():
                self.done.add(hashes)
        self.closed_before = cursor.get("closed", float("-inf"))
        self.full_look = cursor.get("cold", 0.0)
        self.hot_look = cursor.get("hot", 0.0)
