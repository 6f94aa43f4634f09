"""Splits decompressed chunks into lines, in bounded memory whatever the input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

KEPT_BYTES = 4096
"""How much of an over-long line is kept for its dead letter."""


class LongLine(bytes):
    """The beginning of a line that is longer than allowed."""

    __slots__ = ()


def lines(chunks: Iterable[bytes], most_bytes: int) -> Iterator[list[bytes]]:
    """Yield the lines that end in each chunk, without their ends (LF or CRLF).

    Empty lines are among them, so that lines can be counted. A list is as long as its chunk makes it; give chunks of
    some 100 kB.

    Args:
        most_bytes: a longer line comes as LongLine; no more than this is held back for the next chunk.
    """
    rest = b""
    for chunk in chunks:
        found = (rest + chunk).split(b"\n")
        rest = found.pop()
        if len(rest) > most_bytes:
            # Its end may be far away: what is kept stays one byte too long, so that it is known then.
            rest = rest[: most_bytes + 1]
        yield _checked(found, most_bytes)
    if rest:
        yield _checked([rest], most_bytes)


def _checked(found: list[bytes], most_bytes: int) -> list[bytes]:
    if found and max(map(len, found)) > most_bytes:
        found = [LongLine(line[:KEPT_BYTES]) if len(line) > most_bytes else line for line in found]
    if any(line.endswith(b"\r") for line in found):
        return [line.removesuffix(b"\r") if not isinstance(line, LongLine) else line for line in found]
    return found
