"""A checkpoint store in memory that keeps the whole contract of `ports.CheckpointStore`."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from shipper.model import LedgerLine, LedgerTotal, Receipt, Retry, S3Split, SettledSplit, Split
from shipper.ports import Clock, wall_clock

Scope = tuple[str, str]


class MemoryCheckpoints:
    """Survives as long as the object does: a test "restarts" a source by building it anew over the same store."""

    def __init__(self, clock: Clock = wall_clock) -> None:
        self._clock = clock
        self._cursors: dict[Scope, dict[str, float]] = {}
        self._pins: dict[tuple[str, str], Split] = {}
        self._done: dict[Scope, dict[int, set[int]]] = {}
        self._closed: dict[Scope, dict[int, tuple[int, int]]] = {}
        self._retries: dict[tuple[str, int], Retry] = {}
        self._ledger: list[LedgerLine] = []
        self._settled: dict[tuple[str, str], S3Split] = {}
        self._attempts: dict[tuple[str, str], int] = {}
        self.open = True

    def cursors(self, source: str) -> dict[str, dict[str, float]]:
        return {scope: dict(values) for (name, scope), values in self._cursors.items() if name == source}

    def set_cursors(self, source: str, cursors: Mapping[str, Mapping[str, float]]) -> None:
        for scope, values in cursors.items():
            self._cursors.setdefault((source, scope), {}).update(values)

    def pin(self, splits: Sequence[Split]) -> None:
        for split in splits:
            self._pins.setdefault((split.source, split.id), split)

    def pinned(self, source: str) -> list[Split]:
        return [split for (name, _), split in self._pins.items() if name == source]

    def unpin(self, splits: Sequence[Split]) -> None:
        for split in splits:
            self._pins.pop((split.source, split.id), None)
            self._attempts.pop((split.source, split.id), None)

    def replace_pins(self, split: Split, parts: Sequence[Split]) -> None:
        self.pin(parts)
        if split not in parts:
            self._pins.pop((split.source, split.id), None)
        self._attempts.pop((split.source, split.id), None)

    def begin_attempt(self, split: Split) -> int:
        count = self._attempts.get((split.source, split.id), 0) + 1
        self._attempts[split.source, split.id] = count
        return count

    def end_attempt(self, split: Split) -> None:
        if (split.source, split.id) in self._attempts:
            self._attempts[split.source, split.id] -= 1

    def attempts(self, source: str) -> dict[str, int]:
        return {name: count for (owner, name), count in self._attempts.items() if owner == source and count > 0}

    def done(self, source: str, scope: str, first: int, last: int) -> dict[int, array[int]]:
        buckets = self._done.get((source, scope), {})
        return {bucket: array("q", hashes) for bucket, hashes in buckets.items() if first <= bucket < last}

    def mark_done(self, source: str, scope: str, done: Sequence[tuple[int, int]]) -> None:
        for bucket, value in done:
            self._done.setdefault((source, scope), {}).setdefault(bucket, set()).add(value)

    def settle(self, split: Split, receipt: Receipt, done: Sequence[tuple[int, int]], retries: Sequence[Retry]) -> None:
        self._pins.pop((split.source, split.id), None)
        self._attempts.pop((split.source, split.id), None)
        self.mark_done(split.source, split.scope, done)
        for item in split.objects:
            self._retries.pop((split.source, item.hash), None)
        for retry in retries:
            self._retries[split.source, retry.object.hash] = retry
        if isinstance(split, S3Split) and receipt.sinks:
            self._settled.pop((split.source, split.id), None)
            left_out = {unread.object for unread in receipt.unread}
            read = tuple(item for item in split.objects if item not in left_out)
            self._settled[split.source, split.id] = replace(split, objects=read)
        for sink, tally in receipt.sinks.items():
            self._ledger.append(
                LedgerLine(
                    receipt.split_id,
                    receipt.source,
                    sink,
                    receipt.read,
                    tally.delivered,
                    tally.present,
                    tally.filtered,
                    tally.dead_lettered,
                    receipt.bytes_in,
                    tally.bytes_out,
                    receipt.newest_ms,
                    self._clock(),
                    tally.repaired,
                )
            )

    def retries(self, source: str) -> list[Retry]:
        mine = [retry for (name, _), retry in self._retries.items() if name == source]
        return sorted(mine, key=lambda retry: retry.next_at)

    def close_before(
        self, source: str, scope: str, bucket: int, cursor: Mapping[str, float], *, keep: int = 35
    ) -> None:
        done = self._done.setdefault((source, scope), {})
        closed = self._closed.setdefault((source, scope), {})
        for old in [known for known in done if known < bucket]:
            hashes = done.pop(old)
            xor = 0
            for value in hashes:
                xor ^= value
            closed[old] = (len(hashes), xor)
        for old in [known for known in closed if known < bucket - keep]:
            del closed[old]
        self.set_cursors(source, {scope: cursor})

    def closed(self, source: str, scope: str) -> dict[int, tuple[int, int]]:
        return dict(self._closed.get((source, scope), {}))

    def receipts(self, source: str | None = None, since: float | None = None) -> Iterator[LedgerLine]:
        for line in list(self._ledger):
            if source in (None, line.source) and line.settled_at >= (since or 0.0):
                yield line

    def settled(self, source: str, since: float = 0.0) -> Iterator[SettledSplit]:
        for (name, split_id), split in list(self._settled.items()):
            lines = {line.sink: line for line in self.receipts(source) if line.split_id == split_id}
            if name == source and (at := max(line.settled_at for line in lines.values())) >= since:
                yield SettledSplit(split, at, lines)

    def totals(self, source: str | None = None) -> list[LedgerTotal]:
        lines = list(self.receipts(source))
        return [
            _sum([x for x in lines if (x.source, x.sink) == key]) for key in sorted({(x.source, x.sink) for x in lines})
        ]

    def reset(self, source: str, scope: str | None = None) -> int:
        def mine(name: str, where: str) -> bool:
            return name == source and scope in (None, where)

        known = {key for table in (self._cursors, self._done, self._closed) for key in table if mine(*key)}
        for key in known:
            self._cursors.pop(key, None)
            self._done.pop(key, None)
            self._closed.pop(key, None)
        self._pins = {key: split for key, split in self._pins.items() if not mine(key[0], split.scope)}
        self._retries = {key: retry for key, retry in self._retries.items() if not mine(key[0], retry.scope)}
        left = {name for owner, name in self._pins if owner == source}
        for key in [key for key in self._attempts if key[0] == source and key[1] not in left]:
            del self._attempts[key]
        return len(known)

    def close(self) -> None:
        self.open = False

    @property
    def open_hashes(self) -> int:
        """How many hashes are kept in open buckets of time: what a test bounds."""
        return sum(len(hashes) for buckets in self._done.values() for hashes in buckets.values())


def _sum(lines: Sequence[LedgerLine]) -> LedgerTotal:
    return LedgerTotal(
        lines[0].source,
        lines[0].sink,
        len(lines),
        sum(line.read for line in lines),
        sum(line.delivered for line in lines),
        sum(line.present for line in lines),
        sum(line.filtered for line in lines),
        sum(line.dead_lettered for line in lines),
        sum(line.bytes_in for line in lines),
        sum(line.bytes_out for line in lines),
        max((line.newest_ms for line in lines if line.newest_ms is not None), default=None),
        max(line.settled_at for line in lines),
        sum(line.repaired for line in lines),
    )
