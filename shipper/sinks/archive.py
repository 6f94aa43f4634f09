"""A folder of zstd-compressed NDJSON, a file for each split, dataset and day: shipping again overwrites, never doubles.

Layout: `dataset=aws.cloudtrail/date=2026-01-31/<split id>.ndjson.zst`, as Hive-style readers partition.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import structlog

from shipper.errors import ConfigError, RetryableError
from shipper.model import Document, Problem, SendResult, Split
from shipper.ports import SchemaName
from shipper.safe_files import make_root, opened_folder
from shipper.sinks.archive_parts import Part, Writer, remove_leftovers
from shipper.sinks.archive_recount import UNSAFE, ArchiveRecount, file_name

_MOST_OPEN = 32
_LEAST_FREE_BYTES = 1 << 30
_DAY_MS = 86_400_000

log = structlog.get_logger(__name__)


class ArchiveSink:
    """Implements `ports.Sink` over a folder on this machine.

    A file appears whole or not at all: it is written beside its place, fsynced, and renamed when its split is done
    (rename(2) is atomic). Its name depends on the split alone. Below the folder no link is followed.

    Args:
        path: the folder, made with mode 0700 where it is missing.
        marks: by source, what its files' names have beside the split's id: of sources that make other documents of the
            same objects than others do.
    """

    schema: SchemaName = "ecs"

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        marks: Mapping[str, str] = MappingProxyType({}),
        batch_bytes: int = 5_000_000,
        batch_documents: int = 5000,
    ) -> None:
        self.name = name
        self._marks = marks
        self.batch_bytes = batch_bytes
        self.batch_documents = batch_documents
        self._path = path
        self._writer: Writer | None = None
        self._mutex = threading.Lock()

    def prepare(self) -> None:
        """Make the folder, and remove what a crash left half-written; what other processes write now stays.

        Raises:
            ConfigError: it cannot be written, or every user can write in it.
        """
        try:
            make_root(self._path)
            remark = _remark_on_mode(f"sinks.{self.name}.path", self._path)
            if remark is not None and remark.serious:
                raise ConfigError(f"sinks.{self.name}: {remark.what}", remark.hint)
            if remark is not None:
                log.warning(remark.what, where=remark.where, hint=remark.hint)
            remove_leftovers(self._path)
        except OSError as error:
            raise ConfigError(
                f"sinks.{self.name}: cannot write in {self._path}: {error.strerror}", "choose another path"
            ) from error

    def open(self, split: Split) -> ArchiveDelivery:
        """Begin a split's files."""
        return ArchiveDelivery(self._path, file_name(split, self._marks), self._writer_name)

    def problems(self) -> Iterable[Problem]:
        """Whether the folder can be written and has room."""
        where = f"sinks.{self.name}.path"
        nearest = next(folder for folder in (self._path, *self._path.parents) if folder.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            yield Problem(where, f"cannot write in {nearest}", "choose another path, or change its owner")
            return
        remark = _remark_on_mode(where, self._path) if nearest == self._path else None
        if remark is not None:
            yield remark
        free = shutil.disk_usage(nearest).free
        if free < _LEAST_FREE_BYTES:
            yield Problem(
                where, f"only {free:,} bytes are free", "make room: a full disk stops shipping", serious=False
            )

    def recount(self) -> ArchiveRecount:
        """What counts the lines of the files."""
        return ArchiveRecount(self._path, self._marks)

    def close(self) -> None:
        """Say that this process writes here no longer."""
        with self._mutex:
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def _writer_name(self) -> str:
        with self._mutex:
            if self._writer is None:
                make_root(self._path)
                self._writer = Writer(self._path)
            return self._writer.name


class ArchiveDelivery:
    """One split's files. Used by one thread.

    Args:
        writer: returns the name of this process among the archive's writers.
    """

    def __init__(self, folder: Path, name: str, writer: Callable[[], str]) -> None:
        self._folder = folder
        self._name = name
        self._writer_name = writer
        # by dataset and day; the least recently used are closed, and reopened as a further zstd frame
        self._open: OrderedDict[tuple[str, int], Part] = OrderedDict()
        self._parts: dict[tuple[str, int], Part] = {}

    def send(self, documents: Sequence[Document]) -> SendResult:
        """Append documents to their day's file."""
        lines: dict[tuple[str, int], list[bytes]] = {}
        for document in documents:
            lines.setdefault((document.index, document.time_ms // _DAY_MS), []).append(document.body)
        try:
            for key, bodies in lines.items():
                bodies.append(b"")
                self._writer(key).write(b"\n".join(bodies))
        except OSError as error:
            # What this attempt wrote cannot be told from what it did not.
            self.abandon()
            raise RetryableError(
                f"the archive {self._folder} cannot be written: {error.strerror}", restart=True
            ) from error
        return SendResult(delivered=len(documents))

    def finish(self) -> None:
        """Make the files durable under their names."""
        try:
            for part in self._parts.values():
                part.complete()
            for place in {part.place for part in self._parts.values()}:
                with opened_folder(self._folder, *place) as folder:
                    os.fsync(folder)
        except OSError as error:
            raise RetryableError(f"the archive {self._folder} cannot be written: {error.strerror}") from error

    def abandon(self) -> None:
        """Drop what is not complete."""
        for part in self._parts.values():
            with contextlib.suppress(OSError):  # the next start removes what stays
                part.discard()
        self._parts.clear()
        self._open.clear()

    def _writer(self, key: tuple[str, int]) -> Part:
        part = self._parts.get(key)
        if part is None:
            part = self._parts[key] = Part(self._folder, _place(*key), self._name, self._writer_name())
        if key not in self._open:
            while len(self._open) >= _MOST_OPEN:
                self._open.popitem(last=False)[1].rest()
            self._open[key] = part
        self._open.move_to_end(key)
        return part


def _place(index: str, day: int) -> tuple[str, str]:
    """Return the folders of a data stream and a day."""
    dataset = UNSAFE.sub("_", index.removeprefix("logs-").rpartition("-")[0])
    return f"dataset={dataset}", f"date={datetime.fromtimestamp(day * 86_400, UTC).date()}"


def _remark_on_mode(where: str, folder: Path) -> Problem | None:
    """Say whether others than the owner can write in an archive's folder: then what it holds proves nothing.

    Everyone: refused. The owner's group: a remark, because an archive may be shared on purpose.
    """
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & stat.S_IWOTH:
        return Problem(where, f"every user can write in the archive {folder} (mode {mode:04o})", f"chmod o-w {folder}")
    if mode & stat.S_IWGRP:
        what = f"the group of the archive {folder} can write in it (mode {mode:04o}): what it holds proves nothing"
        return Problem(where, what, f"chmod g-w {folder}, where the group need not write", serious=False)
    return None
