"""Which lines of an archive stand more often than they should."""

from __future__ import annotations

from pathlib import Path

import zstandard

from shipper.model import Doubled
from shipper.sinks.archive_doubles import doubled_lines

DAY = "dataset=aws.cloudtrail/date=2026-01-31"


def put(archive: Path, name: str, *lines: bytes, day: str = DAY) -> None:
    folder = archive / day
    folder.mkdir(parents=True, exist_ok=True)
    packed = zstandard.ZstdCompressor().compress(b"".join(line + b"\n" for line in lines))
    (folder / f"{name}.ndjson.zst").write_bytes(packed)


def test_lines_of_two_files_are_doubles(tmp_path: Path) -> None:
    """A backfill grouped an object otherwise; what is in one file alone is no double."""
    put(tmp_path, "one", b"a", b"b")
    put(tmp_path, "two", b"b", b"c", b"a")
    assert list(doubled_lines(tmp_path, 0.0)) == [(DAY, Doubled(5, 2))]


def test_what_is_no_double(tmp_path: Path) -> None:
    """Equal lines of one object, files of sources with settings of their own, and the same line on another day."""
    put(tmp_path, "one", b"a", b"a")
    put(tmp_path, "one.dropping", b"a")
    put(tmp_path, "two", b"a", day="dataset=aws.cloudtrail/date=2026-02-01")
    assert list(doubled_lines(tmp_path, 0.0)) == []


def test_folders_without_anything_new_and_damaged_files_are_passed_over(tmp_path: Path) -> None:
    """`since` is of the writing, not of the events."""
    put(tmp_path, "one", b"a")
    put(tmp_path, "two", b"a")
    (tmp_path / DAY / "torn.ndjson.zst").write_bytes(b"no zstd")
    assert list(doubled_lines(tmp_path, 4e9)) == []
    assert list(doubled_lines(tmp_path, 0.0)) == [(DAY, Doubled(2, 1))]
