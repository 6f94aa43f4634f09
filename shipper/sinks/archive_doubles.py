"""Finds lines that stand in several files of an archive, with bounded memory: hashes go through a table on the disk."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import zstandard

from shipper.model import Doubled

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
    for folder in sorted(archive.glob("dataset=*/date=*")):
        files = sorted(folder.glob(f"*{_SUFFIX}"))
        if len(files) > 1 and any(file.stat().st_mtime >= since for file in files):
            found = _compared(files)
            if found.extra:
                yield str(folder.relative_to(archive)), found


def _compared(files: list[Path]) -> Doubled:
    stored = extra = 0
    table = sqlite3.connect("")  # a temporary file, which SQLite removes
    try:
        table.execute("CREATE TABLE lines (hash INTEGER PRIMARY KEY, file INTEGER NOT NULL) WITHOUT ROWID")
        for number, file in enumerate(files):
            # Sources with settings of their own keep files of their own, on purpose.
            mark = file.name.removesuffix(_SUFFIX).partition(".")[2].encode()
            for hashes in _hashes(file, mark):
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


def _hashes(file: Path, mark: bytes) -> Iterator[list[int]]:
    """Yield the hashes of a file's lines, in pieces; of a damaged file, those before the damage."""
    hashes: list[int] = []
    try:
        with (
            file.open("rb") as packed,
            zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as data,
        ):
            rest = b""
            while chunk := data.read(1 << 20):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    digest = hashlib.blake2b(line, digest_size=8, key=mark[:64]).digest()
                    hashes.append(int.from_bytes(digest, "big", signed=True))
                if len(hashes) >= _HASHES_AT_ONCE:
                    yield hashes
                    hashes = []
    except zstandard.ZstdError:
        pass
    yield hashes
