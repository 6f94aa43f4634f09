"""Runs ES|QL's queries over documents, stage by stage, and EQL's simple ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from tests.conformance.piped_expressions import Expression, Row, Tokens, condition, sum_of, wildcards

Rows = list[Row]
Stage = Callable[[Rows], Rows]


def row_of(document: dict[str, Any]) -> Row:
    """Make a row of a document: by path its value, or a list of values, as Elasticsearch indexes them."""
    row: dict[str, list[Any]] = {}
    _flatten(document, "", row)
    return {path: values[0] if len(values) == 1 else values for path, values in row.items()}


def _flatten(value: Any, path: str, row: dict[str, list[Any]]) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            _flatten(item, f"{path}.{name}" if path else name, row)
    elif isinstance(value, list):
        for item in value:
            _flatten(item, path, row)
    elif value is not None:
        row.setdefault(path, []).append(value)


def matches(query: str, row: Row, category_field: str = "event.category") -> bool:
    """Return whether an EQL query of one event matches a row: `CATEGORY where CONDITION`."""
    tokens = Tokens(query)
    category = tokens.take()[1]
    tokens.expect("where")
    test = condition(tokens)
    if not tokens.ended:
        raise AssertionError(f"more than a condition: {query}")
    categories = row.get(category_field)
    fits = category == "any" or category in (categories if isinstance(categories, list) else [categories])
    return fits and test(row) is True


def run(query: str, rows: Rows) -> list[tuple[str, Rows]]:
    """Run an ES|QL query; return each stage's name and the rows after it."""
    tokens = Tokens(query)
    while tokens.peek() != "|":
        tokens.take()  # from where, which is `rows`
    stages = []
    while not tokens.ended:
        tokens.expect("|")
        name = tokens.take()[1].lower()
        rows = _STAGES[name](tokens)(rows)
        stages.append((name, rows))
    return stages


def _where(tokens: Tokens) -> Stage:
    test = condition(tokens)
    return lambda rows: [row for row in rows if test(row) is True]


def _eval(tokens: Tokens) -> Stage:
    made: list[tuple[str, Expression]] = []
    while not made or tokens.accept(","):
        name = tokens.take()[1]
        tokens.expect("=")
        made.append((name, condition(tokens)))

    def add(row: Row) -> Row:
        row = dict(row)
        for name, value in made:
            row[name] = value(row)
        return row

    return lambda rows: [add(row) for row in rows]


def _dissect(tokens: Tokens) -> Stage:
    field, pattern = tokens.take()[1], tokens.text()
    first, *parts = re.split(r"%\{([^}]*)\}", pattern)
    keys, marks = parts[::2], parts[1::2]

    def taken(text: Any) -> Row:
        nothing: Row = dict.fromkeys(_named(keys))
        if not isinstance(text, str) or not text.startswith(first):
            return nothing
        at, values = len(first), []
        for mark in marks:
            end = text.find(mark, at) if mark else len(text)
            if end < 0:
                return nothing
            values.append(text[at:end])
            at = end + len(mark)
        return {key: value for key, value in zip(keys, values, strict=True) if key in nothing}

    return lambda rows: [row | taken(row.get(field)) for row in rows]


def _named(keys: Iterable[str]) -> list[str]:
    return [key for key in keys if key and not key.startswith("?")]


def _grok(tokens: Tokens) -> Stage:
    field, pattern = tokens.take()[1], tokens.text()
    names = re.findall(r"\(\?<([\w.]+)>", pattern)
    compiled = re.compile(re.sub(r"\(\?<[\w.]+>", "(", pattern), re.DOTALL)
    if compiled.groups != len(names):
        raise AssertionError(f"groups without names: {pattern}")

    def taken(text: Any) -> Row:
        found = compiled.search(text) if isinstance(text, str) else None
        return dict(zip(names, found.groups() if found else [None] * len(names), strict=True))

    return lambda rows: [row | taken(row.get(field)) for row in rows]


def _keep(tokens: Tokens) -> Stage:
    kept: list[re.Pattern[str]] = []
    while not kept or tokens.accept(","):
        kept.append(re.compile(wildcards(tokens.take()[1])))
    return lambda rows: [
        {name: value for name, value in row.items() if any(one.fullmatch(name) for one in kept)} for row in rows
    ]


def _sort(tokens: Tokens) -> Stage:
    name = tokens.take()[1]
    descending = not tokens.accept("asc") and tokens.accept("desc")
    return lambda rows: sorted(rows, key=lambda row: str(row.get(name)), reverse=descending)


def _several(values: list[Any]) -> list[Any]:
    flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return list(dict.fromkeys(one for one in flat if one is not None))


def _present(values: list[Any]) -> list[Any]:
    return [value for value in values if value is not None]


_AGGREGATES: dict[str, Callable[[list[Any]], Any]] = {
    "count": lambda values: len(_present(values)),
    "count_distinct": lambda values: len(_several(values)),
    "values": lambda values: sorted(_several(values), key=str),
    "sum": lambda values: sum(_present(values)),
    "min": lambda values: min(_present(values), default=None),
    "max": lambda values: max(_present(values), default=None),
}


def _aggregate(tokens: Tokens) -> tuple[str, Callable[[Rows], Any]]:
    name = tokens.take()[1]
    tokens.expect("=")
    function = _AGGREGATES[tokens.take()[1].lower()]
    tokens.expect("(")
    value: Expression = (lambda _: True) if tokens.accept("*") else sum_of(tokens)
    tokens.expect(")")
    test: Expression = condition(tokens) if tokens.accept("where") else lambda _: True
    return name, lambda rows: function([value(row) for row in rows if test(row) is True])


def _stats(tokens: Tokens) -> Stage:
    made: list[tuple[str, Callable[[Rows], Any]]] = []
    while not made or tokens.accept(","):
        made.append(_aggregate(tokens))
    by: list[str] = []
    if tokens.accept("by"):
        while not by or tokens.accept(","):
            by.append(tokens.take()[1])

    def grouped(rows: Rows) -> Rows:
        groups: dict[tuple[Any, ...], Rows] = {}
        for row in rows:
            for key in _keys(row, by):
                groups.setdefault(key, []).append(row)
        return [dict(zip(by, key, strict=True)) | {name: of(some) for name, of in made} for key, some in groups.items()]

    return grouped


def _keys(row: Row, by: list[str]) -> list[tuple[Any, ...]]:
    """Return the groups of a row: one for each value of a field that has several."""
    keys: list[tuple[Any, ...]] = [()]
    for name in by:
        value = row.get(name)
        keys = [(*key, one) for key in keys for one in (value if isinstance(value, list) else [value])]
    return keys


_STAGES: dict[str, Callable[[Tokens], Stage]] = {
    "where": _where,
    "eval": _eval,
    "dissect": _dissect,
    "grok": _grok,
    "keep": _keep,
    "sort": _sort,
    "stats": _stats,
}
