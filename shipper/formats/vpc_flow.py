"""VPC and Transit Gateway flow logs: objects of lines, with or without a header, or Parquet.

Sources: "Publish flow logs to Amazon S3" (Amazon VPC User Guide): one gzip file with a header line and a record a line,
fields separated by single spaces. "Exporting log data to Amazon S3" (CloudWatch Logs User Guide): the time of an event
in front of each line, and no header.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import lru_cache

from shipper.exported_lines import is_exported
from shipper.flow_layouts import EXPORT_TIME, Layout, layout_from_count, layout_from_header, may_be_header
from shipper.formats.cloudwatch import enveloped, is_enveloped
from shipper.formats.lines import LongLine, lines
from shipper.formats.stored_bytes import decompressed
from shipper.formats.vpc_flow_parquet import MAGIC, parquet_records
from shipper.model import Payload, ReadLimits, Record, Rejected

_MOST_LAYOUTS = 64
_WRAPPED = (b'{"message":"', b'"}')


class VpcFlowFormat:
    """Takes flow log objects apart. `Record.layout` is the tuple of field names, shared by all lines.

    Args:
        limits: of objects and lines.
        fields: the layout of objects that have no header; None to tell it from each line's number of fields. A header
            line always counts for more.
    """

    def __init__(self, limits: ReadLimits, fields: Sequence[str] | None = None) -> None:
        self._limits = limits
        self._fields = tuple(fields) if fields else None

    def records(self, payload: Payload) -> Iterator[Record | Rejected]:
        """Yield the payload's records in order, header lines left out.

        Raises:
            BadInputError: the rest is unreadable: truncated, damaged, over a limit.
            RetryableError: from the payload's own chunks.
        """
        begin = b""
        for chunk in payload.chunks:
            begin += chunk
            if len(begin) >= len(MAGIC):
                break
        payload.chunks = itertools.chain([begin], payload.chunks)
        yield from parquet_records(payload, self._limits) if begin.startswith(MAGIC) else self._lines(payload)

    def _lines(self, payload: Payload) -> Iterator[Record | Rejected]:
        pieces = decompressed(payload, self._limits)
        first = next(pieces, b"")
        if is_enveloped(first):  # written to a log group, and from there by a subscription filter
            for found in enveloped(first, pieces, payload.origin, self._limits, self._fields):
                stray = isinstance(found, Record) and found.event is None  # a line between envelopes
                yield _record(found.raw, found.position, self._fields) if stray else found
            return
        layout, spaces, position = self._fields, len(self._fields or ()) - 1, 0
        for batch in lines(itertools.chain([first], pieces), self._limits.record_bytes):
            if layout is None and not b"".join(batch).strip():  # nothing but blanks, however many
                position += len(batch)
                continue
            for line in batch:
                position += 1
                # Nearly all lines: data of the layout at hand. Names of fields begin with a small letter.
                if layout is not None and line.count(b" ") == spaces and b"" < line < b"a" and line.__class__ is bytes:
                    yield Record(line, position, layout)
                elif line:
                    if position == 1 or may_be_header(line):
                        header = layout_from_header(line)
                        if header is not None:
                            layout, spaces = header, len(header) - 1
                            continue
                    yield _record(line, position, layout)


def _record(line: bytes, position: int, layout: Layout | None) -> Record | Rejected:
    if isinstance(line, LongLine):
        return Rejected(bytes(line), position, "the line is longer than allowed")
    if line.startswith(_WRAPPED[0]) and line.endswith(_WRAPPED[1]):  # as some collectors write them
        line = line[len(_WRAPPED[0]) : -len(_WRAPPED[1])]
    count = line.count(b" ") + 1
    if is_exported(line):
        own = layout or layout_from_count(count - 1)
        known = own if own is None or own[0] == EXPORT_TIME else _exported(own)
    else:
        known = layout or layout_from_count(count)
    if known is None:
        return Rejected(line, position, f"{count} fields: not a documented layout, and there is no header")
    if len(known) != count:
        return Rejected(line, position, f"{count} fields instead of {len(known)}")
    return Record(line, position, known)


@lru_cache(_MOST_LAYOUTS)
def _exported(layout: Layout) -> Layout:
    """Return the layout of exported lines: the same tuple for all of them, for which encoders are compiled."""
    return (EXPORT_TIME, *layout)
