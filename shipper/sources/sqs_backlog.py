"""What a queue says of itself, asked now and then: its backlog for the metrics, and how it treats messages."""

from __future__ import annotations

import structlog

from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.ports import Clock
from shipper.sources.sqs_queue import Queue, QueueState

_SECONDS = 60.0

log = structlog.get_logger(__name__)


class Backlog:
    """Asks for a queue's attributes once a minute. Used by its source's thread only.

    Args:
        source: the source's name.

    Attributes:
        state: the latest answer; until there is one, a queue without a redrive policy.
    """

    def __init__(self, source: str, queue: Queue, metrics: Metrics, clock: Clock) -> None:
        self.state = QueueState(0, 0, 0, visibility_seconds=30, most_receives=0)
        self._source = source
        self._queue = queue
        self._metrics = metrics
        self._clock = clock
        self._next_at = 0.0

    def look(self) -> bool:
        """Ask, where it is time; return whether it was."""
        now = self._clock()
        if now < self._next_at:
            return False
        self._next_at = now + _SECONDS
        try:
            self.state = self._queue.state()
        except RetryableError as error:
            # Not needed for shipping: what is wrong with the queue itself, the next receipt says.
            log.warning("the queue does not tell its state", source=self._source, why=error.advice)
            return True
        for name in ("waiting", "in_flight", "delayed"):
            self._metrics.queue_messages.labels(self._source, name).set(getattr(self.state, name))
        return True
