"""Kibana's query language as Elasticsearch's Query DSL: what detection rules use of it.

https://www.elastic.co/docs/explore-analyze/query-filter/languages/kql
"""

from __future__ import annotations

import re
from typing import Any

_TOKEN = re.compile(r'\s*(?:(?P<mark>[():])|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>(?:[^\s():"\\]|\\.)+))', re.DOTALL)
_WORDS = frozenset({"and", "or", "not"})
Query = dict[str, Any]


def query_of(text: str) -> Query:
    """Translate a query; an unknown form is an AssertionError."""
    parser = _Parser(text)
    found = parser.either("")
    assert parser.at is None, f"not understood from {parser.at} on: {text}"
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        place = 0
        while text[place:].strip():
            found = _TOKEN.match(text, place)
            assert found, text[place:]
            assert found.lastgroup
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            place = found.end()

    @property
    def at(self) -> tuple[str, str] | None:
        return self._tokens[0] if self._tokens else None

    def _is(self, word: str) -> bool:
        kind, text = self.at or ("", "")
        return text.lower() == word and kind != "quoted" and (kind == "mark" or word in _WORDS)

    def _take(self, word: str) -> bool:
        if self._is(word):
            self._tokens.pop(0)
            return True
        return False

    def either(self, field: str) -> Query:
        parts = [self._all(field)]
        while self._take("or"):
            parts.append(self._all(field))
        return parts[0] if len(parts) == 1 else {"bool": {"should": parts, "minimum_should_match": 1}}

    def _all(self, field: str) -> Query:
        parts = [self._one(field)]
        while self._take("and"):
            parts.append(self._one(field))
        return parts[0] if len(parts) == 1 else {"bool": {"filter": parts}}

    def _one(self, field: str) -> Query:
        if self._take("not"):
            return {"bool": {"must_not": [self._one(field)]}}
        if self._take("("):
            inner = self.either(field)
            assert self._take(")"), self.at
            return inner
        kind, text = self._tokens.pop(0)
        if field:
            return _matching(field, kind, text)
        assert self._take(":"), (text, self.at)
        if self._is("("):
            return self._one(text)
        return _matching(text, *self._tokens.pop(0))


def _matching(field: str, kind: str, text: str) -> Query:
    if kind == "word" and text == "*":
        return {"exists": {"field": field}}
    if kind == "word" and re.search(r"(?<!\\)\*", text):
        return {"wildcard": {field: {"value": re.sub(r"\\([^*?\\])", r"\1", text).replace("?", r"\?")}}}
    return {"term": {field: re.sub(r"\\(.)", r"\1", text)}}
