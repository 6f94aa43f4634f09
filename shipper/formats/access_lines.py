"""Access logs in S3: objects of lines, compressed or not, whose layout each line tells by its own form."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shipper.formats.lines import LongLine, lines
from shipper.formats.stored_bytes import decompressed
from shipper.model import Payload, ReadLimits, Record, Rejected
from shipper.quoted_lines import QuotedLayout


class AccessLinesFormat:
    """Takes access logs apart. `Record.layout` names a line's fields for filters; None where its form is not known.

    Args:
        limits: of objects and lines.
        layout_of: tells a line's layout.
    """

    def __init__(self, limits: ReadLimits, layout_of: Callable[[str], QuotedLayout | None]) -> None:
        self._limits = limits
        self._layout_of = layout_of

    def records(self, payload: Payload) -> Iterator[Record | Rejected]:
        """Yield the payload's lines in order, blank ones left out.

        Raises:
            BadInputError: the rest is unreadable: truncated, damaged, over a limit.
            RetryableError: from the payload's own chunks.
        """
        position = 0
        for batch in lines(decompressed(payload, self._limits), self._limits.record_bytes):
            if not b"".join(batch).strip():  # nothing but blanks, however many
                position += len(batch)
                continue
            for line in batch:
                position += 1
                if isinstance(line, LongLine):
                    yield Rejected(bytes(line), position, "the line is longer than allowed")
                elif line.strip():
                    yield Record(line, position, self._layout_of(line.decode("utf-8", "replace")))
