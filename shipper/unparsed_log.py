"""Warns of lines that have none of their log type's forms, once in a while for each source and type."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

QUIET_SECONDS = 600.0

log = structlog.get_logger(__name__)


class UnparsedLog:
    """Counts unparsed lines and writes a warning at most every `QUIET_SECONDS`. Safe to use from many threads.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str], int] = {}
        self._warned_at: dict[tuple[str, str], float] = {}

    def note(self, source: str, logs: str, *, lines: int, origin: str, position: int) -> None:
        """Count a split's unparsed lines, and warn of all since the last warning.

        Args:
            origin: the object or log group with the first of them.
            position: of that line.
        """
        of, now = (source, logs), self._clock()
        with self._lock:
            count = self._waiting.get(of, 0) + lines
            last = self._warned_at.get(of)
            if last is not None and now - last < QUIET_SECONDS:
                self._waiting[of] = count
                return
            self._waiting[of], self._warned_at[of] = 0, now
        log.warning(
            "lines of no known form, shipped with the tag unparsed",
            source=source,
            logs=logs,
            lines=count,
            first=origin,
            position=position,
            next="search for tags: unparsed; where they are of another type, correct `logs`",
        )
