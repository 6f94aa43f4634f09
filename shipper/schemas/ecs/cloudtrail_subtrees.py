"""The open-ended parts of a CloudTrail record, as the text that detection rules match and as flattened fields.

The text is a Java map's, `{a=b, c={d=e}}`, as Elastic's AWS integration writes it: empty values are left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson
from msgspec import Raw

from shipper.schemas.cloudtrail_record import loaded

MOST_TERM_BYTES = 32_766
"""Lucene's longest term (https://www.elastic.co/docs/reference/elasticsearch/mapping-reference/ignore-above)."""

CUT = "…[cut]"
_EMPTY = frozenset({"", "-", "none"})
_NOTHING = frozenset({b"", b"null", b"{}", b'""', b"[]"})
_LONGEST_CACHED = 256
_MOST_CACHED = 8_192
_SHORT = 8_000
_MOST_BRACKETS = 40
_DEEPEST = 20
_MOST_PUNCTUATION = 20_000
# Compact, without empty objects and lists, nulls and fractions.
_PLAIN = re.compile(r"(?:\{(?!\})|\[(?!\])|[}\],:]|true|false|-?\d+(?![\d.eE]))*")


class Subtree:
    """One part of a record.

    Attributes:
        text: as rules match it; "" where nothing is left.
        flattened: what goes under `aws.cloudtrail.flattened`: an orjson fragment, a dict, or None.
    """

    __slots__ = ("_raw", "_strings", "_tree", "flattened", "text")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._tree: Any = None
        self._strings: set[str] | None = None
        self.text = ""
        self.flattened: Any = None
        if len(raw) < _SHORT and raw[:1] == b"{" and self._write_quickly():
            return
        self._write()

    @property
    def tree(self) -> dict[str, Any]:
        """The part as a dict, without empty values; empty where it is no object."""
        if self._tree is None:
            self._tree = _loaded(self._raw)
        return self._tree if type(self._tree) is dict else {}

    def lacks(self, names: Iterable[str]) -> bool:
        """Whether none of some names is a key of it; may be wrong in saying no."""
        strings = self._strings
        return strings.isdisjoint(names) if strings is not None else self.tree.keys().isdisjoint(names)

    def without(self, key: str) -> Subtree:
        """The same with a key taken out of the text; it stays in what is flattened."""
        rest = {name: value for name, value in self.tree.items() if name != key}
        other = Subtree(b"")
        other._raw, other._tree, other.flattened = self._raw, self.tree, self.flattened
        other.text = cut(written(rest)) if rest else ""
        return other

    def _write_quickly(self) -> bool:
        """Write the usual case from the bytes: what stands between the quotes is translated by a table."""
        raw = self._raw
        if b"\\" in raw or raw.count(b"{") + raw.count(b"[") > _MOST_BRACKETS:
            return False
        parts = raw.decode().split('"')
        strings = parts[1::2]
        names = set(strings)
        if not _EMPTY.isdisjoint(names):
            return False
        try:
            parts[::2] = map(_PUNCTUATION.__getitem__, parts[::2])
        except KeyError:
            return False
        self.text = "".join(parts)
        self._strings = names
        if len(names) == len(strings):
            self.flattened = orjson.Fragment(raw)
        else:  # a key may stand twice in one object, which Elasticsearch refuses
            self.flattened = self._tree = orjson.loads(raw)
        return True

    def _write(self) -> None:
        tree = cleaned(_loaded(self._raw)) if self._raw else None
        self._tree = {} if tree is None else tree
        if tree is None:
            return
        text = written(tree)
        self.text = text if len(text) < _SHORT else cut(text)
        if type(tree) is dict:
            self.flattened = tree if len(self._raw) < _SHORT else _bounded(tree, MOST_TERM_BYTES - 1_000)


class _Punctuation(dict[str, str]):
    """What stands between two strings in compact JSON → what stands there in a Java map's text."""

    def __missing__(self, part: str) -> str:
        if _PLAIN.fullmatch(part) is None:
            raise KeyError(part)
        text = part.replace(":", "=").replace(",", ", ")
        if len(self) < _MOST_PUNCTUATION:
            self[part] = text
        return text


_PUNCTUATION = _Punctuation()


def subtree(raw: Raw) -> Subtree | None:
    """A part of a record, or None where it is absent or empty. Shared between equal parts: never change it.

    Raises:
        BadInputError: it is no JSON.
    """
    data = bytes(raw)
    size = len(data)
    if size <= 4 and data in _NOTHING:
        return None
    found = _short(data) if size <= _LONGEST_CACHED else Subtree(data)
    return found if found.text else None


# Many calls have the same parameters as others, such as a page's size.
_short = lru_cache(_MOST_CACHED)(Subtree)


def cleaned(value: Any, depth: int = 0) -> Any:
    """The value without what is empty (null, "", "-", "none", {} and []); None where nothing is left.

    What is nested too deeply for a flattened field becomes text.
    """
    kind = type(value)
    if kind is str:
        return None if value in _EMPTY else value
    if kind is dict:
        if depth >= _DEEPEST:
            return _as_text(value)
        kept = {}
        for key, item in value.items():
            if type(item) is not str:
                item = cleaned(item, depth + 1)  # noqa: PLW2901 - the cleaned one is the item
            elif item in _EMPTY:
                continue
            if item is not None:
                kept[key if "\0" not in key else key.replace("\0", "")] = item
        return kept or None
    if kind is list:
        if depth >= _DEEPEST:
            return _as_text(value)
        return [item for item in (cleaned(item, depth + 1) for item in value) if item is not None] or None
    if kind is float and not math.isfinite(value):
        return str(value)
    if kind is int and not -(1 << 63) <= value < 1 << 63:
        return str(value)
    return value


def written(value: Any) -> str:
    """A cleaned value as Java's `toString` writes it."""
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is dict:
        return (
            "{"
            + ", ".join([f"{key}={item if type(item) is str else written(item)}" for key, item in value.items()])
            + "}"
        )
    if kind is list:
        return "[" + ", ".join([item if type(item) is str else written(item) for item in value]) + "]"
    if kind is bool:
        return "true" if value else "false"
    return _java_float(value) if kind is float else str(value)


def cut(text: str, most_bytes: int = MOST_TERM_BYTES) -> str:
    """The text within a number of UTF-8 bytes, with a mark where it was cut."""
    if len(text) * 4 <= most_bytes:
        return text
    data = text.encode("utf-8", "replace")
    if len(data) <= most_bytes:
        return text
    return data[: most_bytes - len(CUT.encode())].decode("utf-8", "ignore") + CUT


def _bounded(value: Any, room: int) -> Any:
    """A tree whose leaves make terms within bounds: a flattened field's term is the path and the value together."""
    if type(value) is str:
        return cut(value, room)
    if type(value) is list:
        return [_bounded(item, room) for item in value]
    if type(value) is not dict:
        return value
    bounded = {}
    for key, item in value.items():
        name = cut(key, 256)
        left = room - len(name.encode()) - 1
        bounded[name] = _bounded(item, left)
    return bounded


def _as_text(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except (TypeError, ValueError, RecursionError):
        return CUT


def _loaded(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except ValueError:
        return loaded(raw)


def _java_float(value: float) -> str:
    """As `Double.toString` writes it: plain from 10^-3 up to 10^7, else with an exponent."""
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    first, *rest = map(str, digits)
    return f"{'-' * sign}{first}.{''.join(rest) or '0'}E{int(exponent) + len(rest)}"
