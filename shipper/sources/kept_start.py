"""Where a source begins: the first run's start is kept, so that an age such as "-24h" moves with no restart."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from shipper.ports import CheckpointStore, Clock

log = structlog.get_logger(__name__)


class KeptStart:
    """A source's start. Used by its source's thread.

    Args:
        source: the source's name, under which the start is kept.
        start: seconds since the epoch, or what tells it from the time.
        clock: AWS's time, from the first answer on.
    """

    def __init__(
        self, source: str, start: float | Callable[[float], float], store: CheckpointStore, clock: Clock
    ) -> None:
        self._source = source
        self._start_at = start if callable(start) else lambda _: start
        self._store = store
        self._clock = clock
        self._kept: float | None = None

    def load(self, cursors: Mapping[str, Mapping[str, float]]) -> None:
        """Take up what an earlier run kept, and say where a start of now has no effect.

        Args:
            cursors: the source's, as the store has them.
        """
        self._kept = cursors.get("", {}).get("start")
        if self._kept is not None and self._start_at(self._clock()) < self._kept:
            log.warning(
                "an earlier start has no effect on a source that has begun; see `shipper checkpoints reset`",
                source=self._source,
            )

    def seconds(self) -> float:
        """The start, in seconds since the epoch; to be asked for when AWS has answered, so that the clock is AWS's."""
        if self._kept is None:
            self._kept = self._start_at(self._clock())
            self._store.set_cursors(self._source, {"": {"start": self._kept}})
        return self._kept
