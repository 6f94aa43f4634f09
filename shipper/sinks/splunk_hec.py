"""Splunk's HTTP Event Collector as a sink: batches of complete envelopes, one attempt each.

Splunk does not recognise an event that it has: what is sent again after an ambiguous answer can stand twice, under the
same `event_uid`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence

import requests
from isal import igzip

from shipper import __version__
from shipper.errors import RetryableError
from shipper.model import Document, Problem, Rejection, SendResult, Split
from shipper.ports import SchemaName
from shipper.sinks.splunk_hec_answers import HecAnswer, Meaning, understand

_EVENTS = "/services/collector/event"
_HEALTH = "/services/collector/health"
_CONNECT_SECONDS = 10.0
_REST_SECONDS = 30.0
_COMPRESSION = 1


class SplunkHecSink:
    """Implements `ports.Sink` over one or more collectors.

    Args:
        urls: such as `https://splunk:8088`; batches go round, a collector that fails rests for 30 seconds.
        token: HEC token; it is shown nowhere.
        ca_certs, client_cert, client_key: PEM files.
        batch_bytes: Splunk Cloud documents 1 MB as the most for one request, uncompressed.
        proxy: URL of a proxy; the environment's proxies are not used.
    """

    schema: SchemaName = "splunk"

    def __init__(
        self,
        name: str,
        urls: Sequence[str],
        token: str,
        *,
        ca_certs: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
        verify_certs: bool = True,
        request_timeout_seconds: float = 60.0,
        batch_bytes: int = 900_000,
        batch_documents: int = 5000,
        proxy: str | None = None,
    ) -> None:
        self.name = name
        self.batch_bytes = batch_bytes
        self.batch_documents = batch_documents
        self._endpoints = _Endpoints(urls)
        self._authorization = f"Splunk {token}"
        self._verify: bool | str = (ca_certs or True) if verify_certs else False
        self._cert = (client_cert, client_key) if client_cert and client_key else client_cert
        self._proxies = {"http": proxy, "https": proxy} if proxy else {}
        self._timeout = (min(_CONNECT_SECONDS, request_timeout_seconds), request_timeout_seconds)
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Nothing has to be installed; an unreachable collector shows at the first batch."""

    def open(self, split: Split) -> SplunkHecDelivery:  # noqa: ARG002 - every split goes the same way
        """Begin a split's delivery."""
        return SplunkHecDelivery(self)

    def post(self, documents: Sequence[Document]) -> HecAnswer:
        """Send envelopes in one request and understand the answer.

        Raises:
            RetryableError: no answer arrived; what the server did is unknown.
        """
        body = igzip.compress(b"\n".join([document.body for document in documents]), _COMPRESSION)
        url = self._endpoints.next()
        status, answer, retry_after = self._request("POST", url, _EVENTS, body, {"Content-Encoding": "gzip"})
        understood = understand(status, answer, retry_after)
        if understood.meaning is Meaning.BUSY:
            self._endpoints.rest(url)
        return understood

    def problems(self) -> Iterable[Problem]:
        """Ask each collector for its health and the token's validity, without sending an event."""
        where = f"sinks.{self.name}"
        for url in self._endpoints.urls:
            yield from self._problems_of(url, where)
        yield Problem(
            where,
            "success means that Splunk received the events, not yet that it indexed them",
            "this is how HEC works without indexer acknowledgement",
            serious=False,
        )

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for session in self._sessions:
                session.close()
            self._sessions.clear()

    def _problems_of(self, url: str, where: str) -> Iterable[Problem]:
        try:
            status, body, _ = self._request("GET", url, _HEALTH, None, {})
            health = understand(status, body)
            # An empty request is answered "No data" where the token is good.
            status, body, _ = self._request("POST", url, _EVENTS, b"", {})
            token = understand(status, body)
        except RetryableError as error:
            yield Problem(where, str(error), "check the URL, the network and the certificates")
            return
        if health.meaning is Meaning.BUSY:
            yield Problem(where, f"{url} is not healthy: {health.words}", "look at the server's queues", serious=False)
        if token.meaning is not Meaning.EVENT or token.code != 5:
            hint = token.hint or "is this the URL of an HTTP Event Collector, usually port 8088?"
            yield Problem(where, f"{url} does not accept the token: {token.words}", hint)

    def _request(
        self, method: str, url: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes, str | None]:
        try:
            answer = self._session().request(
                method, url + path, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
            )
        except requests.exceptions.SSLError as error:
            self._endpoints.rest(url)
            raise RetryableError(f"TLS to {url} failed: {_innermost(error)}", paused=True) from error
        except (requests.exceptions.RequestException, OSError) as error:
            self._endpoints.rest(url)
            raise RetryableError(f"{url} cannot be reached, or broke off: {_innermost(error)}") from error
        return answer.status_code, answer.content, answer.headers.get("Retry-After")

    def _session(self) -> requests.Session:
        """This thread's connections: a session is not safe to share."""
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            # the environment could replace our credentials (netrc) and certificates
            session.trust_env = False
            session.verify = self._verify
            session.cert = self._cert
            session.proxies = dict(self._proxies)
            session.headers = {
                "Authorization": self._authorization,
                "Content-Type": "application/json",
                "User-Agent": f"shipper/{__version__}",
            }
            self._local.session = session
            with self._lock:
                self._sessions.append(session)
        return session


class SplunkHecDelivery:
    """One split on its way to Splunk. Used by one thread."""

    def __init__(self, sink: SplunkHecSink) -> None:
        self._sink = sink

    def send(self, documents: Sequence[Document]) -> SendResult:
        """Send a batch; an unacceptable event is isolated, and those before it are not sent twice."""
        delivered, at = 0, 0
        rejected: list[Rejection] = []
        while at < len(documents):
            alone = len(documents) - at == 1
            try:
                answer = self._sink.post(documents[at:])
                if answer.meaning is Meaning.EVENT and (prefix := _prefix(answer, len(documents) - at)):
                    delivered += prefix
                    at += prefix
                    alone = True
                    answer = self._sink.post(documents[at : at + 1])
                    if answer.meaning is Meaning.TAKEN:
                        delivered += 1
                        at += 1
                        continue
            except RetryableError as error:
                if not delivered and not rejected:
                    raise
                return _partial(delivered, rejected, range(at, len(documents)), str(error), paused=error.paused)
            if answer.meaning is Meaning.TAKEN:
                delivered += len(documents) - at
                at = len(documents)
            elif answer.meaning is Meaning.EVENT and (alone or answer.bad_event == 0):
                # the first one left is the unacceptable one
                rejected.append(Rejection(at, f"hec_code_{answer.code}", answer.words))
                at += 1
            elif answer.meaning is Meaning.TOO_LARGE and alone:
                rejected.append(Rejection(at, "request_too_large", answer.words))
                at += 1
            else:
                return _later(delivered, rejected, range(at, len(documents)), answer)
        return SendResult(delivered, rejected=tuple(rejected))

    def finish(self) -> None:
        """Nothing is awaited: HEC without acknowledgement answers when it has received."""

    def abandon(self) -> None:
        """Nothing is held."""


def _prefix(answer: HecAnswer, count: int) -> int:
    """How many events before the unacceptable one were received; 0 where the server did not say."""
    number = answer.bad_event
    return number if number is not None and 0 < number < count else 0


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


class _Endpoints:
    """The collectors, taken in turn; one that failed rests while another one works. Safe to use from many threads."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.urls = [url.rstrip("/") for url in urls]
        self._resting: dict[str, float] = {}
        self._turn = 0
        self._lock = threading.Lock()

    def next(self) -> str:
        now = time.monotonic()
        with self._lock:
            order = self.urls[self._turn :] + self.urls[: self._turn]
            self._turn = (self._turn + 1) % len(self.urls)
            # where all rest, the one whose rest ends first is tried
            return min(order, key=lambda url: max(self._resting.get(url, 0.0), now))

    def rest(self, url: str) -> None:
        with self._lock:
            self._resting[url] = time.monotonic() + _REST_SECONDS


def _innermost(error: BaseException) -> str:
    """The words of the first cause: what wraps it repeats it, with addresses of objects."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return str(error) or type(error).__name__
