"""A folder of zstd-compressed NDJSON, a file for each split, dataset and day: shipping again overwrites, never doubles.

Layout: `dataset=aws.cloudtrail/date=2026-01-31/<split id>.ndjson.zst`, as Hive-style readers partition.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import IO

import zstandard

from shipper.errors import ConfigError, RetryableError
from shipper.model import Document, Problem, SendResult, Split
from shipper.ports import SchemaName
from shipper.sinks.archive_recount import UNSAFE, ArchiveRecount, file_name

_LEVEL = 3
_MOST_OPEN = 32
_PART = ".part"
_LEAST_FREE_BYTES = 1 << 30
_DAY_MS = 86_400_000


class ArchiveSink:
    """Implements `ports.Sink` over a folder on this machine.

    A file appears whole or not at all: it is written beside its place, fsynced, and renamed when its split is done
    (rename(2) is atomic). Its name depends on the split alone.

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

    def prepare(self) -> None:
        """Make the folder, and remove what a crash left half-written."""
        try:
            _make_folder(self._path)
            for left in self._path.glob(f"dataset=*/date=*/*{_PART}"):
                left.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(
                f"sinks.{self.name}: cannot write in {self._path}: {error.strerror}", "choose another path"
            ) from error

    def open(self, split: Split) -> ArchiveDelivery:
        """Begin a split's files."""
        return ArchiveDelivery(self._path, file_name(split, self._marks))

    def problems(self) -> Iterable[Problem]:
        """Whether the folder can be written and has room."""
        where = f"sinks.{self.name}.path"
        nearest = next(folder for folder in (self._path, *self._path.parents) if folder.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            yield Problem(where, f"cannot write in {nearest}", "choose another path, or change its owner")
            return
        free = shutil.disk_usage(nearest).free
        if free < _LEAST_FREE_BYTES:
            yield Problem(
                where, f"only {free:,} bytes are free", "make room: a full disk stops shipping", serious=False
            )

    def recount(self) -> ArchiveRecount:
        """What counts the lines of the files."""
        return ArchiveRecount(self._path, self._marks)

    def close(self) -> None:
        """Nothing is held between splits."""


class ArchiveDelivery:
    """One split's files. Used by one thread."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        # by dataset and day; the least recently used are closed, and reopened as a further zstd frame
        self._open: OrderedDict[tuple[str, int], _Part] = OrderedDict()
        self._parts: dict[tuple[str, int], _Part] = {}

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
            for folder in {part.path.parent for part in self._parts.values()}:
                _sync_folder(folder)
        except OSError as error:
            raise RetryableError(f"the archive {self._folder} cannot be written: {error.strerror}") from error

    def abandon(self) -> None:
        """Drop what is not complete."""
        for part in self._parts.values():
            with contextlib.suppress(OSError):  # the next start removes what stays
                part.discard()
        self._parts.clear()
        self._open.clear()

    def _writer(self, key: tuple[str, int]) -> _Part:
        part = self._parts.get(key)
        if part is None:
            part = self._parts[key] = _Part(self._file(*key))
        if key not in self._open:
            while len(self._open) >= _MOST_OPEN:
                self._open.popitem(last=False)[1].rest()
            self._open[key] = part
        self._open.move_to_end(key)
        return part

    def _file(self, index: str, day: int) -> Path:
        dataset = UNSAFE.sub("_", index.removeprefix("logs-").rpartition("-")[0])
        date = datetime.fromtimestamp(day * 86_400, UTC).date()
        return self._folder / f"dataset={dataset}" / f"date={date}" / self._name


class _Part:
    """A file on its way: written under another name beside its place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._temporary = path.with_name(path.name + _PART)
        self._file: IO[bytes] | None = None
        self._stream: zstandard.ZstdCompressionWriter | None = None
        self._begun = False

    def write(self, data: bytes) -> None:
        if self._stream is None:
            if not self._begun:
                _make_folder(self.path.parent)
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            flags |= os.O_APPEND if self._begun else os.O_TRUNC
            self._file = os.fdopen(os.open(self._temporary, flags, 0o600), "wb")
            self._stream = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).stream_writer(
                self._file, closefd=False
            )
            self._begun = True
        self._stream.write(data)

    def rest(self) -> None:
        """Close the file for now: its frame ends, and is on the disk."""
        if self._stream is not None and self._file is not None:
            self._stream.close()  # type: ignore[no-untyped-call]  # zstandard's stub leaves it out
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = self._stream = None

    def complete(self) -> None:
        self.rest()
        self._temporary.replace(self.path)

    def discard(self) -> None:
        try:
            if self._file is not None:
                self._file.close()  # on a full disk this fails too, where something is still to be written
        finally:
            self._file = self._stream = None
            self._temporary.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each durable: a file is lost with the folder that a power cut takes away."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
