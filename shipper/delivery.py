"""The only retry loop: sends batches until each document is stored, present, or a dead letter."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import NamedTuple

import structlog

from shipper.errors import RetryableError
from shipper.failure_log import FailureLog
from shipper.metrics import Metrics
from shipper.model import DeadLetter, Document, Rejection, SendResult, Split, Tally
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


class _Batch(NamedTuple):
    """Documents that are still to be sent.

    Attributes:
        held_for: the reason for which all of them were refused, as too many were; "" where they were not.
    """

    documents: Sequence[Document]
    held_for: str = ""


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
        self._log = FailureLog(sink, split.source)

    def send(self, documents: Sequence[Document]) -> None:
        """Send until every document has an end.

        Raises:
            RetryableError: the patience is over, or the dead-letter store refuses.
            FatalError, Stopped: as they come.
        """
        pending = [_Batch(documents)]
        backoff = Backoff(self._patience, self._stop)
        while pending:
            batch = self._next(pending)
            try:
                result = self._attempt(batch.documents)
            except RetryableError as error:
                self._failed(error)
                if error.restart:
                    raise
                if error.busy:
                    self._pace.busy(len(batch.documents))
                pending.append(batch)
                backoff.wait(error)
                continue
            result, held = self._spare(batch, result)
            again = self._account(batch.documents, result)
            if result.too_large:
                middle = len(again) // 2
                pending += [batch._replace(documents=again[middle:]), batch._replace(documents=again[:middle])]
            elif again or held:
                refusal = self._refused(batch, result, held)
                # What is held waits for a person: all that can be stored goes first.
                pending = [*held, *pending, *([batch._replace(documents=again)] if again else [])]
                if len(again) + sum(len(each.documents) for each in held) < len(batch.documents):
                    backoff = Backoff(self._patience, self._stop)  # something got through: the server is alive
                backoff.wait(refusal)
            else:
                self._pace.well(len(batch.documents))
                if not any(each.held_for for each in pending):
                    self._succeeded()
        self.tally.bytes_out += sum(map(len, map(_body, documents)))

    def finish(self) -> None:
        """Wait until all that was sent is durable."""
        self._delivery.finish()

    def abandon(self) -> None:
        """Give the split up."""
        self._pace.paused(id(self), waits=False)
        self._delivery.abandon()

    def _next(self, pending: list[_Batch]) -> _Batch:
        """Take the next batch, no larger than the sink takes now; the rest of it stays pending."""
        batch, most = pending.pop(), self._pace.documents
        if len(batch.documents) <= most:
            return batch
        pending.append(batch._replace(documents=batch.documents[most:]))
        return batch._replace(documents=batch.documents[:most])

    def _spare(self, batch: _Batch, result: SendResult) -> tuple[SendResult, list[_Batch]]:
        """Take out the refusals that are too many of one kind, and return them as batches that wait, one a reason."""
        if result.faults and not self._pace.holds:
            given_up = {fault.position for fault in result.faults}
            retry = tuple(position for position in result.retry if position not in given_up)
            rejected = (*result.rejected, *result.faults)
            result = replace(result, rejected=rejected, retry=retry, faults=(), paused=result.paused and bool(retry))
        answered = len(batch.documents) - len(result.retry)
        group = batch.documents[0].index
        alike = self._pace.refused_alike(answered, result.rejected, group, held_for=batch.held_for)
        if not alike:
            return result, []
        by_reason: dict[str, list[Rejection]] = {}
        for refusal in alike:
            by_reason.setdefault(refusal.reason, []).append(refusal)
        held = []
        for reason, refusals in by_reason.items():
            self._log.mass_refusal(refusals, answered)
            held.append(_Batch([batch.documents[each.position] for each in refusals], reason))
        kept = tuple(each for each in result.rejected if each.reason not in by_reason or each.stored)
        kind, answer = alike[0].reason, alike[0].answer
        words = f"{len(alike)} of {answered} documents are refused alike ({kind}), so that the fault is not theirs"
        words = f"{words} and they wait: {answer}"
        return replace(result, rejected=kept, retry_reason=words, paused=True), held

    def _refused(self, batch: _Batch, result: SendResult, held: Sequence[_Batch]) -> RetryableError:
        """Say what an attempt left over, and return what to wait for."""
        refusal = RetryableError(result.retry_reason, result.retry_after, paused=result.paused)
        if result.faults:
            self._log.mass_refusal(result.faults, len(batch.documents))
        self._failed(refusal, told=bool(held or result.faults))
        if not result.paused:
            self._pace.busy(len(batch.documents))
        return refusal

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

    def _failed(self, error: RetryableError, *, told: bool = False) -> None:
        """Keep the metrics, and say what failed.

        Args:
            told: the log has it already.
        """
        self._metrics.retries.labels(self.sink).inc()
        self._metrics.sink_failing.labels(self.sink).set(1)
        paused = self._pace.paused(id(self), waits=error.paused)
        self._metrics.sink_paused.labels(self.sink).set(1 if paused else 0)
        self._log.failed(error, told=told)

    def _succeeded(self) -> None:
        self._log.succeeded()
        self._metrics.sink_failing.labels(self.sink).set(0)
        paused = self._pace.paused(id(self), waits=False)
        self._metrics.sink_paused.labels(self.sink).set(1 if paused else 0)


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
