"""Which records are shipped: `filter: drop action == "ACCEPT" and srcaddr in cidr("10.0.0.0/8")`.

A rule is compiled to closures over its parse tree; nothing of its text is ever evaluated. `filters.language` reads it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from shipper.errors import ConfigError
from shipper.filters.language import Check, Field, Node, parse
from shipper.model import Document, Origin, Record
from shipper.ports import Encoder, Schema
from shipper.quoted_lines import QuotedLayout

_MOST_LAYOUTS = 100
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Filter:
    """One rule: which records are kept.

    Attributes:
        text: as it was written.
        names: the fields that it asks for.
    """

    text: str
    keep: bool
    names: tuple[str, ...]
    _node: Node

    def on(self, field: Field) -> Check:
        """Return a function that says whether a record is kept.

        Args:
            field: by a field's name, the function that takes its value out of a record; None for no value, a list
                for several.
        """
        matches = self._node.bind(field)
        return matches if self.keep else lambda record: not matches(record)

    def on_mappings(self) -> Callable[[Mapping[str, Any]], bool]:
        """The rule for records as dicts; names are paths such as `userIdentity.type`."""
        return self.on(_path)

    def on_lines(self, layout: Sequence[str]) -> Callable[[bytes], bool]:
        """The rule for lines of fields separated by spaces, such as flow logs; `-` is no value.

        Args:
            layout: the fields' names in order; `-` and `_` in them are the same. Fields may be quoted where it is a
                `QuotedLayout`.
        """
        columns = {_canonical(name): index for index, name in reversed(list(enumerate(layout)))}

        def field(name: str) -> Callable[[list[str]], str | None]:
            return _column(columns.get(_canonical(name)))

        keeps, taken_apart = self.on(field), _way_apart(layout)
        return lambda line: keeps(taken_apart(line.decode("utf-8", "replace")))

    def on_records(self) -> Callable[[Record], bool]:
        """The rule for records as formats make them: lines where the record has a layout, JSON objects elsewhere.

        A record that is neither is kept, so that it ends where unreadable records end.
        """
        by_layout: dict[tuple[str, ...], Callable[[bytes], bool]] = {}
        on_mappings = self.on_mappings()

        def keeps(record: Record) -> bool:
            layout = record.layout
            if isinstance(layout, tuple):
                on_lines = by_layout.get(layout)
                if on_lines is None:
                    if len(by_layout) >= _MOST_LAYOUTS:
                        by_layout.clear()
                    on_lines = by_layout[layout] = self.on_lines(layout)
                return on_lines(record.raw)
            try:
                fields = orjson.loads(record.raw)
            except orjson.JSONDecodeError:
                return True
            return on_mappings(fields) if isinstance(fields, dict) else True

        return keeps

    def unknown_in(self, names: Collection[str]) -> list[str]:
        """Which of the rule's fields are not among `names`: such a field never has a value."""
        known = {_canonical(name) for name in names}
        return [name for name in self.names if _canonical(name) not in known]


class Filtered:
    """A schema for the records that a rule keeps; the others are counted as filtered.

    Args:
        schema: for the records that are kept.
        on_records: whether a record is kept; `Filter.on_records()` where nothing else is known of it.
    """

    def __init__(self, schema: Schema, on_records: Callable[[Record], bool]) -> None:
        self._schema = schema
        self._keeps = on_records

    def encoder(self, origin: Origin) -> Encoder:
        """As the schema's own, with None for what is filtered out."""
        encode, keeps = self._schema.encoder(origin), self._keeps

        def filtered(record: Record) -> Document | None:
            return encode(record) if keeps(record) else None

        return filtered


def read_filter(text: str, *, known: Collection[str] = ()) -> Filter:
    """Read a rule: `keep` (or nothing) or `drop`, and an expression.

    Args:
        known: all fields that records may have, where that is certain; then any other name is a mistake.

    Raises:
        ConfigError: with the column of the mistake and what was probably meant.
    """
    keep, node, places = parse(text)
    rule = Filter(text, keep, tuple(places), node)
    for name in rule.unknown_in(known) if known else ():
        near = difflib.get_close_matches(name.replace("_", "-"), [other.replace("_", "-") for other in known], n=1)
        hint = f"did you mean {near[0]}?" if near else "there is no such field in these logs"
        raise ConfigError(f"filter, column {places[name]}: unknown field {name}", hint)
    return rule


def values_of(record: Record, names: Collection[str]) -> dict[str, str]:
    """The values that a record has for some fields, as text for people; `null` where it has none."""
    if isinstance(record.layout, tuple):
        parts = _way_apart(record.layout)(record.raw.decode("utf-8", "replace"))
        columns = {_canonical(name): index for index, name in reversed(list(enumerate(record.layout)))}
        found = {name: _column(columns.get(_canonical(name)))(parts) for name in names}
    else:
        try:
            fields = orjson.loads(record.raw)
        except orjson.JSONDecodeError:
            fields = None
        found = {name: _path(name)(fields) if isinstance(fields, dict) else None for name in names}
    return {
        name: (value if isinstance(value, str) else orjson.dumps(value).decode())[:_SHOWN]
        for name, value in found.items()
    }


def _way_apart(layout: Sequence[str]) -> Callable[[str], list[str]]:
    return layout.fields_of if isinstance(layout, QuotedLayout) else lambda line: line.split(" ")


def _canonical(name: str) -> str:
    return name.replace("_", "-").lower()


def _column(index: int | None) -> Callable[[list[str]], str | None]:
    if index is None:
        return lambda _: None

    def value(parts: list[str]) -> str | None:
        text = parts[index] if index < len(parts) else "-"
        return None if text == "-" else text

    return value


def _path(name: str) -> Callable[[Any], Any]:
    keys = name.split(".")
    if len(keys) == 1:
        return lambda record: record.get(name)

    def value(record: Any) -> Any:
        found = [record]
        for key in keys:
            flat = [part for item in found for part in (item if isinstance(item, list) else [item])]
            found = [item[key] for item in flat if isinstance(item, dict) and key in item]
        return found[0] if len(found) == 1 else found

    return value
