"""A bounded memory of answers that cost a network call: asked for in a thread of its own, never waited for."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from shipper.errors import RetryableError, UnreadableError
from shipper.ports import Stop

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_MOST_WAITING = 10_000
_MOST_SAID = 10_000
_FAILED_SECONDS = 60.0
_LONGEST_REST_SECONDS = 300.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Policy:
    """How much is remembered, for how long, and how often the network is asked.

    Attributes:
        most: entries kept; those not used for the longest time go first.
        refresh_seconds: after that an entry is looked up again; the old one serves until then.
        absent_seconds: the same for what is not there or may not be asked for.
        requests_per_second: most look-ups.
    """

    most: int = 10_000
    refresh_seconds: float = 3_600.0
    absent_seconds: float = 600.0
    requests_per_second: float = 5.0


@dataclass(frozen=True, slots=True)
class Report:
    """Where the outcome of look-ups is told.

    Attributes:
        count: told how each ended: `found`, `absent`, `denied`, `failed`, or `put_off` (too many wait).
        known: told how many entries are remembered.
    """

    count: Callable[[str], None]
    known: Callable[[int], None]


@dataclass(slots=True)
class _Known(Generic[Value]):
    """What is known of one key.

    Attributes:
        value: None where nothing is: there is nothing, or it may not be asked for.
        asked_at: when it was asked for, seconds since the epoch; changes before it are in the answer already.
        ask_again_at: on the monotonic clock.
        used: since the last time that room was made.
    """

    value: Value | None
    asked_at: float
    ask_again_at: float
    used: bool = False


class Background(Generic[Key, Value]):
    """Answers from memory, and looks up what is missing or old in a thread of its own. Safe to use from many threads.

    The first questions about a key find nothing. A key that is gone at the source keeps what was known of it last.

    Args:
        name: of the thread.
        fetch: looks one key up; None where there is nothing. Blocks; called from one thread. RetryableError means that
            it cannot be asked now, `paused` that a permission is missing; any other exception counts as a failure.
        complain: told a key and why it cannot be asked for, once for each owner and outcome. Takes any key, as `owner`
            does: records are full of odd ones.
        owner: what shares a cause of failure, such as a key's account.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        name: str,
        fetch: Callable[[Key], Value | None],
        report: Report,
        stop: Stop,
        *,
        policy: Policy,
        owner: Callable[[Key], Hashable],
        complain: Callable[[Key, str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._name = name
        self._fetch = fetch
        self._report = report
        self._stop = stop
        self._policy = policy
        self._pause = 1.0 / policy.requests_per_second
        self._owner = owner
        self._complain = complain
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[Key, _Known[Value]] = OrderedDict()
        self._waiting: OrderedDict[Key, None] = OrderedDict()
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None
        self._said: set[tuple[Hashable, str]] = set()

    def get(self, key: Key) -> Value | None:
        """What is known now; looked up in the background where nothing is, or what is known is old."""
        known = self._known.get(key)  # no lock: reading one entry is a single step of the interpreter
        if known is None:
            with self._lock:
                self._want(key)
            return None
        known.used = True
        if known.ask_again_at <= time.monotonic():
            with self._lock:
                self._want(key)
        return known.value

    def change(self, key: Key, update: Callable[[Value | None], Value | None], at: float, seconds: float) -> None:
        """Replace what is known by what `update` makes of it, without asking anyone.

        Nothing happens where the source was asked after the change, or where `update` returns None.

        Args:
            at: when the change was made, seconds since the epoch.
            seconds: how long the new value is believed; 0 has it looked up at the next use.
        """
        with self._lock:
            known = self._known.get(key)
            if known is not None and known.asked_at > at:
                return
            value = update(known.value if known is not None else None)
            if value is not None:
                self._keep(key, value, at, seconds)

    def waiting(self) -> int:
        """How many keys wait to be looked up."""
        return len(self._waiting)

    def _want(self, key: Key) -> None:
        if key in self._waiting or self._stop.requested:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._report.count("put_off")
            return
        self._waiting[key] = None
        self._woken.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()

    def _work(self) -> None:
        failures = 0
        while not self._stop.requested:
            self._woken.wait(1.0)
            with self._lock:
                if not self._waiting:
                    self._woken.clear()
                    continue
                key = next(iter(self._waiting))
            failures = 0 if self._look_up(key) else failures + 1
            self._stop.rest(min(self._pause * 2.0 ** min(failures, 20), _LONGEST_REST_SECONDS))

    def _look_up(self, key: Key) -> bool:
        """Ask for one key; return false where the source had better be left alone for a while."""
        asked_at = self._clock()
        value, seconds, outcome = None, self._policy.absent_seconds, "absent"
        try:
            value = self._fetch(key)
        except (RetryableError, UnreadableError) as error:
            denied = isinstance(error, RetryableError) and error.paused
            outcome = "denied" if denied else "failed"
            seconds = self._policy.absent_seconds if denied else _FAILED_SECONDS
            self._say(key, outcome, error.advice)
        except Exception as error:  # noqa: BLE001 - a document goes out with less rather than not at all
            outcome, seconds = "failed", _FAILED_SECONDS
            self._say(key, outcome, str(error) or type(error).__name__)
        if value is not None:
            outcome, seconds = "found", self._policy.refresh_seconds
        self._report.count(outcome)
        with self._lock:
            self._waiting.pop(key, None)
            known = self._known.get(key)
            if value is None and known is not None:
                value = known.value  # what was known of it last
            self._keep(key, value, asked_at, seconds)
        return outcome != "failed"

    def _say(self, key: Key, outcome: str, why: str) -> None:
        owner = self._owner(key)
        if (owner, outcome) not in self._said and len(self._said) < _MOST_SAID:
            self._said.add((owner, outcome))
            self._complain(key, why)

    def _keep(self, key: Key, value: Value | None, asked_at: float, seconds: float) -> None:
        self._known[key] = _Known(value, asked_at, time.monotonic() + seconds)
        self._known.move_to_end(key)
        while len(self._known) > self._policy.most:
            oldest, known = next(iter(self._known.items()))
            if known.used and oldest != key:
                known.used = False  # a second chance, so that reading needs no lock and no order
                self._known.move_to_end(oldest)
            else:
                del self._known[oldest]
        self._report.known(len(self._known))
