"""The receipts of a daemon, of its backfills and of earlier audits, as one ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from shipper.model import LedgerLine, Receipt, S3Split, SettledSplit
from shipper.ports import CheckpointStore

_LEEWAY_SECONDS = 86_400.0
Key = tuple[str, str]


class Ledger:
    """Read while daemon and backfills may be running.

    Args:
        stores: the daemon's first, then those of backfills.
        own: the receipts of what audits shipped again; None where no audit has.
    """

    def __init__(self, stores: Sequence[CheckpointStore], own: CheckpointStore | None) -> None:
        self._stores = stores
        self._own = own

    def splits(self, names: Sequence[str], since: float) -> Iterator[SettledSplit]:
        """Yield what was settled since a time by sources of these names, with the newest receipt for each sink."""
        ours = {_key(each): each for each in self._repaired(names, since)}
        for store in self._stores:
            for name in names:
                for found in store.settled(name, since):
                    again = ours.pop(_key(found), None)
                    yield found if again is None else _newest(found, again)
        yield from ours.values()

    def objects(self, names: Sequence[str], since: float) -> Iterator[SettledSplit]:
        """Yield all that may hold objects labelled since a time; a label may run ahead of the clock."""
        return self.splits(names, since - _LEEWAY_SECONDS)

    def begun(self, names: Sequence[str]) -> float | None:
        """When the oldest receipt that is kept was settled, in seconds since the epoch; None where there is none."""
        firsts = [next(iter(store.settled(name)), None) for store in self._stores for name in names]
        return min((first.settled_at for first in firsts if first is not None), default=None)

    def keep(self, split: S3Split, receipt: Receipt) -> None:
        """Keep the receipt of what an audit has shipped."""
        if self._own is not None:
            self._own.settle(split, receipt, (), ())

    def _repaired(self, names: Sequence[str], since: float) -> Iterator[SettledSplit]:
        if self._own is not None:
            for name in names:
                yield from self._own.settled(name, since)


def _key(found: SettledSplit) -> Key:
    return found.split.source, found.split.id


def _newest(one: SettledSplit, other: SettledSplit) -> SettledSplit:
    lines: dict[str, LedgerLine] = {}
    both: tuple[Mapping[str, LedgerLine], ...] = (one.lines, other.lines)
    for line in (line for each in both for line in each.values()):
        if line.sink not in lines or line.settled_at >= lines[line.sink].settled_at:
            lines[line.sink] = line
    return replace(one, lines=lines)
