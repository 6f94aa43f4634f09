"""Finds S3 objects by what a queue says of them; many daemons may share the queue. Read `splits` first."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from shipper.errors import FatalError, RetryableError
from shipper.letter_log import LetterLog
from shipper.metrics import Metrics
from shipper.model import Problem, Receipt, S3Object, Split
from shipper.ports import CheckpointStore, Clock, DeadLetters, Stop, wall_clock
from shipper.sources.s3_allowed import Allowed
from shipper.sources.s3_pending import Pending
from shipper.sources.s3_retries import MISSING_SECONDS, Waiting
from shipper.sources.s3_strays import StrayReport
from shipper.sources.s3_unopened import Unopened
from shipper.sources.sqs_backlog import Backlog
from shipper.sources.sqs_check import check_queue
from shipper.sources.sqs_done import DoneObjects
from shipper.sources.sqs_held import Heartbeat, Held
from shipper.sources.sqs_messages import unwrap
from shipper.sources.sqs_queue import BATCH, Message, Queue
from shipper.sources.sqs_sorting import letter_of_message, letter_of_object, sort
from shipper.sources.sqs_unshipped import Unshipped

_GATHER_OBJECTS = 256
_GATHER_MESSAGES = 256
_LONG_POLL_SECONDS = 5
_SHORT_POLL_SECONDS = 1
_IDLE_SECONDS = 0.2
_LONGEST_LOOK_SECONDS = 60.0
# Notifications mostly come within seconds; a backlog of hours is left to the queue.
_NOTIFIED_SECONDS = 6 * 3600.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Fresh:
    """New objects of some messages, each once, by log type.

    Attributes:
        redelivered: hashes of those whose message was handed out before: another daemon may have shipped them.
    """

    objects: dict[str, list[S3Object]] = field(default_factory=dict)
    hashes: set[int] = field(default_factory=set)
    redelivered: set[int] = field(default_factory=set)

    def add(self, logs: str, item: S3Object, receives: int) -> None:
        if receives > 1:
            self.redelivered.add(item.hash)
        if item.hash not in self.hashes:
            self.hashes.add(item.hash)
            self.objects.setdefault(logs, []).append(item)


class S3NotificationsSource:
    """Implements `ports.Source` for a queue of S3 notifications.

    A message stays in the queue, hidden from other daemons, until each of its objects is settled, and is deleted then.
    What this process has settled is remembered for some days by hashes, because a queue may deliver twice; what
    another process has settled is shipped again in such a case, under the same document ids.

    An object whose log type nothing tells becomes a dead letter. Whatever else a message is deleted for without
    anything being shipped is counted as what it is, and logged once a minute.

    A message is untrusted: objects outside the allowed buckets and prefixes are never asked for. A message of that
    kind, or one that says nothing that can be understood, is left to the queue's redrive policy, and becomes a dead
    letter where the queue has none.

    Args:
        name: the source's name in the configuration.
        allowed: which objects are read, and as which log type.
        client: boto3's S3 client, to try permissions with.
        dead_letters: told of messages and objects that are given up.
        stop: ends a look that finds nothing new among many messages.
        missing_seconds: an object that is not there for so long is given up as deleted.
    """

    def __init__(
        self,
        name: str,
        *,
        queue: Queue,
        allowed: Allowed,
        store: CheckpointStore,
        client: Any,
        metrics: Metrics,
        dead_letters: DeadLetters,
        stop: Stop | None = None,
        missing_seconds: float = MISSING_SECONDS,
        expected_bucket_owner: str | None = None,
        clock: Clock = wall_clock,
    ) -> None:
        self.name = name
        self._queue = queue
        self._allowed = allowed
        self._client = client
        self._owner = expected_bucket_owner
        self._store = store
        self._metrics = metrics
        self._dead_letters = dead_letters
        self._clock = clock
        self._stop = stop or Stop()
        self._backlog = Backlog(name, queue, metrics, clock)
        self._pending = Pending(name, store)
        self._unopened = Unopened(name, Waiting((), missing_seconds), dead_letters, metrics)
        self._done = DoneObjects(name, queue.name, store, clock)
        self._held = Held()
        self._strays = StrayReport(name, metrics)
        self._unshipped = Unshipped(name, clock)
        self._to_delete: list[str] = []
        self._heartbeat: Heartbeat | None = None
        self._drained = False
        metrics.oldest_message.labels(name).set_function(self._oldest_age)

    def splits(self) -> Iterator[Split]:
        """See ports.Source.

        Messages are taken until there are enough objects for some splits, or the queue has no more; what they name is
        pinned and yielded before more is taken. Objects that could not be opened come again from memory: their
        messages are still held, so that a crash brings them back, too.
        """
        self._begin()
        self._drained = False
        # Messages that name nothing new yield nothing: the look must end all the same, to hear a stop and to be alive.
        until = time.monotonic() + _LONGEST_LOOK_SECONDS
        while not self._stop.requested and time.monotonic() < until:
            for scope, logs, objects in self._unopened.waiting.take_due(self._clock()):
                self._pending.pin(scope, logs, objects)
            for split in self._pending.take(self._clock()):
                yield split
                until = time.monotonic() + _LONGEST_LOOK_SECONDS
            self._flush()
            if self._unopened.waiting.blocks(self._queue.name):
                raise RetryableError("so many objects are refused that no more messages are taken", paused=True)
            if not self._gather():
                self._drained = True
                return

    def settle(self, split: Split, receipt: Receipt) -> None:
        """See ports.Source."""
        now = self._clock()
        retries = self._unopened.retries(split, receipt, now)
        waiting = {retry.object.hash for retry in retries}
        settled = [item for item in split.objects if item.hash not in waiting]
        # Retries are not stored: their messages are still in the queue, and say all that a restart has to know.
        gone = {left.object.hash for left in receipt.unread} - waiting
        done = self._done.pairs(item.hash for item in settled)
        self._store.settle(split, receipt, done, ())
        self._done.add(done)
        self._pending.settled(split)
        self._unopened.waiting.settled(split.objects, retries)
        self._unopened.show()
        for item in settled:
            self._metrics.object_lag.labels(self.name).observe(max(now - item.last_modified, 0.0))
        for held in self._held.settled((item.hash for item in settled), gone):
            outcome = "shipped" if held.shipped else "object_deleted"
            self._end(held.message, outcome, keep=held.keep, example=settled[0].uri)

    def release(self, split: Split, error: RetryableError) -> None:
        """See ports.Source. The messages stay hidden meanwhile."""
        self._pending.release(split, error, self._clock())

    def idle_seconds(self) -> float:
        """See ports.Source. Short, because the queue itself keeps a request waiting until there is something."""
        return _IDLE_SECONDS

    def complete(self) -> bool:
        """See ports.Source. True when the queue had nothing more to give."""
        return self._drained and not len(self._pending) and not len(self._unopened.waiting)

    def problems(self) -> Iterable[Problem]:
        """See ports.Source."""
        yield from check_queue(self._queue, f"sources.{self.name}")
        yield from self._allowed.problems(self._client, f"sources.{self.name}", self._owner)

    def close(self) -> None:
        """See ports.Source. Another daemon gets at once what this one has not settled."""
        if self._heartbeat is not None:
            self._heartbeat.close()
        self._unshipped.close()
        messages = self._held.take_all()
        try:
            self._queue.hide([message.handle for message in messages], 0)
            self._count("given_back", len(messages))
            self._flush()
        except RetryableError as error:
            log.warning("messages could not be given back, they come again by themselves", why=error.advice)
        with contextlib.suppress(FatalError):
            self._store.unpin(self._pending.unsettled())

    def has(self, item: S3Object) -> bool:
        """Whether an object has been shipped from the queue, is on its way, or may still come by it.

        Called from other threads.
        """
        if self._clock() - item.last_modified < _NOTIFIED_SECONDS:
            return True
        value = item.hash
        return value in self._done or value in self._pending or value in self._unopened.waiting

    def _begin(self) -> None:
        """Take up what a crash left, and look at the queue now and then."""
        if self._backlog.look():
            self._done.close_days()
        if self._heartbeat is None:
            self._pending.restore()
            failed = self._metrics.heartbeat_errors.labels(self.name).inc
            self._heartbeat = Heartbeat(self._queue, self._held, self._backlog.state.visibility_seconds, failed)
            self._heartbeat.start()

    def _gather(self) -> bool:
        """Take messages until they name enough objects; return whether there were any messages."""
        wait = _SHORT_POLL_SECONDS if len(self._pending) else _LONG_POLL_SECONDS
        fresh = _Fresh()
        taken = 0
        try:
            while taken < _GATHER_MESSAGES and len(fresh.hashes) < _GATHER_OBJECTS:
                messages = self._queue.receive(wait)
                taken += len(messages)
                for message in messages:
                    self._take(message, fresh)
                if len(messages) < BATCH:
                    break
                wait = 0
        finally:
            for logs, objects in fresh.objects.items():
                self._pending.pin(self._queue.name, logs, objects, fresh.redelivered)
        return taken > 0

    def _take(self, message: Message, fresh: _Fresh) -> None:
        """Hold a message for its objects, and add those that are new to `fresh`; or end it where there are none."""
        found = sort(unwrap(message.body, message.sent), self._allowed, self._done.__contains__)
        for reason, item in found.left_out:
            if reason not in ("duplicate", "outside"):
                self._strays.object(item.bucket, item.key, reason)
        for logs, item in found.to_ship:
            if item.hash not in self._pending and item.hash not in self._unopened.waiting:
                fresh.add(logs, item, message.receives)
        self._bury_objects(message, found.outside)
        keep = bool(found.faults) and not self._bury(message, found.faults)
        if found.to_ship:
            self._held.hold(message, {item.hash for _, item in found.to_ship}, keep=keep)
        else:
            outcome, example = found.outcome()
            self._end(message, outcome, keep=keep, example=example)

    def _bury_objects(self, message: Message, objects: Sequence[S3Object]) -> None:
        """Keep objects whose log type nothing tells as dead letters, once each, before their message is deleted.

        Raises:
            RetryableError: the dead-letter store is full; the message comes again.
        """
        if not objects:
            return
        now = self._clock()
        letters = LetterLog(self._dead_letters)
        letters.put([letter_of_object(self.name, message, item, now) for item in objects])
        letters.write()
        pairs = self._done.pairs(item.hash for item in objects)
        self._store.mark_done(self.name, self._queue.name, pairs)
        self._done.add(pairs)
        for item in objects:
            self._strays.object(item.bucket, item.key, "unrecognised")

    def _bury(self, message: Message, faults: Sequence[str]) -> bool:
        """Keep a message that is wrong as a dead letter; false where its queue takes care of it.

        Raises:
            RetryableError: the dead-letter store is full; the message comes again.
        """
        if self._backlog.state.redrive:
            log.warning("message is not usable", source=self.name, message=message.id, why=faults[0])
            return False
        letters = LetterLog(self._dead_letters)
        letters.put([letter_of_message(self.name, self._queue.name, message, faults, self._clock())])
        letters.write()
        return True

    def _end(self, message: Message, outcome: str, *, keep: bool, example: str = "") -> None:
        """A message is done: it is deleted with others, or left for the queue's redrive.

        Args:
            example: an object, or what is wrong, to be logged where nothing was shipped.
        """
        outcome = "left" if keep else outcome
        self._count(outcome)
        if outcome != "shipped":
            self._unshipped.note(outcome, message.id, example)
        if keep:
            return
        self._to_delete.append(message.handle)
        if len(self._to_delete) >= BATCH:
            with contextlib.suppress(RetryableError):
                self._flush()

    def _flush(self) -> None:
        """Delete what is done. A message whose deletion is lost comes again, and is known then.

        Raises:
            RetryableError: the queue does not answer; they are deleted with the next ones.
        """
        if self._to_delete:
            self._to_delete = self._queue.delete(self._to_delete)

    def _count(self, outcome: str, number: int = 1) -> None:
        self._metrics.messages.labels(self.name, outcome).inc(number)

    def _oldest_age(self) -> float:
        sent = self._held.oldest_sent()
        return 0.0 if sent is None else max(self._clock() - sent, 0.0)
