"""Finds lines that stand in several files of an archive, with bounded memory: hashes go through a table on the disk."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import zstandard

from shipper.model import Doubled
from shipper.safe_files import open_file
from shipper.sinks.archive_files import day_folders

_SUFFIX = ".ndjson.zst"
_HASHES_AT_ONCE = 10_000


def doubled_lines(archive: Path, since: float) -> Iterator[tuple[str, Doubled]]:
    """Yield the folders (dataset and day) that hold doubled lines.

    Two files of one object hold the same lines, because a line names its object. A line that stands twice within one
    file is as it was in its object.

    Args:
        since: folders in which nothing was written later are left out: seconds since the epoch.

    Raises:
        OSError: the archive cannot be read.
    """
    for place, folder in day_folders(archive):
        with os.scandir(folder) as entries:
            written = {
                entry.name: entry.stat(follow_symlinks=False).st_mtime
                for entry in entries
                if entry.name.endswith(_SUFFIX) and entry.is_file(follow_symlinks=False)
            }
        if len(written) > 1 and max(written.values()) >= since:
            found = _compared(sorted(written), folder)
            if found.extra:
                yield place, found


def _compared(names: list[str], folder: int) -> Doubled:
    stored = extra = 0
    table = sqlite3.connect("")  # a temporary file, which SQLite removes
    try:
        table.execute("CREATE TABLE lines (hash INTEGER PRIMARY KEY, file INTEGER NOT NULL) WITHOUT ROWID")
        for number, name in enumerate(names):
            # Sources with settings of their own keep files of their own, on purpose.
            mark = name.removesuffix(_SUFFIX).partition(".")[2].encode()
            file = open_file(name, folder)
            for hashes in _hashes(file, mark) if file else ():
                stored += len(hashes)
                extra += _count_others(table, number, hashes)
    finally:
        table.close()
    return Doubled(stored, extra)


def _count_others(table: sqlite3.Connection, file: int, hashes: list[int]) -> int:
    """Note some lines of a file, and return how many of them are in an earlier one."""
    others = 0
    for value in hashes:
        if table.execute("INSERT OR IGNORE INTO lines VALUES (?, ?)", (value, file)).rowcount == 0:
            (first,) = table.execute("SELECT file FROM lines WHERE hash = ?", (value,)).fetchone()
            others += first != file
    return others


def _hashes(packed: BinaryIO, mark: bytes) -> Iterator[list[int]]:
    """Yield the hashes of a file's lines, in pieces; of a damaged file, those before the damage.

    A line is hashed as it comes, because a file that someone else made may hold one line of many gigabytes.
    """
    hashes: list[int] = []
    new = partial(hashlib.blake2b, digest_size=8, key=mark[:64])
    try:
        with packed, zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as data:
            line = new()
            while chunk := data.read(1 << 20):
                first, *others = chunk.split(b"\n")
                line.update(first)
                for piece in others:
                    hashes.append(int.from_bytes(line.digest(), "big", signed=True))
                    line = new(piece)
                if len(hashes) >= _HASHES_AT_ONCE:
                    yield hashes
                    hashes = []
    except zstandard.ZstdError:
        pass
    yield hashes
