"""The expressions of ES|QL and EQL, as far as Elastic's AWS rules use them: the servers of the tests have neither.

Values are None, booleans, numbers, texts, times as texts, and lists where a field has several values.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

Row = dict[str, Any]
Expression = Callable[[Row], Any]

_TOKEN = re.compile(
    r'\s+|//[^\n]*|/\*.*?\*/|(?P<raw>""".*?""")|(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>\d+(?:\.\d+)?)'
    r"|(?P<name>[A-Za-z_@][\w.@]*\*?~?)|(?P<mark>==|!=|>=|<=|[-=<>:(),|+/*])",
    re.DOTALL,
)
_UNITS = {"second": 1, "seconds": 1, "minute": 60, "minutes": 60, "hour": 3600, "hours": 3600}


class Tokens:
    """A query's tokens, read one after the other: (kind, text)."""

    def __init__(self, query: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(query):
            found = _TOKEN.match(query, at)
            if found is None:
                raise AssertionError(f"not a token: {query[at : at + 40]!r}")
            if found.lastgroup is not None:
                self._tokens.append((found.lastgroup, found[0]))
            at = found.end()
        self._at = 0

    @property
    def ended(self) -> bool:
        return self._at == len(self._tokens)

    def peek(self, ahead: int = 0) -> str:
        """Return a coming token in lower case; "" for strings and after the end."""
        at = self._at + ahead
        if at >= len(self._tokens) or self._tokens[at][0] in {"raw", "text"}:
            return ""
        return self._tokens[at][1].lower()

    def take(self) -> tuple[str, str]:
        self._at += 1
        return self._tokens[self._at - 1]

    def accept(self, *words: str) -> bool:
        """Take some words, if they are what comes next."""
        if [self.peek(number) for number in range(len(words))] != list(words):
            return False
        self._at += len(words)
        return True

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise AssertionError(f"{word!r} expected, not {self._tokens[self._at : self._at + 4]}")

    def text(self) -> str:
        kind, token = self.take()
        if kind == "raw":
            return token[3:-3]
        if kind != "text":
            raise AssertionError(f"a string expected, not {token}")
        return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), token[1:-1])


def condition(tokens: Tokens) -> Expression:
    """Parse a condition: true, false, or None as SQL has it."""
    left = _conjunction(tokens)
    while tokens.accept("or"):
        left = _either(left, _conjunction(tokens))
    return left


def _conjunction(tokens: Tokens) -> Expression:
    left = _negation(tokens)
    while tokens.accept("and"):
        left = _both(left, _negation(tokens))
    return left


def _negation(tokens: Tokens) -> Expression:
    if not tokens.accept("not"):
        return _comparison(tokens)
    inner = _negation(tokens)
    return lambda row: None if (value := inner(row)) is None else not value


def _both(left: Expression, right: Expression) -> Expression:
    def both(row: Row) -> Any:
        values = [left(row), right(row)]
        return False if False in values else None if None in values else True

    return both


def _either(left: Expression, right: Expression) -> Expression:
    def either(row: Row) -> Any:
        values = [left(row), right(row)]
        return True if True in values else None if None in values else False

    return either


_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
}


def _comparison(tokens: Tokens) -> Expression:
    left = sum_of(tokens)
    mark = tokens.peek()
    if mark in _COMPARED:
        tokens.take()
        right, compare = sum_of(tokens), _COMPARED[mark]
        return lambda row: _none_for_none(compare, left(row), right(row))
    if tokens.accept("is", "not", "null"):
        return lambda row: left(row) is not None
    if tokens.accept("is", "null"):
        return lambda row: left(row) is None
    negated = tokens.accept("not")
    found = _matching(tokens, left)
    return found if not negated else lambda row: None if (value := found(row)) is None else not value


def _matching(tokens: Tokens, left: Expression) -> Expression:
    """Parse what may follow a value: a list, a pattern, or nothing."""
    if tokens.accept("in"):
        tokens.expect("(")
        choices = _arguments(tokens)
        return lambda row: None if (value := left(row)) is None else value in [choice(row) for choice in choices]
    if tokens.accept("like"):
        return _full_match(left, wildcards(tokens.text()), 0)
    if tokens.accept("rlike"):
        return _full_match(left, tokens.text(), 0)
    if tokens.accept("regex~"):
        return _any_value(_full_match, left, tokens.text())
    if tokens.accept(":"):
        return _any_value(_full_match, left, wildcards(tokens.text()))
    return left


def _any_value(match: Callable[..., Expression], left: Expression, pattern: str) -> Expression:
    """EQL looks at each of several values, in upper or lower case."""
    test = match(lambda row: row["value"], pattern, re.IGNORECASE)

    def matched(row: Row) -> Any:
        value = left(row)
        return None if value is None else any(test({"value": one}) for one in _listed(value))

    return matched


def _full_match(left: Expression, pattern: str, flags: int) -> Expression:
    compiled = re.compile(pattern, flags | re.DOTALL)
    return lambda row: _none_for_none(lambda value, _: compiled.fullmatch(value) is not None, left(row), "")


def wildcards(pattern: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)


def _none_for_none(compare: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """A missing value, or a field of several values, compares to nothing."""
    if left is None or right is None or isinstance(left, list) or isinstance(right, list):
        return None
    return compare(left, right)


def sum_of(tokens: Tokens) -> Expression:
    """Parse a value, with `+`, `-` and `/`."""
    left = _value(tokens)
    while (mark := tokens.peek()) in {"+", "-", "/"}:
        tokens.take()
        left = _calculated(mark, left, _value(tokens))
    return left


def _calculated(mark: str, left: Expression, right: Expression) -> Expression:
    calculate = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "/": lambda a, b: a // b}[mark]
    return lambda row: _none_for_none(calculate, left(row), right(row))


def _value(tokens: Tokens) -> Expression:
    if tokens.accept("("):
        inner = condition(tokens)
        tokens.expect(")")
        return inner
    if tokens.peek() == "":
        text = tokens.text()
        return lambda _: text
    kind, name = tokens.take()
    if kind == "number":
        unit = _UNITS.get(tokens.peek())
        if unit is not None:
            tokens.take()
        number = int(name) * (unit or 1)
        return lambda _: number
    if name.lower() in {"true", "false", "null"}:
        constant = {"true": True, "false": False, "null": None}[name.lower()]
        return lambda _: constant
    if tokens.accept("("):
        return FUNCTIONS[name.lower()](_arguments(tokens))
    return lambda row: row.get(name)


def _arguments(tokens: Tokens) -> list[Expression]:
    arguments: list[Expression] = []
    while not tokens.accept(")"):
        arguments.append(condition(tokens))
        tokens.accept(",")
    return arguments


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _truncated(seconds: int, text: str) -> str:
    at = _moment(text).timestamp()
    return datetime.fromtimestamp(at - at % seconds, UTC).isoformat()


def _applied(function: Callable[..., Any]) -> Callable[[list[Expression]], Expression]:
    """Make a function of values one of expressions; it is None where any argument is."""

    def made(arguments: list[Expression]) -> Expression:
        def call(row: Row) -> Any:
            values = [argument(row) for argument in arguments]
            return None if None in values else function(*values)

        return call

    return made


def _case(arguments: list[Expression]) -> Expression:
    def chosen(row: Row) -> Any:
        for test, value in zip(arguments[::2], arguments[1::2], strict=False):
            if test(row) is True:
                return value(row)
        return arguments[-1](row) if len(arguments) % 2 else None

    return chosen


FUNCTIONS: dict[str, Callable[[list[Expression]], Expression]] = {
    "case": _case,
    "date_trunc": _applied(_truncated),
    "date_format": _applied(lambda _, text: text[:10]),
    "date_diff": _applied(lambda _, first, last: (_moment(last) - _moment(first)).total_seconds()),
    "to_integer": _applied(lambda text: int(text) if str(text).lstrip("-").isdigit() else None),
    "to_lower": _applied(lambda text: text.lower()),
    "from_base64": _applied(lambda text: base64.b64decode(text).decode()),
    "starts_with": _applied(lambda text, beginning: text.startswith(beginning)),
    # Elasticsearch makes a pattern of it, in which rules escape what is no wildcard.
    "stringcontains": _applied(lambda text, part: part.replace("\\*", "*") in text),
    "cidr_match": _applied(
        lambda address, *nets: any(ipaddress.ip_address(address) in ipaddress.ip_network(net) for net in nets)
    ),
}
