"""Messages that were received and are not done: which objects each waits for, and a thread that keeps them hidden."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field

import structlog

from shipper.errors import RetryableError
from shipper.sources.sqs_queue import Message, Queue

LONGEST_SECONDS = 11.5 * 3600
"""SQS hides a message for twelve hours at most, counted from its receipt; it is given up before."""

LEAST_VISIBILITY_SECONDS = 2

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class HeldMessage:
    """A message and what it waits for.

    Attributes:
        open: hashes of its objects that are not settled.
        since: when it was received, on the monotonic clock.
        keep: it stays in the queue when its objects are settled, for the queue's own redrive.
        hidden: whether it is still kept hidden.
        shipped: whether any of its objects was shipped; otherwise all of them were given up.
    """

    message: Message
    open: set[int]
    since: float
    keep: bool = False
    hidden: bool = True
    shipped: bool = False


@dataclass(slots=True)
class Held:
    """Messages by id and by object. Safe to use from two threads: the source's, and the one that keeps them hidden."""

    _messages: dict[str, HeldMessage] = field(default_factory=dict)
    _by_object: dict[int, set[str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        return len(self._messages)

    def hold(self, message: Message, objects: Iterable[int], *, keep: bool) -> None:
        """Hold a message until its objects are settled. One that came again is known by its newest handle."""
        with self._lock:
            held = HeldMessage(message, set(objects), time.monotonic(), keep)
            self._messages[message.id] = held
            for value in held.open:
                self._by_object.setdefault(value, set()).add(message.id)

    def settled(self, values: Iterable[int], gone: Container[int] = ()) -> list[HeldMessage]:
        """Objects are settled: return the messages that wait for nothing more, and hold them no longer.

        Args:
            gone: those of the objects that were given up.
        """
        finished: list[HeldMessage] = []
        with self._lock:
            for value in values:
                for name in self._by_object.pop(value, ()):
                    held = self._messages.get(name)
                    if held is None:
                        continue
                    held.open.discard(value)
                    held.shipped |= value not in gone
                    if not held.open:
                        finished.append(self._messages.pop(name))
        return finished

    def take_all(self) -> list[Message]:
        """Hold nothing any more; return what was held."""
        with self._lock:
            messages = [held.message for held in self._messages.values()]
            self._messages.clear()
            self._by_object.clear()
            return messages

    def to_hide(self) -> list[HeldMessage]:
        """Return the messages that are to stay hidden, and give up those that were held for too long."""
        now = time.monotonic()
        with self._lock:
            for held in self._messages.values():
                if held.hidden and now - held.since > LONGEST_SECONDS:
                    held.hidden = False
                    log.warning("message held for hours, given back to its queue", message=held.message.id)
            return [held for held in self._messages.values() if held.hidden]

    def oldest_sent(self) -> float | None:
        """When the oldest message held was sent, in seconds since the epoch."""
        with self._lock:
            return min((held.message.sent for held in self._messages.values()), default=None)


class Heartbeat:
    """A thread that hides held messages anew, twice in each visibility timeout.

    A failure is no loss: a message that becomes visible is shipped twice, under the same document ids.

    Args:
        on_failure: told of each round that failed.
    """

    def __init__(self, queue: Queue, held: Held, visibility_seconds: float, on_failure: Callable[[], None]) -> None:
        self._queue = queue
        self._held = held
        self._seconds = max(int(visibility_seconds), LEAST_VISIBILITY_SECONDS)
        self._on_failure = on_failure
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"hide-{queue.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End, and wait for a request that is on its way."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def beat(self) -> None:
        """Hide all held messages for another visibility timeout."""
        messages = self._held.to_hide()
        handles = {held.message.handle: held for held in messages}
        for handle in self._queue.hide(list(handles), self._seconds):
            handles[handle].hidden = False

    def _run(self) -> None:
        failing = False
        while not self._ended.wait(self._seconds / 2):
            try:
                self.beat()
            except RetryableError as error:
                self._on_failure()
                if not failing:
                    log.warning("messages cannot be kept hidden", queue=self._queue.name, why=error.advice)
                failing = True
            else:
                failing = False
