"""Marks the documents of lines that do not have the form of their log type."""

from __future__ import annotations

from typing import Any

_TAG = "unparsed"


def mark_unparsed(document: dict[str, Any]) -> None:
    """Add the tag `unparsed` to a document, once."""
    tags = document.setdefault("tags", [])
    if _TAG not in tags:
        tags.append(_TAG)


def is_unparsed(document: dict[str, Any]) -> bool:
    """Return whether a document has the tag `unparsed`."""
    return _TAG in document.get("tags", ())
