"""How much one sink takes at a time, and how many alike refusals are too many: shared by all splits on their way."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from shipper.model import Rejection

_LEAST_DOCUMENTS = 10
_MOST_DOCUMENTS = 1 << 20
_FEW_REFUSALS = 50
# Fewer documents that wait and are then refused for another reason do not show that the server's fault lasts.
_FEW_HELD = 10
_RUNS_LIMIT = 1000


@dataclass(slots=True)
class _Run:
    """Attempts in a row over which more than the allowed share was refused for one reason.

    Attributes:
        sent, refused: documents since the run began.
        waits: there were enough of them: what is refused alike waits from now on.
    """

    sent: int = 0
    refused: int = 0
    waits: bool = False


class Pace:
    """One sink's limits, as its answers teach them. Safe to use from any thread.

    Alike refusals are counted over time and over all splits, because a quiet source sends batches of a few documents:
    a run begins with a batch of which more than the share is refused for one reason, and ends as soon as no more than
    the share of all that was sent since is. Runs are kept apart by group, so that a fault of one data stream is seen
    though others do well.

    Args:
        refused_share: when more than this share is refused for one and the same reason, the fault is in the server's
            set-up (a mapping, a pipeline, a token) and not in the documents. 1 never says so.
    """

    def __init__(self, refused_share: float = 1.0) -> None:
        self._refused_share = refused_share
        self._lock = threading.Lock()
        self._documents = _MOST_DOCUMENTS
        self._runs: dict[tuple[str, str], _Run] = {}
        self._paused: set[int] = set()

    @property
    def documents(self) -> int:
        """Most documents to send in one attempt."""
        return self._documents

    @property
    def holds(self) -> bool:
        """Whether documents may wait for a person after a refusal; with a share of 1 they become dead letters."""
        return self._refused_share < 1

    def busy(self, sent: int) -> None:
        """The server asked for less than `sent` documents at once: halve."""
        with self._lock:
            self._documents = max(_LEAST_DOCUMENTS, min(self._documents, sent) // 2)

    def well(self, sent: int) -> None:
        """An attempt of `sent` documents went through: where that was as many as allowed, allow twice as many."""
        if sent >= self._documents:
            with self._lock:
                self._documents = min(self._documents * 2, _MOST_DOCUMENTS)

    def paused(self, outlet: int, *, waits: bool) -> bool:
        """Note whether one outlet waits for a person, and return whether any of this sink's outlets does."""
        if not waits and not self._paused:
            return False
        with self._lock:
            (self._paused.add if waits else self._paused.discard)(outlet)
            return bool(self._paused)

    def refused_alike(
        self, batch: int, rejected: Sequence[Rejection], group: str = "", *, held_for: str = ""
    ) -> list[Rejection]:
        """Return the refusals that are too many of one kind; empty where each document is at fault by itself.

        What a server keeps aside is not among them: waiting would send it there once more.

        Args:
            batch: how many documents the server answered for.
            group: what they were sent to, such as the data stream.
            held_for: the reason for which this very batch was refused before and has waited; "" for a first attempt.
                Such a batch is not counted again. When no more than the share of it is still refused the fault is
                mended, and those few are at fault by themselves.
        """
        if not self.holds or not (rejected or self._runs):
            return []
        counts = Counter(r.reason for r in rejected if not r.stored)
        with self._lock:
            if held_for:
                waiting = self._still_waiting(group, held_for, counts, batch)
            else:
                waiting = self._count(group, counts, batch)
        return [r for r in rejected if r.reason in waiting and not r.stored]

    def _still_waiting(self, group: str, held_for: str, counts: Counter[str], batch: int) -> set[str]:
        run = self._runs.get((group, held_for))
        if run is None or not run.waits:  # mended meanwhile, as another batch has shown
            return self._count(group, counts, batch)
        most = self._refused_share * batch
        waiting = {
            reason for reason, count in counts.items() if count > most and (reason == held_for or count >= _FEW_HELD)
        }
        if held_for not in waiting:
            del self._runs[group, held_for]
        for reason in waiting:
            self._run(group, reason).waits = True
        return waiting

    def _count(self, group: str, counts: Counter[str], batch: int) -> set[str]:
        """Count an attempt, and return the reasons for which what was refused waits."""
        for key, run in list(self._runs.items()):
            if key[0] == group and key[1] not in counts and not run.waits:
                run.sent += batch
                if run.refused <= self._refused_share * run.sent:
                    del self._runs[key]
        waiting = set()
        for reason, count in counts.items():
            much = count > self._refused_share * batch
            if not much and (group, reason) not in self._runs:
                continue
            run = self._run(group, reason)
            run.sent += batch
            run.refused += count
            if run.refused <= self._refused_share * run.sent and not run.waits:
                del self._runs[group, reason]
                continue
            run.waits = run.waits or run.refused >= _FEW_REFUSALS
            if run.waits and much:
                waiting.add(reason)
        return waiting

    def _run(self, group: str, reason: str) -> _Run:
        if len(self._runs) >= _RUNS_LIMIT:
            self._runs = {key: run for key, run in self._runs.items() if run.waits}
        return self._runs.setdefault((group, reason), _Run())
