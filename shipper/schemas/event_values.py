"""Where a log event's document has addresses, names and user agents that look-ups may know something of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

LONGEST: Final = 1_024
"""Longer texts are no address, name or user agent that anybody lists."""
QUESTION: Final = ("dns", "question", "name")
HOSTS: Final = ("related", "hosts")
AGENT: Final = ("user_agent", "original")
_ENDS: Final = ("source", "client", "destination", "server")
_OTHERS: Final = (
    ("related", "ip"),
    ("aws", "elb", "backend", "ip"),
    ("kubernetes", "pod", "ip"),
    ("aws", "route53", "edns_client_subnet"),
)


def ends_of(document: Mapping[str, Any]) -> dict[str, str]:
    """By `source`, `client`, `destination` and `server`: its address, or the name that stands in its place."""
    found: dict[str, str] = {}
    for side in _ENDS:
        end = document.get(side)
        address = (end.get("ip") or end.get("address")) if isinstance(end, dict) else None
        if isinstance(address, str) and len(address) <= LONGEST:
            found[side] = address
    return found


def others_of(document: Mapping[str, Any]) -> list[str]:
    """All other addresses: what a name led to, proxies on the way, targets, pods; of a client's network the first."""
    ends = ends_of(document).values()
    texts = (text.partition("/")[0] for path in _OTHERS for text in texts_at(document, path))
    return list(dict.fromkeys(text for text in texts if text not in ends))


def texts_at(document: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """The texts at a path, one or several."""
    value: Any = document
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    for text in value if isinstance(value, list) else (value,):
        if isinstance(text, str) and len(text) <= LONGEST:
            yield text
