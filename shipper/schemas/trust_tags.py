"""Tags of documents whose record claims what the place it was read from does not vouch for (docs/security.md)."""

from __future__ import annotations

from typing import Any

import orjson
from msgspec.structs import replace

from shipper.model import Document

UNVOUCHED = "unvouched"
"""An event looks like another log type, but nothing vouches for that: it is shipped as an event of its group."""
ACCOUNT_MISMATCH = "account_mismatch"
"""A record names another account than the place that it was read from."""
DUPLICATE_KEYS = "duplicate_keys"
"""An object of a record's JSON has a key twice; the last one counts."""
ECS_TAGS = "tags"


def mark_unvouched_ecs(document: Document, likely: str) -> Document:
    """Return an ECS document with the tag `unvouched`, and the log type that it looks like."""
    fields = orjson.loads(document.body)
    _add(fields, ECS_TAGS, likely)
    return replace(document, body=orjson.dumps(fields))


def mark_unvouched_envelope(document: Document, likely: str) -> Document:
    """Return a HEC envelope with the same tags."""
    from shipper.schemas.splunk.tags import TAGS_FIELD

    envelope = orjson.loads(document.body)
    _add(envelope["fields"], TAGS_FIELD, likely)
    return replace(document, body=orjson.dumps(envelope))


def _add(fields: dict[str, Any], name: str, likely: str) -> None:
    fields[name] = [*fields.get(name, ()), UNVOUCHED, f"{UNVOUCHED}_{likely}"]
