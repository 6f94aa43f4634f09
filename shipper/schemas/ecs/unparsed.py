"""The mark of documents whose line has none of its log type's forms: `message` is the whole line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shipper.schemas.fallback_times import NO_TIME, UNPARSED


def mark_unparsed(document: dict[str, Any]) -> None:
    """Add the tag `unparsed` to a document, once."""
    _mark(document, UNPARSED)


def mark_no_time(document: dict[str, Any]) -> None:
    """Add the tag `no_time` to a document whose record says no time, once."""
    _mark(document, NO_TIME)


def is_unparsed(document: Mapping[str, Any]) -> bool:
    """Return whether a document is marked as `mark_unparsed` does."""
    return UNPARSED in document.get("tags", ())


def _mark(document: dict[str, Any], tag: str) -> None:
    tags = document.setdefault("tags", [])
    if tag not in tags:
        tags.append(tag)
