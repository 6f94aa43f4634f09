"""Counts the lines that an archive's files hold, split by split."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import zstandard

from shipper.errors import RetryableError
from shipper.model import Document, Doubled, S3Split, Split
from shipper.sinks.archive_doubles import doubled_lines

UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
"""What has no place in a file's name."""

_CHUNK_BYTES = 1 << 20


class ArchiveRecount:
    """Implements `ports.Recount` over a folder. A line does not say which document it is: splits are counted whole.

    Args:
        path: the archive's folder.
        marks: as the sink has them.
    """

    by_id = False
    doubles = False

    def __init__(self, path: Path, marks: Mapping[str, str] = MappingProxyType({})) -> None:
        self._path = path
        self._marks = marks

    def count(self, splits: Sequence[S3Split]) -> list[int | None]:
        """See ports.Recount. What a damaged file holds behind the damage does not count."""
        try:
            folders = list(self._path.glob("dataset=*/date=*"))
            return [sum(_lines(folder / file_name(split, self._marks)) for folder in folders) for split in splits]
        except OSError as error:
            raise RetryableError(f"the archive {self._path} cannot be read: {error.strerror}") from error

    def count_events(self, region: str, group: str, first_ms: int, last_ms: int) -> int | None:  # noqa: ARG002 - the port's signature
        """See ports.Recount."""
        return None

    def doubled(self, paths: Sequence[str]) -> dict[str, Doubled]:  # noqa: ARG002 - the port's signature
        """See ports.Recount. Files are compared as a whole, see `doubled_lines`."""
        return {}

    def doubled_lines(self, since: float) -> Iterator[tuple[str, Doubled]]:
        """Yield the folders that hold doubled lines, of those that were written into since a time.

        Raises:
            RetryableError: the archive cannot be read.
        """
        try:
            yield from doubled_lines(self._path, since)
        except OSError as error:
            raise RetryableError(f"the archive {self._path} cannot be read: {error.strerror}") from error

    def doubled_events(self, region: str, group: str, first_ms: int, last_ms: int) -> Doubled:  # noqa: ARG002 - the port's signature
        """See ports.Recount."""
        return Doubled()

    def missing(self, documents: Sequence[Document]) -> list[int]:
        """See ports.Recount. All of them: a split's file is written whole."""
        return list(range(len(documents)))

    def expired(self, index: str, time_ms: int, stored_at: float) -> bool:  # noqa: ARG002 - the port's signature
        """See ports.Recount. Nothing deletes files by itself."""
        return False


def file_name(split: Split, marks: Mapping[str, str]) -> str:
    """The name of a split's files, the same in every folder."""
    mark = f".{marks[split.source]}" if split.source in marks else ""
    return f"{UNSAFE.sub('_', split.id + mark)}.ndjson.zst"


def _lines(path: Path) -> int:
    lines = 0
    try:
        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as data:
            while chunk := data.read(_CHUNK_BYTES):
                lines += chunk.count(b"\n")
    except (FileNotFoundError, zstandard.ZstdError):
        return lines
    return lines
