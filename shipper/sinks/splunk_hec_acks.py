"""Deliveries with indexer acknowledgement: an event counts as delivered when Splunk has indexed it.

Splunk forgets an ackId once it answered true, so that an answer lost on the way leaves false for ever; what is not
confirmed in time is therefore sent again, under another channel, and counted as what may stand twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import orjson

from shipper.errors import RetryableError
from shipper.model import Document, SendResult
from shipper.ports import Stop
from shipper.sinks.splunk_hec_answers import HecAnswer, Meaning, acknowledged, understand
from shipper.sinks.splunk_hec_connection import Channel, Link, NoAnswerError
from shipper.sinks.splunk_hec_delivery import Poster, transmit
from shipper.sinks.splunk_hec_requests import HecRequest, request

ACK_PATH = "/services/collector/ack"
_MOST_ASKED = 1000
_MOST_SENDS = 3
_FIRST_POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class AckPolicy:
    """How acknowledgements are awaited.

    Attributes:
        timeout_seconds: what is not confirmed by then is sent again.
        poll_seconds: longest time between two looks.
        most_pending: requests of one delivery that may be unconfirmed; then sending waits.
    """

    timeout_seconds: float = 300.0
    poll_seconds: float = 10.0
    most_pending: int = 32


@dataclass(slots=True, eq=False)
class _Pending:
    """A request that is not confirmed.

    Attributes:
        link: None when it has to be sent again.
        due: when it counts as lost, or, to be sent again, when that is given up; monotonic seconds.
        waiting: what the retry waits for, in words.
    """

    request: HecRequest
    link: Link | None
    channel: Channel
    ack_id: int
    due: float
    sends: int = 1
    waiting: str = ""


class AckedDelivery:
    """One split on its way to Splunk, confirmed by the indexers. Used by one thread."""

    def __init__(
        self, poster: Poster, policy: AckPolicy, stop: Stop, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._poster = poster
        self._policy = policy
        self._stop = stop
        self._clock = clock
        self._delivered = self._taken = 0
        self._pending: list[_Pending] = []

    def send(self, documents: Sequence[Document]) -> SendResult:
        """Send a batch; waits first where too much is unconfirmed."""
        self._confirm(self._policy.most_pending - 1)
        taken = self._taken
        result = transmit(documents, self._poster.endpoint, self._post)
        self._delivered += result.delivered
        # What stood before an unacceptable event is indexed, and the refusal carries no ackId to ask about.
        self._poster.received_only.inc(result.delivered - (self._taken - taken))
        return result

    def finish(self) -> None:
        """Return when Splunk has indexed all that was sent.

        Raises:
            RetryableError: it cannot be confirmed; the split is shipped again.
        """
        self._confirm(0)

    def abandon(self) -> None:
        """What was sent is sent again with the split; nobody asks for its acknowledgements."""
        self._poster.may_stand_twice(self._delivered)
        self._delivered = 0
        self._forget(self._pending)

    def _post(self, documents: Sequence[Document]) -> HecAnswer:
        made = request(self._poster.endpoint, documents)
        answer, pending = self._sent(made)
        if pending:
            self._taken += made.events
            self._pending.append(pending)
            self._poster.waiting.inc()
        return answer

    def _sent(self, made: HecRequest) -> tuple[HecAnswer, _Pending | None]:
        """Send a request; what was taken has to be confirmed.

        Raises:
            RetryableError: no answer, or one without an ackId.
        """
        link = self._poster.links.next()
        self._check(link)
        channel = link.channel
        answer = self._poster.post(made, link, channel=True)
        if answer.meaning is not Meaning.TAKEN:
            return answer, None
        if answer.ack_id is None:
            channel.checked = False
            self._poster.may_stand_twice(made.events)
            raise RetryableError(f"{link.url} took events, but gave no ackId: {answer.words}", paused=True)
        if answer.ack_id <= channel.last and not channel.void:
            link.void()  # the server was restarted, or another one answered, and began to count anew
        channel.last = answer.ack_id
        due = self._clock() + self._policy.timeout_seconds
        return answer, _Pending(made, link, channel, answer.ack_id, due)

    def _check(self, link: Link) -> None:
        """Ask once for each channel whether acknowledgement is on, before anything is sent.

        Raises:
            RetryableError: it is off.
        """
        if link.channel.checked:
            return
        channel = link.channel
        try:
            status, body, after = _ask(link, channel, [0])
        except NoAnswerError:
            self._poster.links.breakers.failed(link.url)
            raise
        if acknowledged(status, body) is None:
            answer = understand(status, body, after)
            self._poster.links.breakers.failed(link.url)
            raise RetryableError(
                f"{link.url} does not acknowledge: {answer.words}; {answer.hint}",
                answer.retry_after,
                paused=answer.meaning is Meaning.REFUSED,
            )
        channel.checked = True

    def _confirm(self, most: int) -> None:
        """Ask, and send again what is lost, until at most so many requests are unconfirmed.

        Raises:
            RetryableError: a request was lost too often, or cannot be sent again.
            Stopped: the process ends.
        """
        pause = min(_FIRST_POLL_SECONDS, self._policy.poll_seconds)
        while len(self._pending) > most:
            self._poll()
            self._send_lost_again()
            if len(self._pending) > most:
                self._stop.wait(pause)
                pause = min(pause * 2, self._policy.poll_seconds)

    def _poll(self) -> None:
        """Ask about every channel; no answer, or one that cannot be read, leaves all as it is."""
        for channel, asked in self._by_channel():
            link = asked[0].link
            if link is None or channel.void:
                continue
            try:
                status, body, _ = _ask(link, channel, [pending.ack_id for pending in asked])
            except NoAnswerError:
                continue
            confirmed = acknowledged(status, body)
            if confirmed and not channel.void:  # a changed cookie says that another indexer answered
                self._forget([pending for pending in asked if pending.ack_id in confirmed])

    def _by_channel(self) -> Iterator[tuple[Channel, list[_Pending]]]:
        channels: dict[Channel, list[_Pending]] = {}
        for pending in self._pending:
            if pending.link is not None:
                channels.setdefault(pending.channel, []).append(pending)
        for channel, asked in channels.items():
            yield channel, asked[:_MOST_ASKED]

    def _send_lost_again(self) -> None:
        now = self._clock()
        for pending in list(self._pending):
            if pending.link is not None:
                if not pending.channel.void and now < pending.due:
                    continue
                self._lose(pending, pending.link, now)
            try:
                answer, again = self._sent(pending.request)
            except RetryableError as error:
                words = str(error)
            else:
                words = answer.words
                if again is not None:
                    again.sends = pending.sends + 1
                    self._pending[self._pending.index(pending)] = again
                    continue
            if now >= pending.due:
                raise RetryableError(f"what Splunk did not confirm cannot be sent again: {words}", restart=True)

    def _lose(self, pending: _Pending, link: Link, now: float) -> None:
        """A request will not be confirmed any more.

        Raises:
            RetryableError: not for the first time.
        """
        if pending.channel is link.channel:
            link.renew()
        self._poster.may_stand_twice(pending.request.events)
        if pending.sends >= _MOST_SENDS:
            raise RetryableError(
                f"{link.url} did not confirm that it indexed what was sent {pending.sends} times, "
                f"each within {self._policy.timeout_seconds:g} seconds",
                restart=True,
            )
        pending.link = None
        pending.due = now + self._policy.timeout_seconds

    def _forget(self, done: Sequence[_Pending]) -> None:
        gone = set(done)
        self._poster.waiting.dec(len(gone))
        self._pending = [pending for pending in self._pending if pending not in gone]


def _ask(link: Link, channel: Channel, numbers: Sequence[int]) -> tuple[int, bytes, str | None]:
    headers = {"X-Splunk-Request-Channel": channel.guid}
    return link.request("POST", ACK_PATH, orjson.dumps({"acks": numbers}), headers=headers)
