"""User agents as Elasticsearch's user_agent processor describes them, by the expressions of uap-core."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import ua_parser

_LONGEST_PARSED = 1_024
"""AWS cuts user agents to 1 kB; the rest of a longer one would only cost time."""
_LONGEST_KEPT = 8_191
_LONGEST_CACHED = 1_024
_MOST_AGENTS = 8_192


def user_agent(original: str) -> dict[str, Any]:
    """ECS's `user_agent` object, shared between equal agents: never change it. Safe to call from many threads.

    What the expressions do not know is called `Other`, as Elasticsearch does.
    """
    return _cached(original) if len(original) <= _LONGEST_CACHED else _described(original)


def _described(original: str) -> dict[str, Any]:
    found = ua_parser.parse(original[:_LONGEST_PARSED])
    agent, system, device = found.user_agent, found.os, found.device
    fields: dict[str, Any] = {
        "original": original[:_LONGEST_KEPT],
        "name": agent.family if agent else "Other",
        "device": {"name": device.family if device else "Other"},
    }
    if agent and agent.major:
        fields["version"] = _version(agent.major, agent.minor, agent.patch, agent.patch_minor)
    if system:
        fields["os"] = {"name": system.family}
        if system.major:
            version = _version(system.major, system.minor, system.patch, system.patch_minor)
            fields["os"] |= {"version": version, "full": f"{system.family} {version}"}
    return fields


_cached = lru_cache(_MOST_AGENTS)(_described)


def _version(*parts: str | None) -> str:
    """Dotted, up to the first part that is not known."""
    known = parts[: parts.index(None)] if None in parts else parts
    return ".".join(part for part in known if part is not None)
