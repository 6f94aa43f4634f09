"""Compares buckets with the ledger: which objects are there that nothing tells of."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from shipper.audit.account import MOST_IDS, Account
from shipper.audit.comparison import Comparison
from shipper.audit.ledger import Ledger
from shipper.counting import counted
from shipper.model import S3Object
from shipper.ports import CheckpointStore
from shipper.sources.s3_inventory import CLOSED_DAYS_KEPT, Inventory, UnknownObject, Wanted
from shipper.sources.s3_keys import DAY_SECONDS, scope_of
from shipper.sources.s3_scope import Hashes
from shipper.sources.s3_splits import group, split_of

_WAITING = "objects are on their way, or not due yet"
_GONE = "objects with a receipt are gone from the bucket"
_UNPROVED = "objects have no receipt that is still kept, and no sink that could be asked for their documents"
_NOT_OURS = (
    "{} no receipt of this daemon's, and none of its sinks can be asked for their documents: another daemon of the"
    " queue may have shipped them. With verify_listing: true, by which this daemon ships whatever it does not know,"
    " they are differences, and --repair ships them"
)
_AT_ONCE = 256


class Met(Hashes):
    """Hashes that note which of them were looked for.

    Attributes:
        met: those that were.
    """

    def __init__(self) -> None:
        super().__init__()
        self.met = Hashes()

    def __contains__(self, value: int) -> bool:
        found = super().__contains__(value)
        if found:
            self.met.add((value,))
        return found

    def add(self, values: Iterable[int]) -> None:
        """Add values; this is no look for any of them."""
        self._recent.update(value for value in values if not super(Met, self).__contains__(value))
        self.merge()


class Known:
    """What the state knows of a source's objects: 16 bytes for each that has a receipt.

    Args:
        names: the source's, and those of the listings under it.
        since: of objects labelled since, seconds since the epoch.
        notified: a queue tells of them: what was written before the oldest receipt is none of this daemon's.
        now: seconds since the epoch.

    Attributes:
        begun: when the oldest receipt was settled, seconds since the epoch; None where there is none.
        wanted: which objects the ledger should know.
        of_period: hashes of those of them that it knows.
    """

    def __init__(
        self, names: Sequence[str], ledger: Ledger, store: CheckpointStore, since: float, *, notified: bool, now: float
    ) -> None:
        self.names = names
        self.begun = ledger.begun(names)
        starts = [store.cursors(name).get("", {}).get("start", 0.0) for name in names]
        written_since = (now if self.begun is None else self.begun) if notified else 0.0
        whole = self.begun is not None and now - self.begun < CLOSED_DAYS_KEPT * DAY_SECONDS
        self.wanted = Wanted(max(since, *starts), written_since, notified, whole)
        self.settled = Met()
        self.of_period = Hashes()
        for found in ledger.objects(names, since):
            objects = found.split.objects
            self.settled.add(item.hash for item in objects)
            self.of_period.add(item.hash for item in objects if self._is_wanted(item))
        waiting = [item.hash for name in names for split in store.pinned(name) for item in split.objects]
        waiting += [retry.object.hash for name in names for retry in store.retries(name)]
        self.waiting = frozenset(waiting)
        self._ledger = ledger
        self._since = since

    def gone(self) -> list[str]:
        """Return the names of some objects that have a receipt, and that no listing met."""
        absent = (
            item.uri
            for found in self._ledger.objects(self.names, self._since)
            for item in found.split.objects
            if item.hash in self.of_period and item.hash not in self.settled.met
        )
        return list(itertools.islice(dict.fromkeys(absent), MOST_IDS))

    def _is_wanted(self, item: S3Object) -> bool:
        scope = scope_of(item.key)
        moment = scope.moment(item) if scope is not None else item.last_modified
        return moment >= self.wanted.since and item.last_modified >= self.wanted.written_since


class Lacking(NamedTuple):
    """Which sinks may lack an object without a receipt.

    Attributes:
        asked: those that are asked for its documents, or lack them where they cannot be asked.
        then: those that lack it, too, where none of the others has anything of it.
    """

    asked: Sequence[str]
    then: Sequence[str] = ()


def compare(
    source: str,
    known: Known,
    inventories: Iterable[Inventory],
    comparison: Comparison,
    account: Account,
    *,
    sinks_for: Callable[[UnknownObject], Lacking],
    shared: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """List a source's places, and look for the documents of objects that nothing is known of.

    Args:
        sinks_for: the sinks that may lack an object without a receipt.
        shared: other daemons, of whose receipts nothing is known, ship from the same place.

    Raises:
        RetryableError: the bucket or a sink does not answer.
    """
    seen = not_ours = places = 0
    empty: list[str] = []
    for inventory in inventories:
        for lacking, objects in _chunks(inventory.unknown(), sinks_for):
            if not lacking.asked and shared:
                not_ours += len(objects)
                continue
            if not lacking.asked:
                account.remark(source, _UNPROVED, len(objects))
                continue
            for members in group(objects):
                _look(source, inventory.logs, members, lacking, comparison)
                progress(len(members))
        account.listed[source] += inventory.listed
        if inventory.left_aside or inventory.more_left_aside:
            account.leave_aside(source, inventory.left_aside, inventory.more_left_aside)
        empty += [] if inventory.any_of_ours else [inventory.emptiness]
        places += 1
        account.remark(source, _WAITING, inventory.due_later)
        seen += inventory.with_receipt
    if places and len(empty) == places:
        account.empty[source] = empty[0]
    if not_ours:
        have = "has" if not_ours == 1 else "have"
        account.unanswered[source] = _NOT_OURS.format(f"{counted(not_ours, 'object')} {have}")
    if (gone := len(known.of_period) - seen) > 0:
        account.remark(source, _GONE, gone, known.gone())


def _look(source: str, logs: str, members: Sequence[S3Object], lacking: Lacking, comparison: Comparison) -> None:
    """Look for the documents of neighbours, in further sinks for those of which the first have nothing."""
    split = split_of(members, source=source, scope="audit", logs=logs)
    absent = comparison.look(source, split, lacking.asked)
    if lacking.then and (left := [item for item in members if item.uri in absent]):
        comparison.look(source, split_of(left, source=source, scope="audit", logs=logs), lacking.then)


def _chunks(
    objects: Iterator[UnknownObject], sinks_for: Callable[[UnknownObject], Lacking]
) -> Iterator[tuple[Lacking, list[S3Object]]]:
    """Yield neighbours that are looked for in the same sinks, with those sinks, so that memory is bounded."""
    chunk: list[S3Object] = []
    sinks = Lacking(())
    for each in objects:
        its = sinks_for(each)
        if chunk and (len(chunk) >= _AT_ONCE or its != sinks):
            yield sinks, chunk
            chunk = []
        sinks = its
        chunk.append(each.object)
    if chunk:
        yield sinks, chunk
