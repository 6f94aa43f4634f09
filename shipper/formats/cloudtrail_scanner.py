"""Takes the records out of a JSON document of any size, piece by piece, in memory of about one record.

It looks at brackets and strings only; whether a record is JSON at all is for its reader to find out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from shipper.errors import BadInputError
from shipper.formats.lines import KEPT_BYTES

# All up to the next bracket, or up to a string that does not end in this piece; in steps, since each repetition takes
# memory. Not with possessive repetitions, which take none: CPython matches them wrongly before 3.11.5 (gh-106052).
_QUIET = re.compile(rb'(?:[^"{}\[\]]+|"[^"\\]*(?:\\.[^"\\]*){0,100}"){0,1000}', re.DOTALL)
_STRING = re.compile(rb'[^"\\]*(?:\\.[^"\\]*){0,1000}', re.DOTALL)
_RECORDS = re.compile(rb'"Records"\s*:\s*\Z')
_OPENING = b"{["
_BRACKETS = b"{}[]"
_QUOTE, _BACKSLASH = b'"\\'
_NONE = 1 << 62
# What may stand before the bracket of Records and still be recognised as its name.
_NAME_BYTES = 1_024
# No log is nested so deep. A bracket costs microseconds, and a small gzip object holds half a billion of them.
_DEEPEST = 200_000


class Overlong(bytes):
    """The beginning of a record that is longer than allowed."""

    __slots__ = ()


class Junk(bytes):
    """Something between records that is none, such as a number."""

    __slots__ = ()


class RecordScanner:
    """Finds the elements of `Records` in objects, of arrays, and objects that stand alone, in any sequence.

    Args:
        most_bytes: no more of a record is held back; a longer one comes as Overlong.

    Attributes:
        seen_records: whether there was a list that may hold records, though it be empty.
    """

    def __init__(self, most_bytes: int) -> None:
        self.seen_records = False
        self._most_bytes = most_bytes
        self._buffer = b""
        self._at = 0  # scanned up to here
        self._depth = 0
        self._in_string = False
        self._level = 1  # the depth that a record's own bracket makes
        self._start: int | None = None  # of the record at hand
        self._kept = b""  # the beginning of a record that is too long
        self._mark = 0  # the end of the bracket before
        self._alone = True  # the outermost object has shown no Records yet

    @property
    def complete(self) -> bool:
        """Whether the bytes so far end between records."""
        return self._depth == 0 and not self._in_string and not self._buffer[max(self._mark, 0) :].strip(b" \t\r\n,")

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the records that end in a piece, unchanged, or as Overlong or Junk.

        Raises:
            BadInputError: it is nested too deep to be a log.
        """
        self._buffer += piece
        while self._advance():
            if (found := self._bracket()) is not None:
                yield from found
        self._forget()

    def _advance(self) -> bool:
        """Go to the next bracket; false where this piece has none."""
        buffer = self._buffer
        while True:
            if self._in_string:
                self._at = _end(_STRING, buffer, self._at)
                if self._at + 1 < len(buffer) and buffer[self._at] == _BACKSLASH:
                    continue  # a step further
                if self._at >= len(buffer) or buffer[self._at] != _QUOTE:
                    return False  # the string goes on; a backslash at the very end waits for what it escapes
                self._in_string = False
                self._at += 1
            self._at = _end(_QUIET, buffer, self._at)
            if self._at >= len(buffer):
                return False
            if buffer[self._at] in _BRACKETS:
                return True
            if buffer[self._at] == _QUOTE:
                self._in_string = True
                self._at += 1

    def _bracket(self) -> list[bytes] | None:
        at, mark = self._at, self._mark
        self._at = self._mark = at + 1
        if self._buffer[at] in _OPENING:
            self._depth += 1
            if self._depth > _DEEPEST:
                raise BadInputError(f"nested deeper than {_DEEPEST:,} levels")
            if self._depth == 1:
                return self._outermost(at, mark)
            if self._depth == 2 and self._alone and self._is_records(at, mark):
                self._alone, self._level, self._start, self._kept = False, 3, None, b""
                self.seen_records = True
                return None
            if self._depth == self._level:
                self._start = at
                return self._junk(mark, at)
            return None
        if self._depth == 0:
            return [Junk(self._buffer[at : at + 1])]
        self._depth -= 1
        if self._depth == self._level - 1 and (self._start is not None or self._kept):
            return [self._record(at + 1)]
        ended = self._depth == self._level - 2
        if self._depth == 0:
            self._level, self._alone = 1, True
        elif ended:
            self._level = _NONE  # nothing else in this object is a record
        return self._junk(mark, at) if ended else None

    def _outermost(self, at: int, mark: int) -> list[bytes]:
        junk = self._junk(mark, at)
        self._alone = self._buffer[at : at + 1] == b"{"
        self._level = 1 if self._alone else 2
        self.seen_records |= not self._alone
        self._start = at if self._alone else None
        return junk

    def _is_records(self, at: int, mark: int) -> bool:
        before = self._buffer[max(mark, at - _NAME_BYTES) : at]
        return self._buffer[at : at + 1] == b"[" and _RECORDS.search(before) is not None

    def _junk(self, mark: int, at: int) -> list[bytes]:
        between = self._buffer[max(mark, 0) : at].strip(b" \t\r\n,")
        return [Junk(between[:KEPT_BYTES])] if between else []

    def _record(self, end: int) -> bytes:
        start, kept = self._start, self._kept
        self._start, self._kept = None, b""
        if kept:
            return Overlong(kept)
        record = self._buffer[start:end]
        return record if len(record) <= self._most_bytes else Overlong(record[:KEPT_BYTES])

    def _forget(self) -> None:
        """Drop what no record needs any more."""
        keep = self._at
        if self._start is not None:
            if self._at - self._start > self._most_bytes:
                self._kept, self._start = self._buffer[self._start : self._start + KEPT_BYTES], None
            else:
                keep = self._start
        elif not self._kept:
            keep = max(self._mark, self._at - _NAME_BYTES)
        self._buffer = self._buffer[keep:]
        self._at -= keep
        self._mark -= keep
        if self._start is not None:
            self._start -= keep


def _end(pattern: re.Pattern[bytes], buffer: bytes, at: int) -> int:
    found = pattern.match(buffer, at)
    return found.end() if found else at
