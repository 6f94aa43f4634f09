"""What a filter can ask of one value; text and numbers meet halfway, as logs write the same number both ways."""

from __future__ import annotations

import ipaddress
import operator
import re
import socket
from collections.abc import Callable, Sequence
from typing import Any

Literal = str | int | float | bool | None
Test = Callable[[Any], bool]
Network = tuple[int, int, int]
"""(family, mask, network) of packed addresses read as numbers."""

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
TEXT_TESTS: dict[str, Callable[[str, str], bool]] = {
    "contains": operator.contains,
    "startswith": str.startswith,
    "endswith": str.endswith,
}

_NUMBER = re.compile(r"-?[0-9]{1,300}(?:\.[0-9]{1,300})?")
_MOST_ADDRESSES = 20_000


def number_of(value: Any) -> int | float | None:
    """A value as a number: numbers, and text that is one; None for all else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value) if "." in value else int(value)
    return None


def text_of(value: Any) -> str | None:
    """A value as text: text, numbers, and truth as `true` or `false`; None for all else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None


def equal_to(literal: Literal) -> Test:
    """Whether a value is the literal."""
    return one_of([literal])


def one_of(literals: Sequence[Literal]) -> Test:
    """Whether a value is one of the literals."""
    texts = {text for text in map(text_of, literals) if text is not None}
    numbers = {literal for literal in literals if isinstance(literal, int | float) and not isinstance(literal, bool)}
    nothing = None in literals

    def test(value: Any) -> bool:
        if value is None:
            return nothing
        if isinstance(value, str):
            # Text that is written as the literal is, or as another way to write its number (`22` and `22.0`).
            return value in texts or (bool(numbers) and number_of(value) in numbers)
        return text_of(value) in texts or (bool(numbers) and number_of(value) in numbers)

    return test


def comparison(sign: str, literal: str | float) -> Test:
    """Whether a value is less or more: as numbers where the literal is one, else as text (ISO times, for one)."""
    compare = COMPARISONS[sign]
    if isinstance(literal, str):

        def by_text(value: Any) -> bool:
            text = text_of(value)
            return text is not None and compare(text, literal)

        return by_text

    def by_number(value: Any) -> bool:
        number = number_of(value)
        return number is not None and compare(number, literal)

    return by_number


def text_test(name: str, literal: str) -> Test:
    """Whether a value contains the literal, or begins or ends with it."""
    compare = TEXT_TESTS[name]

    def test(value: Any) -> bool:
        text = text_of(value)
        return text is not None and compare(text, literal)

    return test


def network(text: str) -> Network:
    """Read a network or a single address.

    Raises:
        ValueError: in words for the user.
    """
    try:
        found = ipaddress.ip_network(text)
    except ValueError as error:
        try:
            meant = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError(f"{text!r} is no network") from error
        raise ValueError(f"{text!r} is an address within a network; the network is {str(meant)!r}") from error
    return found.version, int(found.netmask), int(found.network_address)


def in_networks(networks: Sequence[Network]) -> Test:
    """Whether a value is an address within one of the networks; text that is no address is in none."""
    known: dict[str, bool] = {}

    def test(value: Any) -> bool:
        if not isinstance(value, str):
            return False
        found = known.get(value)
        if found is None:
            if len(known) >= _MOST_ADDRESSES:
                known.clear()
            found = known[value] = _within(value, networks)
        return found

    return test


def _within(address: str, networks: Sequence[Network]) -> bool:
    version = 6 if ":" in address else 4
    try:
        number = int.from_bytes(socket.inet_pton(socket.AF_INET6 if version == 6 else socket.AF_INET, address), "big")
    except (OSError, ValueError):
        return False
    return any(family == version and number & mask == base for family, mask, base in networks)
