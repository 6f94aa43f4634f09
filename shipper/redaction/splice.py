"""Replaces spans of a text in one pass, and reads a text without the escapes that could hide a name in it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

# A printable character other than quote and backslash, written as JSON may write it, at any depth of JSON in strings.
_ESCAPED = re.compile(rb"(?<!\\)\\+(?:u00(2[013-9a-fA-F]|[346][0-9a-fA-F]|5[0-9abd-fABD-F]|7[0-9a-eA-E])|(/))")
_MAYBE_ESCAPED = re.compile(rb"\\u00[2-7]|\\/")


class Span(NamedTuple):
    """A part of a text and what stands in its place afterwards.

    Attributes:
        start, end: byte offsets, the end not included.
    """

    start: int
    end: int
    replacement: bytes


def outermost(spans: Iterable[Span]) -> list[Span]:
    """Return the spans in order, without those that begin within another."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
    return kept


def replaced(raw: bytes, spans: Iterable[Span]) -> bytes:
    """Return the text with each span replaced; linear in the text's length.

    Args:
        spans: in order, not overlapping.
    """
    parts: list[bytes] = []
    at = 0
    for start, end, replacement in spans:
        parts += (raw[at:start], replacement)
        at = end
    parts.append(raw[at:])
    return b"".join(parts)


class Unescaped:
    r"""A JSON text in which printable characters stand for themselves (`\u0070` is `p`, `\/` is `/`).

    Quotes and backslashes stay escaped, so that the text has the same structure. A text that has no such escapes is
    kept as it is.

    Attributes:
        text: what to search.
        raw: what it was made of.
    """

    __slots__ = ("_raw_ends", "_text_ends", "raw", "text")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.text = raw
        self._text_ends: list[int] = []
        self._raw_ends: list[int] = []
        if not _MAYBE_ESCAPED.search(raw):
            return
        parts: list[bytes] = []
        at = length = 0
        for escape in _ESCAPED.finditer(raw):
            parts += (raw[at : escape.start()], b"/" if escape[2] else bytes([int(escape[1], 16)]))
            length += escape.start() - at + 1
            at = escape.end()
            self._text_ends.append(length)
            self._raw_ends.append(at)
        parts.append(raw[at:])
        self.text = b"".join(parts)

    def in_raw(self, span: Span) -> Span:
        """Return a span of `text` as one of `raw`."""
        if not self._text_ends:
            return span
        return Span(self._start(span.start), self._end(span.end), span.replacement)

    def _start(self, at: int) -> int:
        index = bisect_right(self._text_ends, at) - 1
        before = (self._text_ends[index], self._raw_ends[index]) if index >= 0 else (0, 0)
        return before[1] + at - before[0]

    def _end(self, at: int) -> int:
        """Return the place behind the character before `at`, behind its whole escape where it has one."""
        index = bisect_right(self._text_ends, at) - 1
        if index >= 0 and self._text_ends[index] == at:
            return self._raw_ends[index]
        return self._start(at - 1) + 1
