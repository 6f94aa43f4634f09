"""Whether an object of a record's JSON has a key twice: readers differ in what they make of that, so documents say so.

The last value counts, in every encoder and filter, as the JSON decoders of this program have it.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from shipper import native

_ESCAPED_QUOTE = b"\\u0022"


def has_duplicate_keys(raw: bytes) -> bool:
    """Return whether an object in a record, at any depth, has a key twice.

    Args:
        raw: JSON; where it is none, it has none.
    """
    if native.has_duplicate_keys is not None and (found := native.has_duplicate_keys(raw)) is not None:
        return found
    return in_python(raw)


def in_python(raw: bytes) -> bool:
    """Do the same without the native module, and for what that leaves to Python."""
    if _ESCAPED_QUOTE not in raw:
        try:
            # Written anew, an object has each key once: what came twice is missing with its quotes. Nothing else
            # changes their number, since a quote within a text is written alike.
            return raw.count(b'"') != orjson.dumps(orjson.loads(raw)).count(b'"')
        except (orjson.JSONDecodeError, TypeError, RecursionError):
            pass
    return _pairwise(raw)


def _pairwise(raw: bytes) -> bool:
    twice = False

    def noted(pairs: list[tuple[str, Any]]) -> None:
        nonlocal twice
        twice = twice or len({name for name, _ in pairs}) != len(pairs)

    try:
        json.loads(raw, object_pairs_hook=noted)
    except (ValueError, RecursionError):
        return False
    return twice
