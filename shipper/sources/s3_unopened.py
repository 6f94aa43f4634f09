"""What becomes of objects that a split left out: another attempt, or the end, with a dead letter to show for it."""

from __future__ import annotations

import structlog

from shipper.errors import RetryableError
from shipper.letter_log import next_step
from shipper.metrics import Metrics
from shipper.model import DeadLetter, Origin, Receipt, Retry, Split, Unread
from shipper.ports import DeadLetters
from shipper.sources.s3_keys import account_and_region
from shipper.sources.s3_retries import Waiting

_REFUSED_SECONDS = 60.0
_KINDS = ("missing", "forbidden", "archived")

log = structlog.get_logger(__name__)


class Unopened:
    """A source's objects that could not be opened. Used by its source's thread only.

    Args:
        source: the source's name.
        dead_letters: told of objects that were deleted before they could be read.

    Attributes:
        waiting: the retry table.
    """

    def __init__(self, source: str, waiting: Waiting, dead_letters: DeadLetters, metrics: Metrics) -> None:
        self.waiting = waiting
        self._source = source
        self._dead_letters = dead_letters
        self._metrics = metrics
        self.show()

    def retries(self, split: Split, receipt: Receipt, now: float) -> list[Retry]:
        """Schedule what a split left out; what is given up is not in the answer, and is settled with the split."""
        return [retry for left in receipt.unread if (retry := self._again(left, split, now)) is not None]

    def show(self) -> None:
        """Set the metric of what waits."""
        kinds = self.waiting.by_kind()
        for kind in _KINDS:
            self._metrics.objects_waiting.labels(self._source, kind).set(kinds[kind])

    def _again(self, left: Unread, split: Split, now: float) -> Retry | None:
        retry = self.waiting.again(left, split.scope, split.logs, now)
        if retry is not None:
            return retry
        item = left.object
        origin = Origin(item.uri, item.bucket, item.key, *account_and_region(item.key))
        stalls = left.kind == "stalls"
        reason = "stalls" if stalls else "object_deleted"
        letter = DeadLetter(self._source, "", split.id, split.logs, origin, None, reason, left.reason, time=now)
        try:
            self._dead_letters.put([letter])
        except RetryableError as error:
            return Retry(item, split.scope, split.logs, left.kind, str(error), 2, now + _REFUSED_SECONDS)
        self._metrics.objects_filtered.labels(self._source, "stalls" if stalls else "deleted").inc()
        step = next_step(self._source)
        what = "object stalls what reads it" if stalls else "object was deleted before it could be read"
        log.warning(what, source=self._source, object=item.uri, next=step)
        return None
