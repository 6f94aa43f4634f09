"""One split on its way to Splunk: what an answer means for each event, and which are not sent twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.model import Document, Rejection, SendResult
from shipper.sinks.splunk_hec_answers import HecAnswer, Meaning, understand
from shipper.sinks.splunk_hec_connection import Link, Links, NoAnswerError
from shipper.sinks.splunk_hec_requests import Endpoint, HecRequest, covered, request

_WORKED = frozenset({Meaning.TAKEN, Meaning.EVENT, Meaning.TOO_LARGE})


class Poster:
    """Sends requests and counts what may stand twice in Splunk for it. Safe to use from many threads."""

    def __init__(self, sink: str, links: Links, endpoint: Endpoint, metrics: Metrics) -> None:
        self.links = links
        self.endpoint = endpoint
        self.waiting = metrics.acks_waiting.labels(sink)
        self.received_only = metrics.received_only.labels(sink)
        self._possible_duplicates = metrics.possible_duplicates.labels(sink)

    def post(self, made: HecRequest, link: Link, *, channel: bool = False) -> HecAnswer:
        """Send one request and understand the answer.

        Args:
            channel: name the link's channel.

        Raises:
            RetryableError: no answer arrived; what the server did is unknown.
        """
        headers = {"Content-Encoding": "gzip"}
        if channel or self.endpoint == "raw":
            headers["X-Splunk-Request-Channel"] = link.channel.guid
        try:
            status, body, after = link.request("POST", made.path, made.body, headers=headers, params=made.params)
        except NoAnswerError as error:
            self.links.breakers.failed(link.url)
            if error.sent:
                self.may_stand_twice(made.events)
            raise
        answer = understand(status, body, after)
        if answer.meaning in _WORKED:
            self.links.breakers.worked(link.url)
        else:
            self.links.breakers.failed(link.url)
        if answer.meaning is Meaning.UNKNOWN:
            self.may_stand_twice(made.events)
        elif answer.meaning is Meaning.EVENT and answer.bad_event is None:
            self.may_stand_twice(made.events - 1)
        return answer

    def may_stand_twice(self, events: int) -> None:
        """Count events that are sent again although Splunk may have them."""
        self._possible_duplicates.inc(events)


class SplunkHecDelivery:
    """A delivery without acknowledgement: what Splunk received counts as delivered. Used by one thread."""

    def __init__(self, poster: Poster) -> None:
        self._poster = poster
        self._delivered = 0

    def send(self, documents: Sequence[Document]) -> SendResult:
        """Send a batch; an unacceptable event is isolated, and those before it are not sent twice."""
        result = transmit(documents, self._poster.endpoint, self._post)
        self._delivered += result.delivered
        return result

    def finish(self) -> None:
        """Nothing is awaited: HEC without acknowledgement answers when it has received."""

    def abandon(self) -> None:
        """What was received is shipped again with the split."""
        self._poster.may_stand_twice(self._delivered)
        self._delivered = 0

    def _post(self, documents: Sequence[Document]) -> HecAnswer:
        return self._poster.post(request(self._poster.endpoint, documents), self._poster.links.next())


def transmit(
    documents: Sequence[Document], endpoint: Endpoint, post: Callable[[Sequence[Document]], HecAnswer]
) -> SendResult:
    """Send a batch in as few requests as its bad events allow.

    Args:
        post: sends documents in one request.

    Raises:
        RetryableError: nothing at all is known or done.
    """
    delivered, at, alone = 0, 0, False
    rejected: list[Rejection] = []
    while at < len(documents):
        end = at + 1 if alone else covered(endpoint, documents, at)
        try:
            answer = post(documents[at:end])
        except RetryableError as error:
            if not delivered and not rejected:
                raise
            return _partial(delivered, rejected, range(at, len(documents)), str(error), paused=error.paused)
        if answer.meaning is Meaning.TAKEN:
            delivered += end - at
            at, alone = end, False
            continue
        prefix = _prefix(answer, end - at)
        delivered += prefix
        at += prefix
        if answer.meaning is Meaning.EVENT and end - at == 1 and not prefix:
            rejected.append(Rejection(at, f"hec_code_{answer.code}", answer.words))
            at, alone = end, False
        elif answer.meaning is Meaning.EVENT and answer.bad_event is not None and answer.bad_event == prefix:
            alone = True  # it is tried once more, to be sure that it is the one
        elif answer.meaning is Meaning.TOO_LARGE and end - at == 1:
            rejected.append(Rejection(at, "request_too_large", answer.words))
            at, alone = end, False
        else:
            return _later(delivered, rejected, range(at, len(documents)), answer)
    return SendResult(delivered, rejected=tuple(rejected))


def _prefix(answer: HecAnswer, count: int) -> int:
    """How many events before the unacceptable one were received; 0 where the server did not say."""
    number = answer.bad_event
    return number if number is not None and number < count else 0


def _later(delivered: int, rejected: list[Rejection], left: range, answer: HecAnswer) -> SendResult:
    """What an answer that takes nothing means for the events that are left.

    Raises:
        RetryableError: nothing at all is known or done.
    """
    if answer.meaning in {Meaning.TOO_LARGE, Meaning.EVENT} and not delivered and not rejected:
        # too long, or one of them unacceptable and not named: halves tell
        return SendResult(0, retry=tuple(left), retry_reason=answer.words, too_large=True)
    paused = answer.meaning is Meaning.REFUSED
    words = f"{answer.words}; {answer.hint}" if answer.hint else answer.words
    if not delivered and not rejected:
        raise RetryableError(words, answer.retry_after, paused=paused)
    return _partial(delivered, rejected, left, words, answer.retry_after, paused=paused)


def _partial(
    delivered: int,
    rejected: list[Rejection],
    left: range,
    reason: str,
    retry_after: float | None = None,
    *,
    paused: bool,
) -> SendResult:
    return SendResult(
        delivered,
        rejected=tuple(rejected),
        retry=tuple(left),
        retry_reason=reason,
        retry_after=retry_after,
        paused=paused,
    )
