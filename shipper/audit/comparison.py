"""Counts each receipt against its sink; where the numbers differ, asks for every document. Read `count` first."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from shipper.audit.account import MOST_IDS, Account, Difference, Kind
from shipper.audit.asking import Asked, Asker, AskingSink, patiently
from shipper.audit.ledger import Ledger
from shipper.counting import counted
from shipper.model import Document, Doubled, LedgerLine, Receipt, S3Split, SettledSplit
from shipper.ports import Stop

_SPLITS_AT_ONCE = 16

_GONE = "objects are gone from the bucket, so that their documents cannot be told one by one"
_UNOPENED = "objects cannot be opened now, so that their documents cannot be told one by one"
_EXPIRED = "documents are expired: what held them has been deleted since"
_EXCUSED = "documents are not there, as many as were filtered then and are no more"
_MORE = "more than its receipt says; behind doubles there may be a loss"
_UNASKED = "splits are not counted in {}: it cannot be asked (see docs/audit.md)"
_UNKNOWN = "receipts are of sink {}, which is not in the configuration"


class Comparison:
    """Compares, and ships again where it is asked to. Used by one thread.

    Args:
        sinks: by name.
        asker: has splits shipped to those sinks.
        index_of: the index that a sink's documents of a log type go to; "" where that depends.
        repair: ship what is missing.
        progress: told how many splits were counted.
    """

    def __init__(
        self,
        account: Account,
        ledger: Ledger,
        sinks: Mapping[str, AskingSink],
        asker: Asker,
        *,
        index_of: Callable[[str, str], str],
        stop: Stop,
        repair: bool = False,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._account = account
        self._ledger = ledger
        self._sinks = sinks
        self._asker = asker
        self._index_of = index_of
        self._stop = stop
        self._repair = repair
        self._progress = progress
        self._doubled: set[tuple[str, str]] = set()

    def count(self, source: str, settled: Iterable[SettledSplit]) -> None:
        """Count what was settled.

        What a receipt calls delivered, present or repaired is a document in the sink that says which object it is
        from. So the numbers are equal, unless something is lost, or doubled by a rollover, or was there already from
        another object, or was a dead letter that has been replayed: then the objects are read again, as they were
        when they were shipped, and every document is asked for by its id.

        Args:
            source: its name in the configuration.

        Raises:
            RetryableError: a sink or the bucket does not answer.
        """
        waiting = iter(settled)
        while chunk := list(itertools.islice(waiting, _SPLITS_AT_ONCE)):
            for name in sorted({name for each in chunk for name in each.lines}):
                self._count(source, name, [each for each in chunk if name in each.lines])
            self._progress(len(chunk))

    def _count(self, source: str, name: str, chunk: Sequence[SettledSplit]) -> None:
        sink = self._sinks.get(name)
        if sink is None:
            self._account.remark(source, _UNKNOWN.format(name), len(chunk))
            return
        counts = patiently(lambda: sink.recount.count([each.split for each in chunk]), self._stop)
        doubled = self._find_doubles(source, sink, [each.split for each in chunk])
        pair = self._account.pair(source, name)
        for each, count in zip(chunk, counts, strict=True):
            line = each.lines[name]
            expected = _expected(line)
            extra = sum(doubled[item.uri].extra for item in each.split.objects if item.uri in doubled)
            # Where `doubles`, copies were counted once.
            found = count if count is None or sink.recount.doubles else count - extra
            if found is None and not sink.recount.by_id:
                self._account.remark(source, _UNASKED.format(name))
                continue
            pair.splits += 1
            pair.records += expected
            # A dead letter that was replayed since is a document more, and would stand for one that is lost.
            replayable = line.dead_lettered and sink.recount.by_id
            if (found == expected and not replayable) or self._is_expired(source, sink, each, found):
                continue
            if not sink.recount.by_id and found is not None and found > expected:
                what = f"split {each.split.id}"
                self._account.tell([Difference(source, name, what, "doubled", expected, found, why=_MORE)])
            elif sink.recount.by_id:
                pair.by_id += 1
                self._ask(source, sink, each, found or 0)
            else:
                self._tell(sink, each.split, [self._of_split(source, each, line, found or 0)])

    def _find_doubles(self, source: str, sink: AskingSink, splits: Sequence[S3Split]) -> Mapping[str, Doubled]:
        """Return what the sink holds more than once, by object, and tell it once for each object."""
        paths = sorted({item.uri for split in splits for item in split.objects})
        doubled = patiently(lambda: sink.recount.doubled(paths), self._stop)
        new = [uri for uri in doubled if (sink.name, uri) not in self._doubled]
        self._doubled.update((sink.name, uri) for uri in new)
        self._account.tell([doubles(source, sink.name, uri, doubled[uri]) for uri in new])
        return doubled

    def _is_expired(self, source: str, sink: AskingSink, each: SettledSplit, found: int | None) -> bool:
        line = each.lines[sink.name]
        index = self._index_of(sink.name, each.split.logs)
        if found or not index or line.newest_ms is None:
            return False
        newest = line.newest_ms
        expired = patiently(lambda: sink.recount.expired(index, newest, line.settled_at), self._stop)
        if expired:
            self._account.remark(source, _EXPIRED, _expected(line))
        return expired

    def _ask(self, source: str, sink: AskingSink, each: SettledSplit, found: int) -> None:
        """Ask for each document of a split by its id."""
        line = each.lines[sink.name]
        receipt = self._asker.ask(each.split, [sink])
        asked, tally = sink.asked, receipt.sinks[sink.name]
        missing = self._left(source, sink, asked, line.settled_at)
        unread = self._unread(source, receipt)
        excused = max(line.filtered - tally.filtered, 0)  # what a rule keeps now: it never was in the sink
        if len(missing) <= excused:
            self._account.remark(source, _EXCUSED, len(missing))
            missing = {}
        told = _by_object(source, sink.name, asked, missing, "missing")
        if missing and excused:
            told = [replace(each, why=f"{excused} at most were filtered then") for each in told]
        lost = line.delivered + line.repaired - found - len(missing)
        if unread and lost > 0:  # these were newly stored, under the very objects that are gone
            what, why = f"split {each.split.id}", "gone from the bucket, too: it cannot be shipped again"
            gone = Difference(source, sink.name, what, "missing", found + lost, found, why=why, repairable=False)
            told.append(gone)
        self._tell(sink, each.split, told)

    def look(self, source: str, split: S3Split, sinks: Sequence[str]) -> set[str]:
        """Ask for the documents of objects that have no receipt; return the addresses of those that no sink has any of.

        Args:
            sinks: which are asked.

        Raises:
            RetryableError: a sink or the bucket does not answer.
        """
        chosen = [self._sinks[name] for name in sinks]
        receipt = self._asker.ask(split, chosen)
        self._unread(source, receipt)
        written = max(item.last_modified for item in split.objects)
        absent = {item.uri for item in split.objects}
        for sink, asked in [(sink, sink.asked) for sink in chosen]:  # shipping again asks anew
            missing = self._left(source, sink, asked, written)
            absent &= {each.origin.uri for each in missing.values()} - set(asked.held.values())
            told = _by_object(source, sink.name, asked, missing, "never_shipped")
            self._tell(sink, split, told)
            self._find_doubles(source, sink, [split])
        return absent

    def _left(self, source: str, sink: AskingSink, asked: Asked, stored_at: float) -> dict[str, Document]:
        """What is missing and has not expired."""
        left: dict[str, Document] = {}
        for key, document in asked.missing.items():
            if sink.recount.expired(document.index, document.time_ms, stored_at):
                self._account.remark(source, _EXPIRED)
            else:
                left[key] = document
        return left

    def _unread(self, source: str, receipt: Receipt) -> int:
        gone = sum(left.kind == "missing" for left in receipt.unread)
        self._account.remark(source, _GONE, gone)
        self._account.remark(source, _UNOPENED, len(receipt.unread) - gone)
        return len(receipt.unread)

    def _tell(self, sink: AskingSink, split: S3Split, told: Sequence[Difference]) -> None:
        """Keep differences, and ship again what they are about where that is wanted."""
        self._account.tell(told)
        mendable = [each for each in told if each.repairable]
        if not mendable or not self._repair:
            return
        receipt = self._asker.ask(split, [sink], ships=True)
        left_out = {left.object.uri for left in receipt.unread}
        for each in mendable:
            if each.what not in left_out:
                self._account.mend(each)
        if not left_out:
            self._ledger.keep(split, replace(receipt, sinks={sink.name: receipt.sinks[sink.name]}))

    def _of_split(self, source: str, each: SettledSplit, line: LedgerLine, found: int) -> Difference:
        """A difference of a sink that is counted by splits, and whose splits can only be written whole."""
        expected, objects = _expected(line), each.split.objects
        told = Difference(source, line.sink, f"split {each.split.id}", "missing", expected, found)
        told.why = f"{counted(len(objects), 'object')}, from {objects[0].uri} on" if objects else ""
        if self._repair and self._sinks[line.sink].recount.doubles:
            told.repairable = False
            told.why = "its events have no ids there: sending the split again would double the others"
        elif self._repair:
            receipt = self._asker.ask(each.split, [])
            tally = receipt.sinks.get(line.sink)
            if receipt.unread or tally is None or tally.present < expected:
                told.repairable = False
                told.why = "its objects make fewer documents now, or are gone from the bucket: it is left as it is"
        return told


def doubles(source: str, sink: str, what: str, found: Doubled) -> Difference:
    """Return the difference that doubles are; nothing is deleted by a repair."""
    once = found.stored - found.extra
    return Difference(source, sink, what, "doubled", once, found.stored, found.ids, repairable=False)


def _expected(line: LedgerLine) -> int:
    return line.delivered + line.present + line.repaired


def _by_object(source: str, sink: str, asked: Asked, missing: Mapping[str, Document], kind: Kind) -> list[Difference]:
    """A difference for each object that something is missing of."""
    ids: dict[str, list[str]] = {}
    for key, document in missing.items():
        ids.setdefault(document.origin.uri, []).append(key)
    held = Counter(asked.held.values())
    return [
        Difference(source, sink, uri, kind, held[uri] + len(keys), held[uri], tuple(sorted(keys)[:MOST_IDS]))
        for uri, keys in sorted(ids.items())
    ]
