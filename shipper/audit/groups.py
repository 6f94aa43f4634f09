"""Compares log groups with the sinks, hour by hour: by what the state knows of each event that was delivered."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from shipper.audit.account import MOST_IDS, Account, Difference
from shipper.audit.asking import Asker, AskingSink, patiently
from shipper.audit.comparison import doubles
from shipper.model import Document, LedgerLine, S3Split, WindowSplit, event_position
from shipper.ports import Stop
from shipper.sources.cloudwatch_windows import MINUTE_MS, pack_seen

_HOUR_MINUTES = 60
_LINES_AT_ONCE = 200

_LATE = "events are not delivered yet: they became visible late, and the next looks read them"
_EXPIRED = "documents are expired: what held them has been deleted since"
_UNASKED = "log groups are not counted in {}: it cannot be asked (see docs/audit.md)"
_WINDOW_LOST = "the window that the file is of is not kept: it cannot be shipped again"


@dataclass(frozen=True, slots=True)
class Span:
    """An hour of a log group, or what of it the state knows.

    Attributes:
        window: to read all of it again.
        known: hashes of the events that were delivered, filtered or dead-lettered.
    """

    window: WindowSplit
    known: frozenset[int]


@dataclass(slots=True)
class _Read:
    """What one sink said of a span.

    Attributes:
        keys: hashes of all events that were read.
    """

    held: set[str] = field(default_factory=set)
    lost: dict[str, Document] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)
    keys: set[int] = field(default_factory=set)


def spans(whole: WindowSplit, done: Mapping[int, array[int]]) -> Iterator[Span]:
    """Cut what the state knows of a group into hours.

    Args:
        whole: a window from the first minute that the state knows all of to the last that is judged.
        done: hashes by minute.
    """
    for hour, minutes in itertools.groupby(sorted(done), lambda minute: minute // _HOUR_MINUTES):
        first = max(hour * _HOUR_MINUTES * MINUTE_MS, whole.first_ms)
        last = min((hour + 1) * _HOUR_MINUTES * MINUTE_MS - 1, whole.last_ms)
        known = frozenset(value for minute in minutes for value in done[minute])
        if known:
            yield Span(replace(whole, id=f"{whole.id}-{hour}", first_ms=first, last_ms=last), known)


class GroupComparison:
    """Compares, and ships again where it is asked to. Used by one thread.

    Args:
        sinks: by name.
        asker: has windows shipped to those sinks.
        repair: ship what is missing.
        now: seconds since the epoch.
        progress: told how many hours were counted.
    """

    def __init__(
        self,
        account: Account,
        sinks: Mapping[str, AskingSink],
        asker: Asker,
        *,
        stop: Stop,
        repair: bool,
        now: float,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._account = account
        self._sinks = sinks
        self._asker = asker
        self._stop = stop
        self._repair = repair
        self._now = now
        self._progress = progress

    def count(self, source: str, span: Span, sinks: Sequence[str]) -> None:
        """Count a span in each sink; where the numbers differ, read it again and ask for every event by its id.

        They differ where events were filtered or are dead letters, or where documents have another time than their
        events, as flow logs do.

        Raises:
            RetryableError: a sink or CloudWatch Logs does not answer.
        """
        window = span.window
        differing: list[AskingSink] = []
        for name in sinks:
            recount = self._sinks[name].recount
            if not recount.by_id:
                if recount.doubles:
                    self._account.remark(source, _UNASKED.format(name))
                continue
            of = (window.region, window.group, window.first_ms, window.last_ms)
            found = patiently(partial(recount.count_events, *of), self._stop)
            doubled = patiently(partial(recount.doubled_events, *of), self._stop)
            if doubled.extra:
                what = f"{window.scope} from {window.first_ms} to {window.last_ms}"
                self._account.tell([doubles(source, name, what, doubled)])
                if found is not None and not recount.doubles:  # else copies count once
                    found -= doubled.extra
            pair = self._account.pair(source, name)
            pair.splits += 1
            pair.records += len(span.known)
            if found != len(span.known):
                pair.by_id += 1
                differing.append(self._sinks[name])
        if differing:
            self._ask(source, span, differing)
        self._progress(1)

    def count_files(self, source: str, lines: Iterable[LedgerLine]) -> None:
        """Count the lines of archives, which hold a file for each window.

        Raises:
            RetryableError: the archive cannot be read.
        """
        waiting = iter(lines)
        while chunk := list(itertools.islice(waiting, _LINES_AT_ONCE)):
            for name in sorted({line.sink for line in chunk} & self._sinks.keys()):
                mine = [line for line in chunk if line.sink == name and line.delivered]
                recount = self._sinks[name].recount
                if mine and not recount.by_id and not recount.doubles:
                    counts = recount.count([S3Split(line.split_id, source, "", "", ()) for line in mine])
                    self._told_files(source, name, zip(mine, counts, strict=True))

    def _told_files(self, source: str, sink: str, counted: Iterable[tuple[LedgerLine, int | None]]) -> None:
        pair = self._account.pair(source, sink)
        for line, found in counted:
            pair.splits += 1
            pair.records += line.delivered
            if (found or 0) < line.delivered:
                what = f"split {line.split_id}"
                told = Difference(source, sink, what, "missing", line.delivered, found or 0, repairable=False)
                told.why = _WINDOW_LOST
                self._account.tell([told])

    def _ask(self, source: str, span: Span, sinks: Sequence[AskingSink]) -> None:
        reads = self._read(span, sinks)
        for sink in sinks:
            read = reads[sink.name]
            self._account.remark(source, _LATE, len(read.late))
            lost: dict[str, Document] = {}
            for key, document in read.lost.items():
                # Its own time says nothing of when it was stored, but not after now.
                if sink.recount.expired(document.index, document.time_ms, self._now):
                    self._account.remark(source, _EXPIRED)
                else:
                    lost[key] = document
            if lost:
                self._tell(source, sink, span, read, lost)

    def _tell(self, source: str, sink: AskingSink, span: Span, read: _Read, lost: Mapping[str, Document]) -> None:
        window, held = span.window, len(read.held)
        what = f"{window.scope} from {window.first_ms} to {window.last_ms}"
        told = Difference(source, sink.name, what, "missing", held + len(lost), held, tuple(sorted(lost)[:MOST_IDS]))
        self._account.tell([told])
        if self._repair:
            wanted = {document.record.position for document in lost.values()}
            seen = pack_seen(key for key in read.keys if event_position(key) not in wanted)
            for _ in self._windows(replace(window, seen=seen), [sink], ships=True):
                pass
            self._account.mend(told)

    def _read(self, span: Span, sinks: Sequence[AskingSink]) -> dict[str, _Read]:
        """Read a span again, and note what each sink holds of it."""
        known = {event_position(key) for key in span.known}
        reads = {sink.name: _Read() for sink in sinks}
        for keys in self._windows(span.window, sinks):
            for sink in sinks:
                read = reads[sink.name]
                read.keys |= keys
                read.held |= sink.asked.held.keys()
                for key, document in sink.asked.missing.items():
                    if document.record.position in known:
                        read.lost[key] = document
                    else:
                        read.late.add(key)
        return reads

    def _windows(self, window: WindowSplit, sinks: Sequence[AskingSink], *, ships: bool = False) -> Iterator[set[int]]:
        """Ship a window to its end, and yield the hashes of what was read of it after each part."""
        part: WindowSplit | None = window
        while part is not None:
            receipt = self._asker.ask(part, sinks, ships=ships)
            yield {key for _, key in receipt.done}
            reached = receipt.reached_ms
            part = None if reached is None else replace(part, first_ms=reached)
