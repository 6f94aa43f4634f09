"""Finds members and values in JSON text without rewriting the rest of it; text that is cut off or no JSON is fine."""

from __future__ import annotations

import re
from collections.abc import Iterator

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\Z)', re.DOTALL)
_SCALAR = re.compile(rb"[^\s,\]}]+")
_BRACKET_OR_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\Z)|[{}\[\]]', re.DOTALL)
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\Z)|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_QUOTE_OR_BRACKET = re.compile(rb'["{}\[\]]')
_NESTED_SCALAR = re.compile(rb'[^\s,\]}"\\]+')
_QUOTE_OR_ESCAPE = re.compile(rb'\\.|"', re.DOTALL)

Path = tuple[bytes, ...]


def value_end(raw: bytes, start: int) -> int:
    """Where the JSON value that begins at `start` ends; the text's end where it is cut off."""
    first = raw[start : start + 1]
    if first == b'"':
        found = _STRING.match(raw, start)
    elif first in {b"{", b"["}:
        depth = 0
        for token in _BRACKET_OR_STRING.finditer(raw, start):
            depth += _DEPTHS.get(token[0], 0)
            if depth == 0:
                return token.end()
        return len(raw)
    else:
        found = _SCALAR.match(raw, start)
    return found.end() if found else start


def nested_value_end(raw: bytes, start: int, escapes: int) -> tuple[int, int]:
    """Return where a JSON value ends that stands at some depth of JSON within strings, and where its content ends.

    A text that is cut off, by its own end or that of an outer string, ends there.

    Args:
        escapes: the backslashes before each quote of the value's depth: 0, 1, 3, 7 …; deeper quotes have more.

    Returns:
        The offset behind the value, and the same without a closing quote.
    """
    first = raw[start : start + escapes + 1]
    if first != b"\\" * escapes + b'"' and raw[start : start + 1] not in {b"{", b"["}:
        scalar = _NESTED_SCALAR.match(raw, start)
        end = scalar.end() if scalar else start
        return end, end
    depth, inside, at, unit = 0, False, start, 2 * (escapes + 1)
    for token in _QUOTE_OR_BRACKET.finditer(raw, start):
        closing = 0
        if token[0] == b'"':
            before = raw[at : token.start()]
            run = len(before) - len(before.rstrip(b"\\"))
            if run % unit == escapes:
                inside = not inside
                closing = escapes + 1
            elif run < escapes:
                return token.start() - run, token.start() - run
        elif not inside:
            depth += _DEPTHS[token[0]]
        at = token.end()
        if not inside and depth <= 0:
            return at, at - closing
    return len(raw), len(raw)


def members(raw: bytes, most: int) -> Iterator[tuple[Path, int, int]]:
    """Yield (path, where the member begins, where its value begins) of each member of each object, outer ones first.

    Lists add nothing to a path. Keys are as they are written, without their quotes.

    Args:
        most: names in a path; deeper members are passed over.
    """
    outer: list[bool] = []
    path: list[bytes] = []
    named: list[bool] = []
    in_object = False
    key, key_at, previous = b"", 0, b""
    for token in _TOKEN.finditer(raw):
        text = token[0]
        is_value = previous == b":"
        if is_value and len(path) < most:
            yield (*path, key), key_at, token.start()
        if text in {b"{", b"["}:
            outer.append(in_object)
            named.append(is_value)
            if is_value:
                path.append(key)
            in_object = text == b"{"
        elif text in {b"}", b"]"}:
            if outer:
                in_object = outer.pop()
                if named.pop():
                    path.pop()
            else:
                in_object = False
        elif in_object and text[:1] == b'"' and previous in {b"{", b","}:
            key, key_at = text[1:-1], token.start()
        previous = text


class Strings:
    """Which places of a JSON text are inside strings; asked for in order, so that the text is read once."""

    def __init__(self, raw: bytes) -> None:
        self._quotes = (mark.start() for mark in _QUOTE_OR_ESCAPE.finditer(raw) if mark[0] == b'"')
        self._next = next(self._quotes, len(raw))
        self._end = len(raw)
        self._inside = False

    def inside(self, at: int) -> bool:
        """Return whether a place is inside a string.

        Args:
            at: not before the place of the last call.
        """
        while self._next < at:
            self._inside = not self._inside
            self._next = next(self._quotes, self._end)
        return self._inside


def escape_length(raw: bytes, at: int) -> int:
    r"""How many bytes from `at` on belong to an escape that begins just before it: 0, 1 (`\n`) or 5 (`\u0041`)."""
    start = at
    while start and raw[start - 1 : start] == b"\\":
        start -= 1
    if (at - start) % 2 == 0:
        return 0
    return 5 if raw[at : at + 1] == b"u" else 1


_DEPTHS = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}
