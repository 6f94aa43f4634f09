"""Puts an audit together: the stores it reads, the sinks it asks, the buckets it lists."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shipper.audit.account import Account
from shipper.audit.asking import Asker, AskingSink, Letters, Unasked
from shipper.audit.buckets import Known, Lacking, compare
from shipper.audit.comparison import Comparison, doubles
from shipper.audit.groups import GroupComparison
from shipper.audit.ledger import Ledger
from shipper.build import (
    CHECKPOINTS_FILE,
    LOG_TYPES,
    ONCE_PATIENCE_SECONDS,
    aws_sessions,
    dead_letters,
    lookups,
    names,
    read_limits,
    shipper_to,
    sinks,
    store,
)
from shipper.build.backfill import FOLDER as BACKFILLS
from shipper.build.cloudwatch import cloudwatch_calls, log_type_of
from shipper.build.sinks import splunk_recount
from shipper.build.sources import ListedPlace, coverage, listed_places, readers
from shipper.config import (
    AnySink,
    CloudWatchLogsSource,
    ElasticsearchSink,
    S3NotificationsSource,
    S3Source,
    Settings,
    SplunkHecSink,
    State,
)
from shipper.delivery import Patience
from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.model import Document, SettledSplit
from shipper.ports import Lookups, Recount, Sink, Stop

if TYPE_CHECKING:
    from shipper.checkpoints.sqlite import SqliteCheckpoints
    from shipper.sources.s3_inventory import Inventory, UnknownObject

FOLDER = "audit"
Progress = Callable[[str, str, int], None]
"""(source, what is counted, how many more)."""

_RECENT = "splits were settled a moment ago, and are left to the next audit"
_BEGUN = "the oldest receipt that is kept is of {}: what was settled before is not counted"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is audited.

    Attributes:
        source: one of the configuration's; None for all.
        since: seconds since the epoch; 0 for all that the ledger has.
        settle_seconds: what was settled so recently is left out, because a search may not see it yet.
        repair: ship what is missing.
    """

    source: str | None = None
    since: float = 0.0
    settle_seconds: float = 60.0
    repair: bool = False


def audit(settings: Settings, wanted: Wanted, *, stop: Stop | None = None, progress: Progress) -> Account:
    """Recount what was delivered, and ship what is missing where that is wanted.

    Raises:
        ConfigError: there is no state, or another audit repairs.
        RetryableError: the state cannot be read now; what does not answer is in the account.
    """
    with contextlib.ExitStack() as opened:
        return _Audit(settings, wanted, opened, stop or Stop(), progress).run()


class _Audit:
    def __init__(
        self, settings: Settings, wanted: Wanted, opened: contextlib.ExitStack, stop: Stop, progress: Progress
    ) -> None:
        self._settings = settings
        self._wanted = wanted
        self._progress = progress
        self._stop = stop
        self._now = time.time()
        self._account = Account()
        self._store = store(settings, read_only=True)
        opened.callback(self._store.close)
        self._ledger = self._open_ledger(opened)
        self._letters = dead_letters(settings)
        opened.callback(self._letters.close)
        metrics = Metrics()
        self._sinks = self._asking(sinks(settings, metrics, stop))
        for sink in self._sinks.values():
            opened.callback(sink.close)
        found = lookups(settings, metrics, stop) if wanted.repair else Lookups()
        if found.sessions is not None:
            opened.callback(found.sessions.close)
        self._sessions = aws_sessions(settings)
        calls = cloudwatch_calls(settings, self._sessions, metrics, stop)
        self._calls = calls
        letters = Letters(self._letters)
        shipper = shipper_to(
            settings,
            dict(self._sinks),
            found,
            readers(settings, self._sessions, calls, metrics, read_limits(settings)),
            letters=letters,
            metrics=metrics,
            stop=stop,
            patience=Patience(ONCE_PATIENCE_SECONDS),
        )
        self._asker = Asker(shipper.ship, letters)

    def run(self) -> Account:
        for name, source in self._settings.sources.items():
            if self._wanted.source not in (None, name):
                continue
            try:
                if isinstance(source, CloudWatchLogsSource):
                    self._of_log_groups(name, source)
                else:
                    self._of_s3(name, source)
            except RetryableError as error:
                # What was found, and maybe shipped again, of the others must be told all the same.
                self._account.unanswered[name] = str(error)
        self._of_archives()
        return self._account

    def _of_archives(self) -> None:
        """Count the lines that stand in several files, once for each archive that the sources ship to."""
        from shipper.sinks.archive_recount import ArchiveRecount

        chosen = [each for each in self._settings.sources if self._wanted.source in (None, each)]
        for name in sorted({sink for source in chosen for sink in self._settings.sinks_of(source)}):
            recount = self._sinks[name].recount
            if not isinstance(recount, ArchiveRecount):
                continue
            try:
                for folder, found in recount.doubled_lines(self._wanted.since):
                    self._account.tell([doubles("*", name, folder, found)])
            except RetryableError as error:
                self._account.unanswered[name] = str(error)

    def _of_s3(self, name: str, source: S3Source | S3NotificationsSource) -> None:
        mine = [each for each, owner in names(self._settings).items() if owner == name]
        comparison = Comparison(
            self._account,
            self._ledger,
            self._sinks,
            self._asker,
            index_of=self._index_of,
            stop=self._stop,
            repair=self._wanted.repair,
            progress=lambda number: self._progress(name, "splits", number),
        )
        comparison.count(name, self._old_enough(name, self._ledger.splits(mine, self._wanted.since)))
        notified = isinstance(source, S3NotificationsSource)
        known = Known(mine, self._ledger, self._store, self._wanted.since, notified=notified, now=self._now)
        if known.begun is not None and known.begun > self._wanted.since > 0:
            self._account.notes[name] = _BEGUN.format(time.strftime("%Y-%m-%d %H:%MZ", time.gmtime(known.begun)))
        compare(
            name,
            known,
            (self._inventory(name, place, known) for place in listed_places(source)),
            comparison,
            self._account,
            sinks_for=self._sinks_for(name, source, known),
            shared=isinstance(source, S3NotificationsSource) and not source.verify_listing,
            progress=lambda number: self._progress(name, "objects without a receipt", number),
        )

    def _of_log_groups(self, name: str, source: CloudWatchLogsSource) -> None:
        from shipper.build.audit_groups import known_spans

        comparison = GroupComparison(
            self._account,
            self._sinks,
            self._asker,
            stop=self._stop,
            repair=self._wanted.repair,
            now=self._now,
            progress=lambda number: self._progress(name, "hours of log groups", number),
        )
        until = self._now - self._wanted.settle_seconds
        told = log_type_of(source, self._calls[name], self._sessions[name])
        for span in known_spans(name, self._store, told, since=self._wanted.since, until=until):
            comparison.count(name, span, self._settings.sinks_of(name))
        lines = self._store.receipts(name, self._wanted.since)
        comparison.count_files(name, (line for line in lines if line.settled_at <= until))

    def _old_enough(self, source: str, settled: Iterator[SettledSplit]) -> Iterator[SettledSplit]:
        for each in settled:
            if each.settled_at > self._now - self._wanted.settle_seconds:
                self._account.remark(source, _RECENT)
            else:
                yield each

    def _sinks_for(
        self, name: str, source: S3Source | S3NotificationsSource, known: Known
    ) -> Callable[[UnknownObject], Lacking]:
        """Return which sinks are asked for an object without a receipt, or lack it where they cannot be asked.

        Objects against receipts need no sink: where none can tell one document from another, an object that the state
        never settled is missing in all of them; where some can, the others lack what those have nothing of. Where the
        receipt may have been kept and is no more, or another daemon of a fleet may have the object, only those are
        asked that can tell: of the others nothing can be proved.
        """
        everyone = self._settings.sinks_of(name)
        telling = [each for each in everyone if self._sinks[each].recount.by_id]
        alone = isinstance(source, S3Source) or source.verify_listing
        # LastModified is cut to whole seconds.
        begun = known.begun - 1 if known.begun is not None and isinstance(source, S3Source) else math.inf

        others = [each for each in everyone if each not in telling]

        def chosen(unknown: UnknownObject) -> Lacking:
            certain = alone and unknown.certain
            if unknown.object.last_modified >= begun or (certain and not telling):
                return Lacking(everyone)
            return Lacking(telling, others if certain else ())

        return chosen

    def _inventory(self, name: str, listed: ListedPlace, known: Known) -> Inventory:
        from shipper.sources.s3_bucket import S3Bucket
        from shipper.sources.s3_inventory import Inventory

        place = listed.source
        return Inventory(
            S3Bucket(self._sessions[name].client("s3"), place.bucket, place.expected_bucket_owner),
            place.prefix,
            place.logs,
            known.wanted,
            names=known.names,
            store=self._store,
            settled=known.settled,
            waiting=known.waiting,
            layouts_only=listed.layouts_only,
            outside_only=listed.outside_only,
            coverage=coverage(self._settings, name, listed),
            now=self._now,
        )

    def _index_of(self, sink: str, logs: str) -> str:
        chosen = self._settings.sinks[sink]
        if isinstance(chosen, SplunkHecSink):
            return next((index for name, index in chosen.indexes.items() if name == logs), chosen.index)
        if not isinstance(chosen, ElasticsearchSink):
            return ""
        # Nearly all of what a control plane logs is its audit log: its data stream tells what is kept.
        dataset = chosen.eks_audit_dataset if logs == "eks" else LOG_TYPES[logs].dataset
        return f"logs-{dataset}-{chosen.data_stream_namespace}"

    def _open_ledger(self, opened: contextlib.ExitStack) -> Ledger:
        def look_at(path: Path) -> SqliteCheckpoints:
            found = store(_at(self._settings, path), read_only=True)
            opened.callback(found.close)
            return found

        root = self._settings.state.path
        backfills = sorted(file.parent for file in (root / BACKFILLS).glob(f"*/{CHECKPOINTS_FILE}"))
        own: SqliteCheckpoints | None = None
        if self._wanted.repair:
            own = store(_at(self._settings, root / FOLDER))
            opened.callback(own.close)
        elif (root / FOLDER / CHECKPOINTS_FILE).exists():
            own = look_at(root / FOLDER)
        return Ledger([self._store, *map(look_at, backfills)], own)

    def _asking(self, real: dict[str, Sink]) -> dict[str, AskingSink]:
        return {
            name: AskingSink(sink, _recount(self._settings.sinks[name], sink), self._is_letter_of(name))
            for name, sink in real.items()
        }

    def _is_letter_of(self, sink: str) -> Callable[[Document], bool]:
        from shipper.deadletters.sqlite import Wanted as WantedLetters

        def is_letter(document: Document) -> bool:
            wanted = WantedLetters(sink=sink, document_id=document.id)
            kept = next(iter(self._letters.letters(wanted, 1)), None) is not None
            return kept or self._letters.was_purged(sink, document)

        return is_letter


def _at(settings: Settings, folder: Path) -> Settings:
    return settings.model_copy(update={"state": State(path=folder)})


def _recount(chosen: AnySink, sink: Sink) -> Recount:
    from shipper.sinks.archive import ArchiveSink
    from shipper.sinks.elasticsearch import ElasticsearchSink as Elasticsearch

    if isinstance(chosen, SplunkHecSink):
        return splunk_recount(sink.name, chosen) or Unasked()
    return sink.recount() if isinstance(sink, Elasticsearch | ArchiveSink) else Unasked()
