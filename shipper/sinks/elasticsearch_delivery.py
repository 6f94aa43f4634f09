"""One split's way into Elasticsearch: what may be stored already is looked for before it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from shipper.errors import RetryableError
from shipper.model import Document, Rejection, SendResult
from shipper.ports import Clock, wall_clock


class Cluster(Protocol):
    """What a delivery needs of its sink."""

    def held(self, documents: Sequence[Document], since: float) -> set[str]:
        """Return the ids of the documents that are stored; see `Again.held`."""

    def send(self, documents: Sequence[Document]) -> SendResult:
        """Send one batch, once. See `ports.Delivery.send`."""


class ElasticsearchDelivery:
    """A split's delivery. An answered batch is durable (fsynced translog), so there is nothing to finish.

    Args:
        maybe_shipped: as the split has it: every document is looked for before it is sent at first. Otherwise only
            those of a batch that had no answer are, before they are sent again.
        oldest: when the oldest of the split's data became visible, in seconds since the epoch.
    """

    def __init__(
        self, sink: Cluster, *, maybe_shipped: bool = False, oldest: float = 0.0, clock: Clock = wall_clock
    ) -> None:
        self._sink = sink
        self._maybe_shipped = maybe_shipped
        self._oldest = oldest
        self._opened = clock()
        # Ids of the batches that are not done: sent without an answer, looked for without being there, and there.
        self._doubtful: set[str] = set()
        self._absent: set[str] = set()
        self._stored: set[str] = set()

    def send(self, documents: Sequence[Document]) -> SendResult:
        """Send one batch, once; what may be stored already only where it is not there.

        Raises:
            RetryableError: nothing is known of the batch, or the whole of it was refused for now.
        """
        if self._maybe_shipped or self._doubtful:
            self._look(documents)
        try:
            result = self._send_rest(documents) if self._stored else self._sink.send(documents)
        except RetryableError as error:
            if not (error.busy or error.paused):
                unknown = {each.id for each in documents}
                self._doubtful |= unknown
                self._absent -= unknown
            raise
        if self._doubtful or self._absent or self._stored:
            answered = {each.id for each in documents}
            for kept in (self._doubtful, self._absent, self._stored):
                kept.difference_update(answered)
        return result

    def finish(self) -> None:
        """Nothing is held back."""

    def abandon(self) -> None:
        """Nothing is held back."""

    def _look(self, documents: Sequence[Document]) -> None:
        """Ask for the documents that may be stored; a further rollover would hide from `create` what is found."""
        if self._maybe_shipped:
            asked = [each for each in documents if each.id not in self._stored and each.id not in self._absent]
        else:
            asked = [each for each in documents if each.id in self._doubtful and each.id not in self._stored]
        if not asked:
            return
        # No event is stored before it happens, nor before its object is there.
        since = min(self._oldest, *(each.time_ms / 1000 for each in asked)) if self._maybe_shipped else self._opened
        self._stored |= self._sink.held(asked, since)
        self._absent |= {each.id for each in asked} - self._stored

    def _send_rest(self, documents: Sequence[Document]) -> SendResult:
        places = [place for place, each in enumerate(documents) if each.id not in self._stored]
        result = self._sink.send([documents[place] for place in places]) if places else SendResult(0)
        return replace(
            result,
            present=result.present + len(documents) - len(places),
            rejected=placed(result.rejected, places),
            retry=tuple(places[position] for position in result.retry),
            faults=placed(result.faults, places),
        )


def placed(refusals: Sequence[Rejection], places: Sequence[int]) -> tuple[Rejection, ...]:
    """Return refusals with the positions of the whole batch."""
    return tuple(replace(each, position=places[each.position]) for each in refusals)
