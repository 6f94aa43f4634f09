"""The language of filters: text → a tree of tests, which binds itself to a way of getting at fields.

    rule       = ["keep" | "drop"] either
    either     = both {"or" both}
    both       = single {"and" single}
    single     = "not" single | "(" either ")" | test
    test       = NAME ("==" | "!=" | "<" | "<=" | ">" | ">=") value
               | NAME ["not"] ("contains" | "startswith" | "endswith") TEXT
               | NAME ["not"] "in" ("[" value {"," value} "]" | "cidr" "(" TEXT {"," TEXT} ")")
    value      = TEXT | NUMBER | "true" | "false" | "null"

A field without a value equals null and nothing else, and is neither less nor more than anything; `!=` and `not in` are
the opposites of `==` and `in`. A field with several values passes a test if one of them does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from shipper.errors import ConfigError
from shipper.filters.checks import (
    COMPARISONS,
    TEXT_TESTS,
    Literal,
    Test,
    comparison,
    equal_to,
    in_networks,
    network,
    one_of,
    text_test,
)

Check = Callable[[Any], bool]
Field = Callable[[str], Callable[[Any], Any]]

MOST_CHARACTERS = 20_000
MOST_DEPTH = 50
MOST_DIGITS = 300

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<number>-?\d+(?:\.\d+)?(?![\w.-]))"""
    r"""|(?P<word>[A-Za-z_][\w.-]*)|(?P<bare>[\w./:-]+)|(?P<sign>==|!=|<=|>=|&&|\|\||[<>()\[\],=!])|(?P<end>$)|(?P<odd>.))""",
    re.DOTALL | re.ASCII,
)
_WORDS = {"and", "or", "not", "in", "keep", "drop", "cidr", "true", "false", "null", *TEXT_TESTS}
_INSTEAD = {"=": "write == for equality", "&&": "write and", "||": "write or", "!": "write not"}
_ADDRESSES = frozenset({"srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr", "sourceIPAddress"})
"""Fields that hold single addresses: a network as text would silently match none of them."""
_NETWORK = re.compile(r"[0-9A-Fa-f.:]+/\d{1,3}")
_CONSTANTS: dict[str, Literal] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class FieldNode:
    """A test of one field."""

    name: str
    test: Test

    def bind(self, field: Field) -> Check:
        """Return the test of a record whose fields `field` gets."""
        get, test = field(self.name), self.test

        def check(record: Any) -> bool:
            value = get(record)
            if isinstance(value, list):
                return any(map(test, value)) if value else test(None)
            return test(value)

        return check


@dataclass(frozen=True, slots=True)
class NotNode:
    """The opposite."""

    node: Node

    def bind(self, field: Field) -> Check:
        """Return the opposite of the node's own check."""
        check = self.node.bind(field)
        return lambda record: not check(record)


@dataclass(frozen=True, slots=True)
class ManyNode:
    """All of several (and), or any of them (or); decided by the first that can."""

    every: bool
    nodes: tuple[Node, ...]

    def bind(self, field: Field) -> Check:
        """Return the checks of all nodes as one."""
        checks = [node.bind(field) for node in self.nodes]
        if self.every:
            return lambda record: all(check(record) for check in checks)
        return lambda record: any(check(record) for check in checks)


Node = FieldNode | NotNode | ManyNode


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int


def parse(text: str) -> tuple[bool, Node, dict[str, int]]:
    """Read a rule.

    Returns:
        Whether what matches is kept; the expression; its fields, each with the column where it stands first.

    Raises:
        ConfigError: with the column (from 1) of the mistake.
    """
    return _Parser(text).rule()


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while not tokens or tokens[-1].kind != "end":
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:  # the pattern's last branches take anything
            raise AssertionError(text[at:])
        kind, at = found.lastgroup, found.end()
        tokens.append(_Token(kind, found[kind], found.start(kind) + 1))
    return tokens


class _Parser:
    def __init__(self, text: str) -> None:
        if len(text) > MOST_CHARACTERS:
            raise ConfigError(f"filter: longer than {MOST_CHARACTERS} characters", "put addresses into wider networks")
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0
        self._names: dict[str, int] = {}

    def rule(self) -> tuple[bool, Node, dict[str, int]]:
        keep = not self._took("drop")
        if keep:
            self._took("keep")
        node = self._either()
        if self._next.kind != "end":
            self._fail(f"{self._next.text} is not expected here", "join tests with and, or")
        return keep, node, self._names

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _took(self, text: str) -> bool:
        if self._next.kind in {"word", "sign"} and self._next.text == text:
            self._at += 1
            return True
        return False

    def _need(self, text: str) -> None:
        if not self._took(text):
            self._fail(f"{text} is expected here" + (f", not {self._next.text}" if self._next.text else ""))

    def _fail(self, what: str, hint: str = "") -> NoReturn:
        token = self._next
        if token.kind == "odd" and token.text in "\"'":
            what, hint = "this text has no end", f"close it with {token.text}"
        raise ConfigError(
            f"filter, column {token.column}: {what}",
            _INSTEAD.get(token.text) or hint or 'such as: drop action == "ACCEPT" and dstport in [80, 443]',
        )

    def _either(self) -> Node:
        nodes = [self._both()]
        while self._took("or"):
            nodes.append(self._both())
        return nodes[0] if len(nodes) == 1 else ManyNode(every=False, nodes=tuple(nodes))

    def _both(self) -> Node:
        nodes = [self._single()]
        while self._took("and"):
            nodes.append(self._single())
        return nodes[0] if len(nodes) == 1 else ManyNode(every=True, nodes=tuple(nodes))

    def _single(self) -> Node:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            self._fail("too deeply nested", "use fewer parentheses")
        node = self._inner()
        self._depth -= 1
        return node

    def _inner(self) -> Node:
        if self._took("not"):
            return NotNode(self._single())
        if self._took("("):
            node = self._either()
            self._need(")")
            return node
        return self._test()

    def _test(self) -> Node:
        name = self._next
        if name.kind != "word" or name.text in _WORDS:
            what = f"{name.text} is no field" if name.text else "a field is expected here"
            self._fail(what, "the field stands on the left: dstport == 22" if name.kind in {"text", "number"} else "")
        self._at += 1
        self._names.setdefault(name.text, name.column)
        sign = self._next.text
        if sign in {"==", "!=", *COMPARISONS}:
            self._at += 1
            value = self._value()
            if sign in COMPARISONS:
                if value is None or isinstance(value, bool):
                    self._at -= 1
                    self._fail(f"nothing is more or less than {self._next.text}")
                return FieldNode(name.text, comparison(sign, value))
            self._refuse_networks(name.text, [value])
            equal = FieldNode(name.text, equal_to(value))
            return equal if sign == "==" else NotNode(equal)
        opposite = self._took("not")
        node = FieldNode(name.text, self._membership(name.text))
        return NotNode(node) if opposite else node

    def _membership(self, name: str) -> Test:
        word = self._next
        if word.kind == "word" and word.text in TEXT_TESTS:
            self._at += 1
            return text_test(word.text, self._text())
        if not self._took("in"):
            self._fail("a test is expected here: ==, !=, <, <=, >, >=, in, contains, startswith or endswith")
        if self._took("cidr"):
            self._need("(")
            networks = [self._network()]
            while self._took(","):
                networks.append(self._network())
            self._need(")")
            return in_networks(networks)
        self._need("[")
        values = [self._value()]
        while self._took(","):
            values.append(self._value())
        self._need("]")
        self._refuse_networks(name, values)
        return one_of(values)

    def _refuse_networks(self, name: str, values: list[Literal]) -> None:
        """After the values of a field that holds addresses."""
        if name.replace("_", "-") in _ADDRESSES:
            for value in values:
                if isinstance(value, str) and _NETWORK.fullmatch(value):
                    self._at -= 1
                    self._fail(f"no single address equals the network {value}", f'write {name} in cidr("{value}")')

    def _value(self) -> Literal:
        token = self._next
        if token.kind == "text":
            return self._text()
        if token.kind == "word" and token.text in _CONSTANTS:
            self._at += 1
            return _CONSTANTS[token.text]
        if token.kind != "number" or len(token.text) > MOST_DIGITS:
            hint = f'put text into quotes: "{token.text}"' if token.kind in {"word", "bare"} else ""
            if _NETWORK.fullmatch(token.text):
                hint = f'a network is written as in cidr("{token.text}")'
            self._fail("a value is expected here" + (f", not {token.text}" if token.text else ""), hint)
        self._at += 1
        return float(token.text) if "." in token.text else int(token.text)

    def _text(self) -> str:
        token = self._next
        if token.kind != "text":
            self._fail("text in quotes is expected here")
        self._at += 1
        return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)

    def _network(self) -> tuple[int, int, int]:
        token = self._next
        text = self._text()
        try:
            return network(text)
        except ValueError as error:
            self._at -= 1
            raise ConfigError(f"filter, column {token.column}: {error}", 'such as cidr("10.0.0.0/8")') from error
