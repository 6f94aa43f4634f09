"""Cuts spans of a log group into windows that a worker can hold, and writes down what of each is delivered already."""

from __future__ import annotations

import hashlib
import sys
from array import array
from collections.abc import Iterable

from shipper.model import Split, WindowSplit
from shipper.ports import CheckpointStore
from shipper.sources.cloudwatch_group import GroupState, Span
from shipper.sources.cloudwatch_tiers import PAGE_BYTES

MINUTE_MS = 60_000
_MOST_SEEN = 100_000
_AIM_EVENTS = 40_000
_AIM_BYTES = 4 * PAGE_BYTES
_FIRST_STEP_MINUTES = 60
_LEAST_MS = 10_000
"""A reader stops by itself where there is too much; windows that are shorter would be many and empty after a burst."""


def as_window(split: Split) -> WindowSplit:
    """Return the split as the window that it is."""
    if not isinstance(split, WindowSplit):
        raise TypeError(f"{type(split).__name__} is no window of a log group")
    return split


def pack_seen(hashes: Iterable[int]) -> bytes:
    """Write hashes as a WindowSplit holds them."""
    packed = array("q", sorted(hashes))
    if sys.byteorder == "little":
        packed.byteswap()
    return packed.tobytes()


def unpack_seen(packed: bytes) -> set[int]:
    """Read hashes that `pack_seen` wrote."""
    hashes = array("q")
    hashes.frombytes(packed)
    if sys.byteorder == "little":
        hashes.byteswap()
    return set(hashes)


def window(
    state: GroupState,
    span: Span,
    store: CheckpointStore,
    *,
    source: str,
    log_type: tuple[str, tuple[str, ...] | None],
    fresh_from: float,
) -> WindowSplit:
    """Return the first window of a span: as long as what it is expected to hold, and what is delivered of it, allow.

    Args:
        log_type: the group's log type and its lines' field names.
        fresh_from: as `Sweep.fresh_from`.
    """
    first, last = span
    group = state.group
    last, seen = _seen(store, source, group.arn, first, min(last, first + _length_ms(state) - 1))
    packed = pack_seen(seen)
    digest = hashlib.blake2b(f"{source}\0{group.arn}\0{first}\0{last}\0".encode(), digest_size=15)
    digest.update(packed)
    return WindowSplit(
        id=digest.hexdigest(),
        source=source,
        scope=group.arn,
        logs=log_type[0],
        account=group.account,
        region=group.region,
        group=group.name,
        first_ms=first,
        last_ms=last,
        seen=packed,
        layout=log_type[1],
        size_bytes=int((last - first + 1) * state.events_per_ms * state.bytes_per_event),
        oldest=max(fresh_from, first / 1000),
    )


def _length_ms(state: GroupState) -> int:
    """How long a window may be, by how dense the group's events have been; any length where that is not known."""
    if not state.events_per_ms:
        return 2**62
    bytes_per_ms = state.events_per_ms * state.bytes_per_event
    aim = _AIM_EVENTS / state.events_per_ms
    return max(int(min(aim, _AIM_BYTES / bytes_per_ms) if bytes_per_ms else aim), _LEAST_MS)


def _seen(store: CheckpointStore, source: str, scope: str, first: int, last: int) -> tuple[int, list[int]]:
    """Return where the window ends so that it need not remember more than a bound, and what it remembers.

    A minute is never parted here: what is delivered is kept by the minute.
    """
    seen: list[int] = []
    minute, end, step = first // MINUTE_MS, last // MINUTE_MS + 1, _FIRST_STEP_MINUTES
    while minute < end:
        until = min(minute + step, end)
        for found, hashes in sorted(store.done(source, scope, minute, until).items()):
            if seen and len(seen) + len(hashes) > _MOST_SEEN:
                return found * MINUTE_MS - 1, seen
            seen.extend(hashes)
        minute, step = until, step * 2
    return last, seen
