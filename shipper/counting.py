"""Numbers and what they count, in words."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """A number and what it counts: 1 split, 2,000 splits."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
