"""Things by name that are made when they are first asked for: a program that ships one log type reads one's modules."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class OnDemand(Mapping[str, T], Generic[T]):
    """A mapping that makes each value once. Safe to use from many threads.

    Args:
        makers: by name, what makes the value.
    """

    def __init__(self, makers: Mapping[str, Callable[[], T]]) -> None:
        self._makers = makers
        self._made: dict[str, T] = {}
        self._lock = threading.RLock()  # what makes one value may ask for another

    def __getitem__(self, name: str) -> T:
        """Return the value, made now where it was never asked for."""
        with self._lock:
            if name not in self._made:
                self._made[name] = self._makers[name]()
            return self._made[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is such a value; nothing is made."""
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        """Go through the names; nothing is made."""
        return iter(self._makers)

    def __len__(self) -> int:
        """Say how many names there are."""
        return len(self._makers)
