"""URLs as Elasticsearch's uri_parts processor takes them apart."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

_LONGEST = 8_191
# RFC 2396 with what Java's URI takes beside it; escapes of anything else are left as they are, as its URL does.
_CLEAN = re.compile(r"(?:[A-Za-z0-9_.!~*'();/?:@&=+$,\[\]#-]|%[0-9A-Fa-f]{2}|[^\x00-\x7f])*")
_PARTS = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,31}):)?"
    r"(?://(?:[^/?#@]*@)?(?P<domain>\[[0-9A-Fa-f:.]+\]|[^/?#:@]*)(?::(?P<port>\d{0,5}))?(?=[/?#]|$))?"
    r"(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:\#(?P<fragment>.*))?",
    re.DOTALL,
)


def url_fields(text: str) -> dict[str, Any]:
    """ECS's `url` of an address, whole or beginning with its path; no user or password of it is kept apart.

    What cannot be taken apart has `original` alone.
    """
    fields: dict[str, Any] = {"original": text[:_LONGEST]}
    found = _PARTS.fullmatch(text)
    if found is None or (found["domain"] is None and found["path"].startswith("//")):
        return fields
    clean = _CLEAN.fullmatch(text) is not None
    for name, part in found.groupdict().items():
        if part and name not in {"port", "scheme"}:
            fields[name] = (unquote(part) if clean else part)[:_LONGEST]
    if found["scheme"]:
        fields["scheme"] = found["scheme"]
    if found["port"] and int(found["port"]) <= 65_535:
        fields["port"] = int(found["port"])
    name, dot, extension = found["path"].rpartition("/")[2].rpartition(".")
    if dot and extension and (name or dot):
        fields["extension"] = extension[:_LONGEST]
    return fields
