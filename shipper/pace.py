"""How much one sink takes at a time, and how many alike refusals are too many: shared by all splits on their way."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

from shipper.model import Rejection

_LEAST_DOCUMENTS = 10
_MOST_DOCUMENTS = 1 << 20
_FEW_REFUSALS = 50


class Pace:
    """One sink's limits, as its answers teach them. Safe to use from any thread.

    Args:
        refused_share: of a batch; when more than this share of it is refused for one and the same reason, the fault is
            in the server's set-up (a mapping, a pipeline, a token) and not in the documents. 1 never says so.
    """

    def __init__(self, refused_share: float = 1.0) -> None:
        self._refused_share = refused_share
        self._lock = threading.Lock()
        self._documents = _MOST_DOCUMENTS

    @property
    def documents(self) -> int:
        """Most documents to send in one attempt."""
        return self._documents

    def busy(self, sent: int) -> None:
        """The server asked for less than `sent` documents at once: halve."""
        with self._lock:
            self._documents = max(_LEAST_DOCUMENTS, min(self._documents, sent) // 2)

    def well(self, sent: int) -> None:
        """An attempt of `sent` documents went through: where that was as many as allowed, allow twice as many."""
        if sent >= self._documents:
            with self._lock:
                self._documents = min(self._documents * 2, _MOST_DOCUMENTS)

    def refused_alike(self, batch: int, rejected: Sequence[Rejection]) -> list[Rejection]:
        """Return the refusals that are too many of one kind; empty where each document is at fault by itself.

        What a server keeps aside is not among them: waiting would send it there once more.

        Args:
            batch: how many documents were sent.
        """
        if len(rejected) < _FEW_REFUSALS:
            return []
        reasons = Counter(r.reason for r in rejected if not r.stored)
        if not reasons:
            return []
        reason, count = reasons.most_common(1)[0]
        if count < _FEW_REFUSALS or count <= self._refused_share * batch:
            return []
        return [r for r in rejected if r.reason == reason and not r.stored]
