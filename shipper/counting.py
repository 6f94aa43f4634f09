"""Numbers and what they count, in words."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SINGULAR = {"are": "is", "were": "was", "have": "has", "hold": "holds", "their": "its", "them": "it", "they": "it"}
_NOUN = re.compile(r"s\b")
_PLURAL = re.compile(rf"\b({'|'.join(_SINGULAR)})\b")


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


def agreeing(number: int, words: str) -> str:
    """Return a number and a sentence about it: for 1, "objects are gone, and are left" becomes "object is gone, …".

    Args:
        words: a sentence of ours that begins with a plural.
    """
    if number == 1:
        noun = _NOUN.sub("", words, count=1)
        words = _PLURAL.sub(lambda found: _SINGULAR[found[0]], noun)
    return f"{number:,} {words}"
