"""The only retry loop: sends batches until each document is stored, present, or a dead letter."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import structlog

from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.model import DeadLetter, Document, SendResult, Split, Tally
from shipper.pace import Pace
from shipper.ports import DeadLetters, Delivery, Stop

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0

_body = attrgetter("body")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long failures are borne before the split is given back to its source.

    Attributes:
        seconds: None bears them for ever (the daemon); a number ends the waiting (`--once`), counted from the first
            failure of a batch.
    """

    seconds: float | None = None


class Backoff:
    """Jittered, growing waits; one for each batch.

    The wait is drawn from the upper half of a doubling span, so that many workers do not come back at once; a wait that
    the server asked for is kept to, up to five minutes.
    """

    def __init__(self, patience: Patience, stop: Stop) -> None:
        self._patience = patience
        self._stop = stop
        self._span = FIRST_WAIT_SECONDS
        self._since: float | None = None

    def wait(self, error: RetryableError) -> None:
        """Wait before the next attempt.

        Raises:
            RetryableError: `error`, where the patience is over.
            Stopped: the process ends.
        """
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        seconds = self._span * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        if error.retry_after is not None:
            seconds = max(seconds, min(error.retry_after, 300.0))
        if self._patience.seconds is not None and now - self._since + seconds > self._patience.seconds:
            raise error
        self._span = min(self._span * 2, LONGEST_WAIT_SECONDS)
        self._stop.wait(seconds)


class Outlet:
    """One split's way into one sink: sends its batches and keeps the tally. Used by one thread."""

    def __init__(
        self,
        sink: str,
        delivery: Delivery,
        split: Split,
        *,
        dead_letters: DeadLetters,
        metrics: Metrics,
        stop: Stop,
        patience: Patience,
        pace: Pace | None = None,
    ) -> None:
        self.sink = sink
        self.tally = Tally()
        self._delivery = delivery
        self._split = split
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._stop = stop
        self._patience = patience
        self._pace = pace or Pace()
        self._failing = False

    def send(self, documents: Sequence[Document]) -> None:
        """Send until every document has an end.

        Raises:
            RetryableError: the patience is over, or the dead-letter store refuses.
            FatalError, Stopped: as they come.
        """
        pending: list[Sequence[Document]] = [documents]
        backoff = Backoff(self._patience, self._stop)
        while pending:
            batch = self._next(pending)
            try:
                result = self._attempt(batch)
            except RetryableError as error:
                self._failed(error)
                if error.restart:
                    raise
                if error.busy:
                    self._pace.busy(len(batch))
                pending.append(batch)
                backoff.wait(error)
                continue
            result = self._spare(result, len(batch))
            again = self._account(batch, result)
            if not again:
                self._pace.well(len(batch))
                self._succeeded()
            elif result.too_large:
                middle = len(again) // 2
                pending += [again[middle:], again[:middle]]
            else:
                pending.append(again)
                refusal = RetryableError(result.retry_reason, result.retry_after, paused=result.paused)
                self._failed(refusal)
                if not result.paused:
                    self._pace.busy(len(batch))
                if len(again) < len(batch):  # something got through: the server is alive
                    backoff = Backoff(self._patience, self._stop)
                backoff.wait(refusal)
        self.tally.bytes_out += sum(map(len, map(_body, documents)))

    def finish(self) -> None:
        """Wait until all that was sent is durable."""
        self._delivery.finish()

    def abandon(self) -> None:
        """Give the split up."""
        self._delivery.abandon()

    def _next(self, pending: list[Sequence[Document]]) -> Sequence[Document]:
        """Take the next batch, no larger than the sink takes now; the rest of it stays pending."""
        batch, most = pending.pop(), self._pace.documents
        if len(batch) <= most:
            return batch
        pending.append(batch[most:])
        return batch[:most]

    def _spare(self, result: SendResult, sent: int) -> SendResult:
        """Turn refusals that are too many of one kind into retries that wait for a person."""
        alike = self._pace.refused_alike(sent, result.rejected)
        if not alike:
            return result
        first = alike[0]
        return replace(
            result,
            rejected=tuple(r for r in result.rejected if r not in alike),
            retry=tuple(sorted([*result.retry, *(r.position for r in alike)])),
            retry_reason=f"{len(alike)} of {sent} documents are refused alike ({first.reason}), so that the fault is "
            f"not theirs and they wait: {first.answer}",
            paused=True,
        )

    def _attempt(self, batch: Sequence[Document]) -> SendResult:
        started = time.monotonic()
        try:
            result = self._delivery.send(batch)
        finally:
            self._metrics.send_seconds.labels(self.sink).observe(time.monotonic() - started)
        ends = result.delivered + result.present + result.repaired + len(result.rejected) + len(result.retry)
        if ends != len(batch) or (result.too_large and len(batch) == 1):
            raise AssertionError(f"sink {self.sink} accounted for {ends} of {len(batch)} documents")
        return result

    def _account(self, batch: Sequence[Document], result: SendResult) -> list[Document]:
        if result.rejected:
            letters = [self._letter(batch[r.position], r.reason, r.answer) for r in result.rejected]
            keep(self._dead_letters, letters, Backoff(self._patience, self._stop))
        self.tally.delivered += result.delivered
        self.tally.present += result.present
        self.tally.repaired += result.repaired
        self.tally.dead_lettered += len(result.rejected)
        return [batch[i] for i in result.retry]

    def _letter(self, document: Document, reason: str, answer: str) -> DeadLetter:
        return DeadLetter(
            source=self._split.source,
            sink=self.sink,
            split_id=self._split.id,
            logs=self._split.logs,
            origin=document.origin,
            position=document.record.position,
            reason=reason,
            answer=answer,
            payload=document.record.raw,
            document_id=document.id,
            time=time.time(),
            document=document.body,
            index=document.index,
            time_ms=document.time_ms,
        )

    def _failed(self, error: RetryableError) -> None:
        self._metrics.retries.labels(self.sink).inc()
        self._metrics.sink_failing.labels(self.sink).set(1)
        self._metrics.sink_paused.labels(self.sink).set(1 if error.paused else 0)
        if not self._failing:  # once for each spell of failures, not for each attempt
            self._failing = True
            say = log.error if error.paused else log.warning
            say(
                "sink does not take documents, trying again",
                sink=self.sink,
                source=self._split.source,
                why=error.advice,
            )

    def _succeeded(self) -> None:
        if self._failing:
            self._failing = False
            log.info("sink takes documents again", sink=self.sink, source=self._split.source)
        self._metrics.sink_failing.labels(self.sink).set(0)
        self._metrics.sink_paused.labels(self.sink).set(0)


def keep(dead_letters: DeadLetters, letters: Sequence[DeadLetter], backoff: Backoff) -> None:
    """Store dead letters durably, waiting while the store refuses.

    Raises:
        RetryableError: the store still refuses and the patience is over.
        Stopped: the process ends.
    """
    while True:
        try:
            dead_letters.put(letters)
        except RetryableError as error:
            log.error("dead letters cannot be stored, waiting", why=error.advice)  # noqa: TRY400 - no traceback wanted
            backoff.wait(error)
        else:
            return
