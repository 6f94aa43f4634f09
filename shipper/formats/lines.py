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
    kept = min(KEPT_BYTES, most_bytes + 1)
    for chunk in chunks:
        data = rest + chunk
        found = data.split(b"\n")
        rest = found.pop()
        if len(data) > most_bytes:
            found = [LongLine(line[:kept]) if len(line) > most_bytes else line for line in found]
            # The end of an over-long line may be far away: what is kept stays one byte too long, to be known then.
            rest = rest[: most_bytes + 1]
        yield _stripped(found) if b"\r" in data else found
    if rest:
        yield _stripped([LongLine(rest[:kept]) if len(rest) > most_bytes else rest])


def _stripped(found: list[bytes]) -> list[bytes]:
    return [line if isinstance(line, LongLine) else line.removesuffix(b"\r") for line in found]
