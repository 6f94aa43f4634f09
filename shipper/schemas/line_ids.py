"""Document ids for logs that have no ids of their own: the object they lie in and their line number.

They look like `model.document_id`'s (24 characters, ordered by time) but cost no hash a line: 6 bytes of time, 9 bytes
of the object's hash, 3 bytes of line number. An object never changes under its key (AWS writes each log file once).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

LineIds = Callable[[int, int], str]
"""(time in milliseconds, line number) → document id."""

_BLOCK = 1 << 24
_MOST_STAMPS = 10_000
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_MAX_STAMP = (1 << 48) - 1


def line_ids(*parts: str) -> LineIds:
    """Return the ids of one object's lines.

    Args:
        parts: what names the object, such as its URI.
    """
    prefixes: dict[int, str] = {}

    def prefix_of(block: int) -> str:
        text = "\0".join((*parts, str(block)))
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=9).digest()
        return prefixes.setdefault(block, base64.urlsafe_b64encode(digest).decode("ascii"))

    first = prefix_of(0)
    pairs = _PAIRS

    stamps: dict[int, str] = {}

    def stamp_of(time_ms: int) -> str:
        stamp = min(max(time_ms, 0), _MAX_STAMP)
        if len(stamps) >= _MOST_STAMPS:
            stamps.clear()
        text = f"{pairs[stamp >> 36]}{pairs[stamp >> 24 & 4095]}{pairs[stamp >> 12 & 4095]}{pairs[stamp & 4095]}"
        return stamps.setdefault(time_ms, text)

    def of(time_ms: int, position: int) -> str:
        prefix = first
        if position >= _BLOCK:
            block, position = divmod(position, _BLOCK)
            prefix = prefixes.get(block) or prefix_of(block)
        stamp = stamps.get(time_ms) or stamp_of(time_ms)
        return f"{stamp}{prefix}{pairs[position >> 12]}{pairs[position & 4095]}"

    return of
