"""How requests reach Splunk's collectors: a connection, cookies and a channel for each thread and collector.

Acknowledgements are kept by one indexer, for one channel: https://help.splunk.com/en/splunk-enterprise/get-data-in/
collect-http-event-data/about-http-event-collector-indexer-acknowledgment. A load balancer's cookie leads to it.
"""

from __future__ import annotations

import ssl
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

import requests
import urllib3

from shipper import __version__
from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.sinks.splunk_hec_breaker import Breakers

_CONNECT_SECONDS = 10.0
_ANSWER_BYTES = 1_048_576
# An Application Load Balancer renews these with every answer, whichever server gave it: they tell of no change.
_RENEWED_COOKIES = "AWSALB"
_NOT_SENT = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)


@dataclass(frozen=True, slots=True)
class HecServers:
    """Where the collectors are, and how they are reached.

    Attributes:
        urls: such as `https://splunk:8088`.
        token: HEC token; it is shown nowhere.
        ca_certs, client_cert, client_key: PEM files.
        proxy: URL of a proxy; the environment's proxies are not used.
        proxy_auth: user name and password at the proxy.
    """

    urls: Sequence[str]
    token: str = field(repr=False)
    ca_certs: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    verify_certs: bool = True
    request_timeout_seconds: float = 60.0
    proxy: str | None = None
    proxy_auth: tuple[str, str] | None = field(default=None, repr=False)


class NoAnswerError(RetryableError):
    """No answer arrived.

    Args:
        sent: false where it is certain that the server saw nothing of the request.
    """

    def __init__(self, message: str, *, sent: bool, paused: bool = False) -> None:
        super().__init__(message, paused=paused)
        self.sent = sent


@dataclass(slots=True, eq=False)
class Channel:
    """What an indexer keeps acknowledgements under.

    Attributes:
        last: the newest ackId; they grow by one.
        checked: the server said that acknowledgement is on.
        void: another indexer answers now, and what was not confirmed never will be.
    """

    guid: str = field(default_factory=lambda: str(uuid.uuid4()))
    last: int = -1
    checked: bool = False
    void: bool = False


class Link:
    """One thread's way to one collector. Used by one thread."""

    def __init__(self, url: str, session: requests.Session, timeout_seconds: float) -> None:
        self.url = url
        self.session = session
        self.channel = Channel()
        self._timeout_seconds = timeout_seconds
        self._affinity: dict[str, str] | None = None

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes, str | None]:
        """Make one request and read the answer: status, body, Retry-After.

        A changed cookie voids the channel.

        Raises:
            NoAnswerError: none arrived in time, or it was too long.
        """
        until = time.monotonic() + self._timeout_seconds
        try:
            with self.session.request(
                method,
                self.url + path,
                data=body,
                headers=headers,
                params=params,
                timeout=(min(_CONNECT_SECONDS, self._timeout_seconds), self._timeout_seconds),
                allow_redirects=False,
                stream=True,
            ) as answer:
                content = b""
                for chunk in answer.iter_content(65_536):
                    content += chunk
                    if len(content) > _ANSWER_BYTES or time.monotonic() > until:
                        raise NoAnswerError(f"{self.url} answers without an end", sent=True)
                self._look_at_cookies()
                return answer.status_code, content, answer.headers.get("Retry-After")
        except requests.exceptions.SSLError as error:
            cause = _innermost(error)
            raise NoAnswerError(
                f"TLS to {self.url} failed: {cause}",
                sent=not isinstance(cause, ssl.SSLCertVerificationError),
                paused=not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError),
            ) from error
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            cause = _innermost(error)
            words = f"{self.url} cannot be reached, or broke off: {str(cause) or type(cause).__name__}"
            raise NoAnswerError(words, sent=not _before_sending(error)) from error

    def renew(self) -> None:
        """Send under another channel from now on; the one so far can still be asked."""
        self.channel = Channel()

    def void(self) -> None:
        """Nothing more can be learned of what was sent under the channel so far."""
        self.channel.void = True
        self.renew()

    def _look_at_cookies(self) -> None:
        now = {
            cookie.name: cookie.value or ""
            for cookie in self.session.cookies
            if not cookie.name.startswith(_RENEWED_COOKIES)
        }
        if self._affinity is not None and now != self._affinity:
            self.void()
        self._affinity = now


class Links:
    """All threads' ways to all collectors. Safe to use from many threads; a link is its thread's alone."""

    def __init__(self, sink: str, servers: HecServers, metrics: Metrics) -> None:
        self.urls = [url.rstrip("/") for url in servers.urls]
        self.breakers = Breakers(sink, self.urls, metrics)
        self._servers = servers
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._lock = threading.Lock()

    def next(self) -> Link:
        """The way to the collector whose turn it is."""
        return self.to(self.breakers.next())

    def to(self, url: str) -> Link:
        """This thread's way to a collector."""
        links: dict[str, Link] = self._local.__dict__.setdefault("links", {})
        if url not in links:
            links[url] = Link(url, self._session(), self._servers.request_timeout_seconds)
        return links[url]

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for session in self._sessions:
                session.close()
            self._sessions.clear()

    def _session(self) -> requests.Session:
        servers = self._servers
        session = requests.Session()
        # the environment could replace our credentials (netrc) and certificates
        session.trust_env = False
        session.verify = (servers.ca_certs or True) if servers.verify_certs else False
        session.cert = (
            (servers.client_cert, servers.client_key)
            if servers.client_cert and servers.client_key
            else servers.client_cert
        )
        if servers.proxy:
            proxy = _with_user(servers.proxy, servers.proxy_auth)
            session.proxies = {"http": proxy, "https": proxy}
        session.headers = {
            "Authorization": f"Splunk {servers.token}",
            "Content-Type": "application/json",
            "User-Agent": f"shipper/{__version__}",
        }
        with self._lock:
            self._sessions.append(session)
        return session


def _with_user(proxy: str, auth: tuple[str, str] | None) -> str:
    """The proxy's address with credentials, which is the only place where requests takes them."""
    if not auth:
        return proxy
    scheme, _, rest = proxy.partition("://")
    return f"{scheme}://{quote(auth[0], safe='')}:{quote(auth[1], safe='')}@{rest}"


def _before_sending(error: BaseException | None) -> bool:
    """Whether the connection was never made, so that nothing can have arrived."""
    while error is not None:
        if isinstance(error, _NOT_SENT):
            return True
        error = getattr(error, "reason", None) or error.__cause__ or error.__context__
        error = error if isinstance(error, BaseException) else None
    return False


def _innermost(error: BaseException) -> BaseException:
    """The first cause: what wraps it repeats its words, with addresses of objects."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
