"""Finds members and values in JSON text without rewriting the rest of it; text that is cut off or no JSON is fine."""

from __future__ import annotations

import re
from collections.abc import Iterator

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\Z)', re.DOTALL)
_SCALAR = re.compile(rb"[^\s,\]}]+")
_BRACKET_OR_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\Z)|[{}\[\]]', re.DOTALL)
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\Z)|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
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


def members(raw: bytes) -> Iterator[tuple[Path, int, int]]:
    """Yield (path, where the member begins, where its value begins) of each member of each object, outer ones first.

    Lists add nothing to a path. Keys are as they are written, without their quotes.
    """
    outer: list[tuple[Path, bool]] = []
    path: Path = ()
    in_object = False
    key, key_at, previous = b"", 0, b""
    for token in _TOKEN.finditer(raw):
        text = token[0]
        is_value = previous == b":"
        if is_value:
            yield (*path, key), key_at, token.start()
        if text in {b"{", b"["}:
            outer.append((path, in_object))
            path = (*path, key) if is_value else path
            in_object = text == b"{"
        elif text in {b"}", b"]"}:
            path, in_object = outer.pop() if outer else ((), False)
        elif in_object and text[:1] == b'"' and previous in {b"{", b","}:
            key, key_at = text[1:-1], token.start()
        previous = text


def in_string(raw: bytes, at: int) -> bool:
    """Whether a place of a JSON text is inside a string."""
    return sum(found[0] == b'"' for found in _QUOTE_OR_ESCAPE.finditer(raw, 0, at)) % 2 == 1


def escape_length(raw: bytes, at: int) -> int:
    r"""How many bytes from `at` on belong to an escape that begins just before it: 0, 1 (`\n`) or 5 (`\u0041`)."""
    start = at
    while start and raw[start - 1 : start] == b"\\":
        start -= 1
    if (at - start) % 2 == 0:
        return 0
    return 5 if raw[at : at + 1] == b"u" else 1


_DEPTHS = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}
