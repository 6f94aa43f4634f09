"""Which unsettled splits are known to be maybe in the destinations already."""

from __future__ import annotations

from shipper.errors import RetryableError
from shipper.model import S3Object, S3Split
from shipper.sources.s3_pending import Pending
from tests.fakes.checkpoints import MemoryCheckpoints

ITEM = S3Object("b", "k", 1, "e", 5.0)


def marks(pending: Pending) -> list[bool]:
    return [split.maybe_shipped for split in pending.take(1e9)]


def test_what_another_process_had_may_have_been_shipped() -> None:
    """Pinned before a restart, or named by a message that the queue handed out before."""
    store = MemoryCheckpoints()
    first = Pending("trail", store)
    first.pin("scope", "cloudtrail", [ITEM])
    assert marks(first) == [False]
    after = Pending("trail", store)
    after.restore()
    assert marks(after) == [True]
    after.pin("scope", "cloudtrail", [S3Object("b", "other", 1, "e", 5.0)], {ITEM.hash})
    after.pin("scope", "cloudtrail", [S3Object("b", "third", 1, "e", 5.0), ITEM], {ITEM.hash})
    assert marks(after) == [False, True]


def test_what_was_given_back_may_be_stored_in_part() -> None:
    """Some of its batches may have had their answer."""
    pending = Pending("trail", MemoryCheckpoints())
    pending.pin("scope", "cloudtrail", [ITEM])
    (split,) = pending.take(0.0)
    assert isinstance(split, S3Split)
    pending.release(split, RetryableError("down"), 0.0)
    assert marks(pending) == [True]
