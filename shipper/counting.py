"""Numbers and what they count, in words."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number and what it counts, or does: 1 split, 2,000 splits; 1 letter stays, 2 letters stay.

    Args:
        plural: the words for more than one, where they are not the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def named(names: Sequence[str], number: int = 0) -> str:
    """Return names in a row, and how many more there are.

    Args:
        number: how many there are in all; that of the names where it is less.
    """
    more = number - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more > 0 else "")
