"""Mapping conflicts: what a refusal says of field and types, and the document with the offending part moved aside."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson

UNMAPPED = "unmapped"
TAG = "mapping_conflict"

# The servers' own words; Elasticsearch 8 and 9 and OpenSearch 2 were asked. `[1:23]` may stand before them.
_PARSE = re.compile(r"failed to parse field \[(?P<field>[^\]]{1,2000})\] of type \[(?P<mapped>\w+)\]")
_NOT_OBJECT = re.compile(
    r"object mapping for \[(?P<field>[^\]]{1,2000})\] tried to parse field \[[^\]]{0,2000}\] as object"
)
_UNDER_LEAF = re.compile(
    r"Existing mapping for \[(?P<field>[^\]]{1,2000})\] must be of type object but found \[(?P<mapped>\w+)\]"
)
_CHANGED = re.compile(
    r"mapper \[(?P<field>[^\]]{1,2000})\] cannot be changed from type \[(?P<mapped>\w+)\] to \[(?P<sent>\w+)\]"
)
_CONFLICTS = (_PARSE, _NOT_OBJECT, _UNDER_LEAF, _CHANGED)
_SENT = (
    ("START_OBJECT", "object"),
    ("START_ARRAY", "array"),
    ("VALUE_STRING", "string"),
    ("VALUE_BOOLEAN", "boolean"),
    ("VALUE_NUMBER", "number"),
    ("concrete value", "value"),
    ("For input string", "string"),
    ("Could not dynamically add mapping", "object"),
)
_PREVIEW = re.compile(r"Preview of field's value: '(.?)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Conflict:
    """A document's field against the index's mapping.

    Attributes:
        field: dotted path.
        mapped: the type that the index has for it.
        sent: the type that the document has; "" where the server does not say.
    """

    field: str
    mapped: str
    sent: str


def conflict(answer: str) -> Conflict | None:
    """Take a server's refusal apart; None where it is about something else than one field's type."""
    for pattern in _CONFLICTS:
        if found := pattern.search(answer):
            said = found.groupdict()
            return Conflict(said["field"], said.get("mapped") or "object", said.get("sent") or _sent(answer))
    return None


def without_conflict(body: bytes, refused: Conflict) -> bytes | None:
    """Return the document with the refused field under `unmapped` and a tag that says so.

    Args:
        body: one JSON object.

    Returns:
        None where the field is not found in it, so that there is nothing to move.
    """
    document = orjson.loads(body)
    moved = _take(document, refused.field)
    if not moved:
        return None
    aside = document.get(UNMAPPED)
    aside = aside if isinstance(aside, dict) else {}
    aside[refused.field] = moved[0] if len(moved) == 1 else moved
    document[UNMAPPED] = aside
    tags = document.get("tags") or []
    document["tags"] = [*(tags if isinstance(tags, list) else [tags]), TAG]
    return orjson.dumps(document)


def kind_in(body: bytes, field: str) -> str:
    """Return the JSON type that a document has in a field, as `Conflict.sent` names it; "" if it has no such field."""
    try:
        values = _take(orjson.loads(body), field) if body else []
    except orjson.JSONDecodeError:
        return ""
    kinds = {_kind(value) for value in values}
    return "array" if len(values) > 1 else kinds.pop() if kinds else ""


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    names: dict[type, str] = {str: "string", int: "number", float: "number", dict: "object", list: "array"}
    return names.get(type(value), "null")


def _take(node: Any, path: str) -> list[Any]:
    """Remove a dotted path, however its dots are spread over keys and objects, and return what was there."""
    if isinstance(node, list):
        return [value for item in node for value in _take(item, path)]
    if not isinstance(node, dict):
        return []
    taken: list[Any] = []
    for key in list(node):
        if key == path:
            taken.append(node.pop(key))
        elif path.startswith(f"{key}."):
            taken += _take(node[key], path[len(key) + 1 :])
        elif key.startswith(f"{path}."):
            taken.append({key[len(path) + 1 :]: node.pop(key)})
    return taken


def _sent(answer: str) -> str:
    for words, kind in _SENT:
        if words in answer:
            return kind
    preview = _PREVIEW.search(answer)
    if preview is None:
        return ""
    return "object" if preview[1].startswith("{") else "string"
