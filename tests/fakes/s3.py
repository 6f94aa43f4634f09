"""A bucket in memory with S3's listing semantics, a clock that tests turn, and a worker that ships nothing."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable

from shipper.errors import RetryableError, UnreadableKind
from shipper.metrics import Metrics
from shipper.model import Receipt, S3Object, Split, Tally, Unread
from shipper.ports import CheckpointStore
from shipper.sources.s3_bucket import LEVEL_KEYS, Level, Page
from shipper.sources.s3_listing import S3ListingSource
from tests.fakes.pipeline import MemoryDeadLetters


class TurnedClock:
    """Seconds since the epoch that only a test moves."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class MemoryBucket:
    """Lists keys in S3's order: by their UTF-8 bytes, a page at a time, strongly consistent.

    Args:
        page_size: objects a page; S3 has 1000.

    Attributes:
        on_request: called before each listing, so that a test can let time pass and objects appear in mid-listing.
    """

    def __init__(self, name: str = "trail", page_size: int = 1000) -> None:
        self.name = name
        self.page_size = page_size
        self.requests = 0
        self.denied: set[str] = set()
        self.failures: list[RetryableError] = []
        self.on_request: Callable[[], None] = lambda: None
        self._keys: list[bytes] = []
        self._objects: dict[str, S3Object] = {}

    def put(self, key: str, last_modified: float, size: int = 100, etag: str = "") -> S3Object:
        if key not in self._objects:
            insort(self._keys, key.encode())
        item = S3Object(self.name, key, size, etag or f"etag of {key}", last_modified)
        self._objects[key] = item
        return item

    def delete(self, key: str) -> None:
        self._keys.remove(key.encode())
        del self._objects[key]

    def __contains__(self, key: str) -> bool:
        return key in self._objects

    def page(self, prefix: str, after: str) -> Page:
        self._request(prefix)
        first = max(bisect_right(self._keys, after.encode()), bisect_left(self._keys, prefix.encode()))
        found: list[S3Object] = []
        for key in self._keys[first : first + self.page_size + 1]:
            if not key.startswith(prefix.encode()):
                break
            if len(found) == self.page_size:
                return Page(tuple(found), more=True)
            found.append(self._objects[key.decode()])
        return Page(tuple(found), more=False)

    def level(self, prefix: str) -> Level:
        self._request(prefix)
        below = [key[len(prefix) :] for key in self._objects if key.startswith(prefix)]
        folders = sorted({prefix + rest.partition("/")[0] + "/" for rest in below if "/" in rest})
        keys = sorted(prefix + rest for rest in below if rest and "/" not in rest)
        return Level(folders, keys[:LEVEL_KEYS], len(keys[LEVEL_KEYS:]))

    def _request(self, prefix: str) -> None:
        self.requests += 1
        self.on_request()
        if self.failures:
            raise self.failures.pop(0)
        if prefix in self.denied:
            raise RetryableError(f"AccessDenied: {prefix}", paused=True)


class Worker:
    """Ships splits of a `MemoryBucket`: an object that is not there any more, or refused, is left out.

    Attributes:
        settled: how often each key was settled as read.
    """

    def __init__(self, bucket: MemoryBucket) -> None:
        self.refused: dict[str, UnreadableKind] = {}
        self.settled: Counter[str] = Counter()
        self._bucket = bucket

    def ship(self, split: Split) -> Receipt:
        unread: list[Unread] = []
        for item in split.objects:
            kind: UnreadableKind | None = None if item.key in self._bucket else "missing"
            kind = self.refused.get(item.key, kind)
            if kind is not None:
                unread.append(Unread(item, kind, "the server's own words"))
        read = len(split.objects) - len(unread)
        return Receipt(split.id, split.source, read, 0, {"sink": Tally(delivered=read)}, None, tuple(unread))

    def finish(self, source: S3ListingSource, split: Split) -> None:
        receipt = self.ship(split)
        source.settle(split, receipt)
        left = {unread.object.key for unread in receipt.unread}
        self.settled.update(item.key for item in split.objects if item.key not in left)

    def finish_all(self, source: S3ListingSource) -> list[Split]:
        """One look, each split settled at once."""
        done: list[Split] = []
        for split in source.splits():
            self.finish(source, split)
            done.append(split)
        return done


def a_source(
    bucket: MemoryBucket,
    store: CheckpointStore,
    clock: TurnedClock,
    *,
    start: float | Callable[[float], float] = 0.0,
    name: str = "trail",
    **more: object,
) -> S3ListingSource:
    """Return a listing source over fakes; `more` goes to its constructor."""
    arguments: dict[str, object] = {
        "bucket": bucket.name,
        "prefix": "",
        "logs": "cloudtrail",
        "start": start,
        "store": store,
        "client": None,
        "metrics": Metrics(),
        "dead_letters": MemoryDeadLetters(),
        "clock": clock,
        "lister": bucket,
    }
    return S3ListingSource(name, **{**arguments, **more})  # type: ignore[arg-type]  # named values of many types
