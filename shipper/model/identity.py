"""How things are told apart: hashes of what is done, ids of documents."""

from __future__ import annotations

import base64
import hashlib


def hash64(*parts: str) -> int:
    """A 64-bit hash of some strings, signed as SQLite stores integers; parts cannot run into one another."""
    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def document_id(time_ms: int, *parts: str) -> str:
    """A document's id: 24 characters, ordered by time so that Elasticsearch finds its segment fast.

    Args:
        time_ms: the event's own time, milliseconds since the epoch.
        parts: what makes the event itself, such as account and eventID.
    """
    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=12).digest()
    stamp = min(max(time_ms, 0), 0xFFFFFFFFFFFF).to_bytes(6, "big")
    return base64.urlsafe_b64encode(stamp + digest).decode("ascii")
