"""What a source finds: objects, and the splits that are shipped and settled as one."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from shipper.model.identity import hash64


@dataclass(frozen=True, slots=True)
class S3Object:
    """One object as a listing or a notification named it.

    Attributes:
        size: bytes as stored (compressed).
        last_modified: seconds since the epoch.
    """

    bucket: str
    key: str
    size: int
    etag: str
    last_modified: float
    version_id: str | None = None

    @property
    def uri(self) -> str:
        """`s3://bucket/key`, as the Splunk add-on writes its `source`."""
        return f"s3://{self.bucket}/{self.key}"

    @property
    def hash(self) -> int:
        """What done-sets remember of the object: 64 bits (signed, as SQLite has them) of bucket, key, etag and size."""
        return _object_hash(self.bucket, self.key, self.etag, self.size)


@lru_cache(4096)  # as many as are on their way at once: each is asked for eight times from its listing to its settling
def _object_hash(bucket: str, key: str, etag: str, size: int) -> int:
    return hash64(bucket, key, etag, str(size))


@dataclass(frozen=True, slots=True)
class S3Split:
    """A group of S3 objects that is shipped and settled as one.

    Attributes:
        id: depends on the objects alone, so that shipping again writes to the same places.
        source: the source's name in the configuration.
        scope: the part of the source whose cursor this split belongs to (bucket and key layout prefix).
        logs: the log type, a key of `build.LOG_TYPES`.
        maybe_shipped: some of it may be in the destinations already (after a reset, in a backfill, shipped again):
            sinks that can look for documents do so before they store them.
    """

    id: str
    source: str
    scope: str
    logs: str
    objects: tuple[S3Object, ...]
    maybe_shipped: bool = field(default=False, compare=False)

    @property
    def size_bytes(self) -> int:
        """Bytes as stored, for the limit of what is in flight."""
        return sum(o.size for o in self.objects)

    @property
    def oldest(self) -> float:
        """When the oldest of the split's data became visible, in seconds since the epoch."""
        return min((o.last_modified for o in self.objects), default=0.0)


@dataclass(frozen=True, slots=True)
class WindowSplit:
    """A span of time of one log group, shipped and settled as one.

    Attributes:
        id: depends on the source, the group, the span and what is delivered of it already: shipping again writes to the
            same places; a later look at the same span, or another source with another filter, to others.
        source: the source's name in the configuration.
        scope: the group's ARN, whose cursor this split belongs to.
        logs: the log type, a key of `build.LOG_TYPES`.
        account, region, group: where the events are; `group` is the log group's name.
        first_ms, last_ms: event times, milliseconds since the epoch, both included.
        seen: `hash64` of (stream, event id) of events that are delivered already, 8 bytes each, big-endian, sorted.
        layout: field names of a flow log's lines, where the log type has them.
        size_bytes: what the window is expected to hold, for the limit of what is in flight.
        oldest: when the oldest of its data became visible, in seconds since the epoch: what is new in the window came
            after that, and an event whose own time is earlier came late.
        maybe_shipped: as in S3Split.
    """

    id: str
    source: str
    scope: str
    logs: str
    account: str
    region: str
    group: str
    first_ms: int
    last_ms: int
    seen: bytes = b""
    layout: tuple[str, ...] | None = None
    size_bytes: int = 0
    oldest: float = 0.0
    maybe_shipped: bool = field(default=False, compare=False)

    @property
    def objects(self) -> tuple[S3Object, ...]:
        """A window holds no objects."""
        return ()


Split = S3Split | WindowSplit
