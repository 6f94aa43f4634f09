"""What one split's way into a sink logs about failures: each kind at once, and then less and less often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import structlog

from shipper.errors import RetryableError
from shipper.model import Rejection

_HINT = (
    "a mapping, a pipeline or a template of the server is likely at fault: mend it there, and the documents are sent; "
    "`pause_above_refused_share: 1` makes dead letters of them instead"
)

log = structlog.get_logger(__name__)


class FailureLog:
    """Counts failures of each kind until the sink takes documents again. Used by one thread.

    The first of a kind is written, and then the second, the fourth, the eighth and so on: a long wait stays in sight
    and does not fill the log.
    """

    def __init__(self, sink: str, source: str) -> None:
        self._sink = sink
        self._source = source
        self._failures: Counter[str] = Counter()

    def failed(self, error: RetryableError, *, told: bool = False) -> None:
        """Write that an attempt failed.

        Args:
            told: the log has it already, as a mass refusal.
        """
        attempts = self._due("")
        if attempts and not told:
            say = log.error if error.paused else log.warning
            words = "sink does not take documents, trying again"
            say(words, sink=self._sink, source=self._source, why=error.advice, attempts=attempts)

    def mass_refusal(self, refusals: Sequence[Rejection], answered: int) -> None:
        """Write that documents wait because they were refused for a fault that is not theirs.

        Args:
            refusals: all for one reason.
            answered: how many documents the server answered for in this attempt.
        """
        first = refusals[0]
        attempts = self._due(first.reason)
        if attempts:
            log.error(
                "sink refuses documents alike, they wait for a person",
                sink=self._sink,
                source=self._source,
                documents=len(refusals),
                of=answered,
                reason=first.reason,
                why=first.answer,
                hint=first.hint or _HINT,
                attempts=attempts,
            )

    def succeeded(self) -> None:
        """Write that the sink takes documents again, where it did not."""
        if self._failures:
            self._failures.clear()
            log.info("sink takes documents again", sink=self._sink, source=self._source)

    def _due(self, kind: str) -> int:
        """Count a failure; return how many there were of its kind, or 0 where nothing is to be written."""
        self._failures[kind] += 1
        count = self._failures[kind]
        return count if count & (count - 1) == 0 else 0
