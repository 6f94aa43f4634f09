"""A circuit breaker for each collector: the load is spread over those that work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shipper.metrics import Metrics

_FIRST_REST_SECONDS = 1.0
_LONGEST_REST_SECONDS = 60.0


@dataclass(slots=True)
class _State:
    """One collector: how often it failed in a row, and until when it rests (monotonic seconds)."""

    failures: int = 0
    until: float = 0.0


class Breakers:
    """Which collector is next. Safe to use from many threads.

    A collector that fails rests for a second, and twice as long each time that it fails again, up to a minute. After
    its rest one request tries it, and the others stay away until that one worked. Where all rest, the one whose rest
    ends first is tried: waiting is the retry loop's.

    Args:
        clock: monotonic seconds.
    """

    def __init__(
        self, sink: str, urls: Sequence[str], metrics: Metrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._states = {url: _State() for url in urls}
        self._order = list(urls)
        self._clock = clock
        self._lock = threading.Lock()
        self._up = {url: metrics.sink_endpoint_up.labels(sink, url) for url in urls}
        for gauge in self._up.values():
            gauge.set(1)

    def next(self) -> str:
        """The collector whose turn it is."""
        now = self._clock()
        with self._lock:
            url = min(self._order, key=lambda url: max(self._states[url].until, now))
            self._order.remove(url)
            self._order.append(url)
            state = self._states[url]
            if state.failures:
                state.until = max(state.until, now) + self._rest(state)
            return url

    def worked(self, url: str) -> None:
        """It answered as it should."""
        with self._lock:
            self._states[url] = _State()
            self._up[url].set(1)

    def failed(self, url: str) -> None:
        """It did not answer, or takes nothing."""
        with self._lock:
            state = self._states[url]
            state.failures += 1
            state.until = self._clock() + self._rest(state)
            self._up[url].set(0)

    @staticmethod
    def _rest(state: _State) -> float:
        return float(min(_FIRST_REST_SECONDS * 2.0 ** min(state.failures - 1, 10), _LONGEST_REST_SECONDS))
