"""Which tags documents carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TagChoice:
    """Tag keys that are wanted.

    Attributes:
        allowed: only these; none means all.
        denied: all but these.
    """

    allowed: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()

    def of(self, tags: Mapping[str, str]) -> dict[str, str]:
        """The wanted ones of some tags."""
        return {
            key: value
            for key, value in tags.items()
            if key not in self.denied and (not self.allowed or key in self.allowed)
        }
