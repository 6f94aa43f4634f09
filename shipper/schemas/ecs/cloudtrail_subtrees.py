"""The open-ended parts of a CloudTrail record, as the text that detection rules match and as flattened fields.

The text is a Java map's, `{a=b, c={d=e}}`, as Elastic's AWS integration writes it: in the order of a `HashMap`, which
rules count on, without empty values, which count for that order all the same.
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
from shipper.schemas.ecs.java_maps import in_order

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
# Compact, without empty objects and lists, nulls, fractions and numbers that some readers take for fractions.
_PLAIN = re.compile(r"(?:\{(?!\})|\[(?!\])|[}\],:]|true|false|-?\d{1,18}(?![\d.eE]))*")
_LONG_NUMBER = re.compile(rb"\d{19}")


class Subtree:
    """One part of a record.

    Attributes:
        text: as rules match it; "" where nothing is left.
        flattened: what goes under `aws.cloudtrail.flattened`: an orjson fragment, a dict, or None.
    """

    __slots__ = ("_raw", "_tree", "flattened", "text")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._tree: Any = None
        self.text = ""
        self.flattened: Any = None
        if len(raw) < _SHORT and raw[:1] == b"{" and self._write_quickly():
            return
        self._write()

    @property
    def tree(self) -> dict[str, Any]:
        """The part as a dict, without empty values; empty where it is no object."""
        return self._tree if type(self._tree) is dict else {}

    def lacks(self, names: Iterable[str]) -> bool:
        """Whether none of some names is a key of it."""
        return self.tree.keys().isdisjoint(names)

    def without(self, key: str) -> Subtree:
        """The same with a key taken out of the text; it stays in what is flattened."""
        other = Subtree(b"")
        other._raw, other._tree, other.flattened = self._raw, self._tree, self.flattened
        whole = _loaded(self._raw)
        other.text = cut(_map_text(whole, 0, key)) if type(whole) is dict else self.text
        return other

    def _write_quickly(self) -> bool:
        """Take the usual case as it is, after a look at what stands between the quotes: nothing in it is empty."""
        raw = self._raw
        if b"\\" in raw or raw.count(b"{") + raw.count(b"[") > _MOST_BRACKETS:
            return False
        parts = raw.decode().split('"')
        strings = parts[1::2]
        names = set(strings)
        if not _EMPTY.isdisjoint(names):
            return False
        if not _PLAIN_PARTS.issuperset(parts[::2]) and not all(map(_is_plain, parts[::2])):
            return False
        self._tree = orjson.loads(raw)
        self.text = written(self._tree)
        # A key may stand twice in one object, which Elasticsearch refuses.
        self.flattened = orjson.Fragment(raw) if len(names) == len(strings) else self._tree
        return True

    def _write(self) -> None:
        whole = _loaded(self._raw) if self._raw else None
        tree = cleaned(whole)
        self._tree = {} if tree is None else tree
        if tree is None:
            return
        text = written(whole)
        self.text = text if len(text) < _SHORT else cut(text)
        if type(tree) is dict:
            self.flattened = tree if len(self._raw) < _SHORT else _bounded(tree, MOST_TERM_BYTES - 1_000)


_PLAIN_PARTS: set[str] = set()


def _is_plain(part: str) -> bool:
    """Whether what stands between two strings is compact, and no value in it is empty or needs to be written anew."""
    if part in _PLAIN_PARTS:
        return True
    if _PLAIN.fullmatch(part) is None:
        return False
    if len(_PLAIN_PARTS) < _MOST_PUNCTUATION:
        _PLAIN_PARTS.add(part)
    return True


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


def written(value: Any, depth: int = 0) -> str:
    """A value as Java's `toString` writes it, without what is empty; "" where nothing is left."""
    kind = type(value)
    if kind is str:
        return "" if value in _EMPTY else str(value)
    if kind is dict:
        return _map_text(value, depth)
    if kind is list:
        if depth >= _DEEPEST:
            return _as_text(value)
        texts = [text for item in value if (text := written(item, depth + 1))]
        return "[" + ", ".join(texts) + "]" if texts else ""
    if value is None:
        return ""
    if kind is bool:
        return "true" if value else "false"
    return _java_float(value) if kind is float else str(value)


def _map_text(value: dict[str, Any], depth: int, left_out: str | None = None) -> str:
    """The same for a map.

    Args:
        left_out: a key of it that is not written, though the map once had it.
    """
    if depth >= _DEEPEST:
        return _as_text(value)
    texts = []
    for key in in_order(value.keys()):
        item = value[key]
        text = written(item, depth + 1) if type(item) is not str else "" if item in _EMPTY else item
        if text and key != left_out:
            texts.append(f"{key}={text}")
    return "{" + ", ".join(texts) + "}" if texts else ""


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
    if _LONG_NUMBER.search(raw) is not None:
        return loaded(raw)  # Java keeps all its digits
    try:
        return orjson.loads(raw)
    except ValueError:
        return loaded(raw)


def _java_float(value: float) -> str:
    """As `Double.toString` writes it: plain from 10^-3 up to 10^7, else with an exponent."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    first, *rest = map(str, digits)
    return f"{'-' * sign}{first}.{''.join(rest) or '0'}E{int(exponent) + len(rest)}"
