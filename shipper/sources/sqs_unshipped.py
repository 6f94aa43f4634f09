"""Logs why messages of a queue end without anything being shipped, once a minute for each reason."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from shipper.ports import Clock

_SECONDS = 60.0
_WARNED = frozenset({"unrecognised", "dead_lettered", "left", "object_deleted"})

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Kept:
    """Messages of one reason that are not logged yet."""

    logged_at: float
    number: int = 0
    message: str = ""
    example: str = ""


class Unshipped:
    """Counts messages by reason between two log lines. Used by its source's thread only.

    Args:
        source: the source's name.
    """

    def __init__(self, source: str, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    def note(self, reason: str, message: str, example: str) -> None:
        """Note a message: logged at once, or with the next one that comes a minute after the last line.

        Args:
            message: its id.
            example: the object that it named, or what is wrong with it; "" if there is nothing to say.
        """
        now = self._clock()
        kept = self._kept.setdefault(reason, _Kept(now - _SECONDS))
        kept.number += 1
        kept.message, kept.example = message, example
        if not 0 <= now - kept.logged_at < _SECONDS:
            self._log(reason, kept, now)

    def close(self) -> None:
        """Log what was not logged yet."""
        for reason, kept in self._kept.items():
            if kept.number:
                self._log(reason, kept, self._clock())

    def _log(self, reason: str, kept: _Kept, now: float) -> None:
        tell = log.warning if reason in _WARNED else log.info
        example = {"example": kept.example} if kept.example else {}
        what = "left in the queue" if reason == "left" else "deleted"
        tell(
            f"messages {what} without anything shipped",
            source=self._source,
            reason=reason,
            messages=kept.number,
            message=kept.message,
            **example,
        )
        kept.number, kept.logged_at = 0, now
