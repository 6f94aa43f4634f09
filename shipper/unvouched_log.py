"""Counts events that look like a log type that nothing vouches for, and says once for each log group what to do."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from shipper.metrics import Metrics

_MOST_GROUPS = 1_000
_SHOWN = 512

log = structlog.get_logger(__name__)


class UnvouchedLog:
    """Implements what `build.sinks.lanes` calls `note`, for each source. Safe to use from many threads."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lock = threading.Lock()
        self._warned: set[tuple[str, str, str]] = set()

    def of_source(self, source: str) -> Callable[[str, str], None]:
        """Return a function that notes (log group, log type) of an event of a source; "" for a line of no group."""

        def note(group: str, likely: str) -> None:
            self._metrics.events_unvouched.labels(source, likely).inc()
            of = (source, group[:_SHOWN], likely)
            with self._lock:
                if of in self._warned or len(self._warned) >= _MOST_GROUPS:
                    return
                self._warned.add(of)
            log.warning(
                "events look like a log type that nothing vouches for; they are shipped as plain events with a tag",
                source=source,
                group=group[:_SHOWN],
                looks_like=likely,
                tag=f"unvouched_{likely}",
                next=_advice(group, likely),
            )

        return note


def _advice(group: str, likely: str) -> str:
    if likely == "subscription":
        return "an envelope within a log event or between lines is a line: look who writes such lines"
    if not group:
        return "look who writes such lines"
    return (
        f"if AWS writes this group, name its type: log_group_types: {{{group[:_SHOWN]!r}: {likely}}}; if an application"
        " does, look why, or name cloudwatch to keep its events as they are without the tag"
    )
