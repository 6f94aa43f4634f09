"""Text from outside, made safe for a terminal and for a log of one line an event."""

from __future__ import annotations

MOST_CHARACTERS = 1_000


def printable(text: str, bound: int = MOST_CHARACTERS) -> str:
    """The text on one line: cut to a bound of characters, control characters and lone surrogates escaped."""
    if len(text) > bound:
        text = f"{text[:bound]}… ({len(text)} characters)"
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
