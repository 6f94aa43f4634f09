"""Lists a bucket once more, and tells which objects nothing is known of. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from shipper.model import S3Object
from shipper.ports import CheckpointStore
from shipper.sources.s3_bucket import Bucket, is_marker
from shipper.sources.s3_check import emptiness
from shipper.sources.s3_keys import DAY_SECONDS, Scope, folder_of, follows_layout, is_shipped, scope_of, services_of
from shipper.sources.s3_scope import HOUR, Hashes
from shipper.sources.s3_strays import Coverage, is_test_file
from shipper.sources.s3_walk import Walk

_DAY_LOOK_BACK = 48 * HOUR
_OVERDUE_SECONDS = 24 * HOUR
_EVER = (-(2**62), 2**62)
_NAMES_KEPT = 1000
CLOSED_DAYS_KEPT = 34
"""The state has the number of objects of so many days before the first open one; `close_before` keeps 35."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which objects the ledger should know.

    Attributes:
        since: those labelled since (LastModified where keys have no label), seconds since the epoch.
        written_since: those written since, likewise.
        notified: they are found by a queue, which tells of them within hours, instead of by listing.
        whole: all receipts that there ever were are still kept.
    """

    since: float
    written_since: float = 0.0
    notified: bool = False
    whole: bool = False


@dataclass(slots=True)
class _Day:
    """What was listed of a day, and how much of that has a receipt."""

    count: int = 0
    xor: int = 0
    settled: int = 0
    settled_xor: int = 0
    unknown: list[S3Object] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class UnknownObject:
    """An object that nothing is known of.

    Attributes:
        certain: it was never settled; otherwise the state does not reach back so far, or its day was closed with
            other objects than those that have receipts, and which they were is forgotten.
    """

    object: S3Object
    certain: bool


class Inventory:
    """One place of a source. Used by one thread.

    Args:
        names: the source's, and those of the listings under it: whose state is asked.
        settled: hashes of objects that have a receipt.
        waiting: hashes of those on their way.
        layouts_only, outside_only, coverage: as `S3ListingSource` has them.
        now: seconds since the epoch.

    Attributes:
        logs: the objects' log type.
        listed: objects that should be known.
        with_receipt: how many of them have one.
        due_later: objects that are on their way, or that the next looks will find.
        left_aside: folders and objects that no log type takes, the first of them.
        more_left_aside: how many more there are.
        any_of_ours: whether there is an object of the source's, of whatever time.
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
        outside_only: bool = False,
        coverage: Coverage | None = None,
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._services = () if outside_only else services_of(logs)
        self._coverage = coverage or Coverage(services_of(logs))
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
        self.left_aside: dict[str, None] = {}
        self.more_left_aside = 0
        self.any_of_ours = False

    @property
    def emptiness(self) -> str:
        """What to say where nothing of the source's was listed."""
        return emptiness(self._bucket.name, self._prefix, self._services)

    def unknown(self) -> Iterator[UnknownObject]:
        """Yield the objects that should have been shipped, and of which neither a receipt nor the state tells.

        Raises:
            RetryableError: the listing failed.
        """
        walk = Walk(self._bucket, self._prefix, self._services, self._coverage)
        while not walk.done:
            for scope in walk.step():
                yield from self._of_scope(scope)
        whole = not walk.found and not self._layouts_only
        if whole:
            yield from self._of_scope(Scope(self._prefix))
        for name, reason in walk.strays.named(whole=whole).items():
            self._leave_aside(name, reason)
        self.more_left_aside += 0 if whole else walk.strays.more

    def _leave_aside(self, name: str, reason: str) -> None:
        if reason != "unrecognised" or self._coverage.silent or name in self.left_aside:
            return
        if len(self.left_aside) < _NAMES_KEPT:
            self.left_aside[name] = None
        else:
            self.more_left_aside += 1

    def _of_scope(self, scope: Scope) -> Iterator[UnknownObject]:
        if not is_shipped(scope):
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
            if item.hash in self._settled:
                listed.settled += 1
                listed.settled_xor ^= item.hash
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
                if is_marker(item.key, item.size):
                    continue
                if scope.service is None and follows_layout(item.key):
                    if not scope_of(item.key, self._services) and not self._coverage.is_anothers(item.key):
                        self._leave_aside(folder_of(item.key), self._coverage.reason_of(item.key))
                    continue
                if is_test_file(item.key):
                    continue
                self.any_of_ours = True
                if (day := scope.day(item)) is None:
                    self._leave_aside(item.key, "unrecognised")
                else:
                    yield item, day
            if not page.more or not page.objects:
                return

    def _judge(self, scope: Scope, state: _ScopeState, days: dict[int, _Day]) -> Iterator[UnknownObject]:
        for day, listed in days.items():
            if state.closed.get(day) == (listed.count, listed.xor):
                continue  # all that is there was settled when the day was closed
            certain = state.remembers(day) or state.closed.get(day) == (listed.settled, listed.settled_xor)
            certain |= self._wanted.whole and day not in state.closed
            for item in listed.unknown:
                if self._is_due(scope, state, item, day):
                    yield UnknownObject(item, certain)
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

    def remembers(self, day: int) -> bool:
        """Return whether the state would know an object of a day that was settled: open days have their hashes.

        A closed day has its number of objects, for some weeks; one that is not among them had none.
        """
        return day >= self.closed_before - CLOSED_DAYS_KEPT and day not in self.closed
