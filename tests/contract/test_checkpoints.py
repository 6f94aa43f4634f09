"""What every checkpoint store guarantees, named by the guarantee."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shipper.checkpoints.sqlite import SqliteCheckpoints
from shipper.model import Receipt, Retry, S3Object, S3Split, Tally, Unread
from shipper.ports import CheckpointStore
from tests.fakes.checkpoints import MemoryCheckpoints

DAY = 20_000


class Handle:
    """A store and a way to open it again, as after a crash: what was committed is there."""

    def __init__(self, opener: Callable[[], CheckpointStore]) -> None:
        self._opener = opener
        self.store = opener()

    def reopen(self) -> CheckpointStore:
        self.store.close()
        self.store = self._opener()
        return self.store


@pytest.fixture(params=["memory", "sqlite"])
def handle(request, tmp_path: Path) -> Iterator[Handle]:
    if request.param == "memory":
        kept = MemoryCheckpoints(clock=lambda: 1000.0)
        made = Handle(lambda: kept)
    else:
        made = Handle(lambda: SqliteCheckpoints(tmp_path / "state" / "checkpoints.sqlite", clock=lambda: 1000.0))
    yield made
    made.store.close()


def an_object(key: str = "a", etag: str = "1", size: int = 10) -> S3Object:
    return S3Object("bucket", key, size, etag, 500.0, version_id=None)


def a_split(name: str = "s1", *keys: str, source: str = "trail", scope: str = "bucket/x/") -> S3Split:
    return S3Split(name, source, scope, "cloudtrail", tuple(an_object(key) for key in keys or ("a",)))


def a_receipt(split: S3Split, read: int = 3, newest_ms: int | None = 7) -> Receipt:
    tally = Tally(delivered=read - 1, dead_lettered=1, bytes_out=100)
    return Receipt(split.id, split.source, read, 10, {"siem": tally, "archive": tally}, newest_ms)


def a_retry(key: str = "a", next_at: float = 5.0) -> Retry:
    return Retry(an_object(key), "bucket/x/", "cloudtrail", "missing", "404", 1, next_at)


def test_cursors_survive_and_keep_other_names(handle):
    """Named numbers are merged by scope and are there after a restart."""
    handle.store.set_cursors("trail", {"x": {"hot": 1.5, "cold": 2.0}, "y": {"hot": 3.0}})
    handle.store.set_cursors("trail", {"x": {"hot": 9.25}})
    assert handle.reopen().cursors("trail") == {"x": {"hot": 9.25, "cold": 2.0}, "y": {"hot": 3.0}}
    assert handle.store.cursors("other") == {}


def test_pins_survive_unchanged_in_order(handle):
    """What was pinned comes back as it was, oldest first, and only for its own source."""
    first, second = a_split("s1", "b", "ä/ü+ö"), a_split("s2", "a")
    handle.store.pin([first])
    handle.store.pin([second, first, a_split("s1", source="other")])
    assert handle.reopen().pinned("trail") == [first, second]


def test_what_is_unpinned_is_forgotten_without_a_receipt(handle):
    """Other pins, also those of the same id in another source, stay; what is not pinned is no mistake."""
    first, second, other = a_split("s1"), a_split("s2"), a_split("s1", source="other")
    handle.store.pin([first, second, other])
    handle.store.unpin([first, a_split("s3")])
    store = handle.reopen()
    assert store.pinned("trail") == [second]
    assert store.pinned("other") == [other]
    assert list(store.receipts()) == []


def test_settling_is_all_or_nothing_and_survives(handle):
    """After settling, the pin is gone, the hashes are done, the receipt is kept."""
    split = a_split("s1", "a", "b")
    handle.store.pin([split])
    handle.store.settle(split, a_receipt(split), [(DAY, -5), (DAY, 6), (DAY + 1, 7)], [])
    store = handle.reopen()
    assert store.pinned("trail") == []
    assert {d: set(h) for d, h in store.done("trail", "bucket/x/", DAY, DAY + 2).items()} == {
        DAY: {-5, 6},
        DAY + 1: {7},
    }
    assert [line.sink for line in store.receipts()] == ["siem", "archive"]


def test_done_is_bounded_by_its_window_and_scope(handle):
    """A window's first bucket is in it, its last is not; scopes and sources do not mix."""
    for bucket in (DAY - 1, DAY, DAY + 1):
        handle.store.mark_done("trail", "x", [(bucket, bucket)])
    handle.store.mark_done("trail", "y", [(DAY, 1)])
    assert {d: list(h) for d, h in handle.store.done("trail", "x", DAY, DAY + 1).items()} == {DAY: [DAY]}
    assert handle.store.done("other", "x", 0, 2 * DAY) == {}


def test_a_hash_added_twice_is_there_once(handle):
    """Marking is idempotent, within one call and over several."""
    handle.store.mark_done("trail", "x", [(DAY, 1), (DAY, 1)])
    handle.store.mark_done("trail", "x", [(DAY, 1), (DAY, 2)])
    assert sorted(handle.store.done("trail", "x", DAY, DAY + 1)[DAY]) == [1, 2]


def test_hashes_keep_all_64_bits(handle):
    """The extremes of a signed 64-bit number come back unchanged."""
    extremes = [-(2**63), 2**63 - 1, 0, -1]
    handle.store.mark_done("trail", "x", [(DAY, value) for value in extremes])
    assert sorted(handle.reopen().done("trail", "x", DAY, DAY + 1)[DAY]) == sorted(extremes)


def test_settling_replaces_retries(handle):
    """Objects of the split that are not among the new retries wait no longer; others keep waiting."""
    split = a_split("s1", "a", "b")
    handle.store.settle(split, a_receipt(split), [], [a_retry("a", 9.0), a_retry("b", 5.0)])
    other = a_split("s2", "c")
    handle.store.settle(other, a_receipt(other), [], [a_retry("c", 7.0)])
    assert [r.object.key for r in handle.reopen().retries("trail")] == ["b", "c", "a"]
    again = a_split("s3", "a", "b")
    handle.store.settle(again, a_receipt(again), [], [a_retry("b", 20.0)])
    assert handle.store.retries("trail") == [a_retry("c", 7.0), a_retry("b", 20.0)]
    assert handle.store.retries("other") == []


def test_closing_drops_hashes_and_keeps_count_and_xor(handle):
    """Earlier buckets keep 24 bytes each, later ones stay open, and the cursor moves in the same step."""
    for number, bucket in enumerate((DAY, DAY, DAY + 1, DAY + 2)):
        handle.store.mark_done("trail", "x", [(bucket, 1 << number)])
    handle.store.close_before("trail", "x", DAY + 2, {"closed": DAY + 2})
    store = handle.reopen()
    assert list(store.done("trail", "x", 0, 2 * DAY)) == [DAY + 2]
    assert store.closed("trail", "x") == {DAY: (2, 3), DAY + 1: (1, 4)}
    assert store.cursors("trail") == {"x": {"closed": DAY + 2}}


def test_closed_counts_are_bounded(handle):
    """Counts older than `keep` buckets are dropped, so that the state cannot grow for ever."""
    handle.store.mark_done("trail", "x", [(DAY, 1), (DAY + 5, 2)])
    handle.store.close_before("trail", "x", DAY + 1, {}, keep=3)
    handle.store.close_before("trail", "x", DAY + 6, {}, keep=3)
    assert handle.store.closed("trail", "x") == {DAY + 5: (1, 2)}
    handle.store.close_before("trail", "x", DAY + 6, {}, keep=0)
    assert handle.store.closed("trail", "x") == {}


def test_the_ledger_accounts_for_every_split_and_sink(handle):
    """Lines come oldest first with the numbers of the receipt; sums are by source and sink."""
    for number in range(3):
        split = a_split(f"s{number}")
        handle.store.settle(split, a_receipt(split, read=number + 1, newest_ms=number or None), [], [])
    store = handle.reopen()
    lines = [line for line in store.receipts("trail", since=0.0) if line.sink == "siem"]
    assert [(line.split_id, line.read, line.delivered, line.dead_lettered) for line in lines] == [
        ("s0", 1, 0, 1),
        ("s1", 2, 1, 1),
        ("s2", 3, 2, 1),
    ]
    assert list(store.receipts(since=1001.0)) == []
    archive, siem = store.totals("trail")
    assert (archive.sink, siem.sink) == ("archive", "siem")
    assert (siem.splits, siem.read, siem.delivered, siem.dead_lettered, siem.newest_ms) == (3, 6, 3, 3, 2)
    assert store.totals("other") == []


def test_reset_forgets_one_scope_or_all(handle):
    """A reset scope begins anew, its neighbours do not; the ledger stays."""
    for scope in ("bucket/x/", "bucket/y/"):
        split = a_split(f"in {scope}", scope=scope)
        handle.store.set_cursors("trail", {scope: {"hot": 1.0}})
        handle.store.settle(split, a_receipt(split), [(DAY, 1)], [])
        handle.store.pin([split])
    assert handle.store.reset("trail", "bucket/x/") == 1
    assert list(handle.reopen().cursors("trail")) == ["bucket/y/"]
    assert [split.scope for split in handle.store.pinned("trail")] == ["bucket/y/"]
    assert handle.store.done("trail", "bucket/x/", DAY, DAY + 1) == {}
    assert handle.store.done("trail", "bucket/y/", DAY, DAY + 1) != {}
    assert handle.store.reset("trail") == 1
    assert handle.store.reset("trail") == 0
    handle.store.set_cursors("trail", {"bucket/y/": {"hot": 2.0}})
    assert handle.reopen().cursors("trail") == {"bucket/y/": {"hot": 2.0}}
    assert len(list(handle.store.receipts())) == 4


def test_many_threads_may_settle_at_once(handle):
    """Concurrent sources lose nothing of one another's."""

    def work(source: str) -> None:
        for number in range(20):
            split = a_split(f"s{number}", source=source)
            handle.store.pin([split])
            handle.store.settle(split, a_receipt(split), [(DAY, number)], [])

    threads = [threading.Thread(target=work, args=(f"source{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        assert sorted(handle.store.done(f"source{number}", "bucket/x/", DAY, DAY + 1)[DAY]) == list(range(20))
        assert handle.store.pinned(f"source{number}") == []


def test_settled_splits_come_back_with_the_newest_receipt_of_each_sink(handle):
    """What an audit counts against: the objects that were read, for their own source, also after a restart."""
    first, second = a_split("s1", "a", "ä/b"), a_split("s2", "c")
    for split, read in ((first, 3), (second, 4), (first, 9)):
        handle.store.settle(split, a_receipt(split, read), [], [])
    unread = (Unread(an_object("f"), "missing", "404"),)
    third = a_split("s3", "e", "f", source="third")
    handle.store.settle(third, replace(a_receipt(third), unread=unread), [], [])
    assert [each.split.objects for each in handle.store.settled("third")] == [(an_object("e"),)]
    handle.store.settle(a_split("queued", "d"), Receipt("queued", "trail", 0, 0, {}), [], [])
    handle.store.settle(a_split("s1", source="other"), a_receipt(a_split("s1", source="other")), [], [])
    found = list(handle.reopen().settled("trail"))
    assert [(each.split, each.settled_at) for each in found] == [(second, 1000.0), (first, 1000.0)]
    assert {sink: line.read for sink, line in found[1].lines.items()} == {"siem": 9, "archive": 9}
    assert list(handle.store.settled("trail", since=1000.5)) == []
