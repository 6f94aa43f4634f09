"""A strict HTTP Event Collector over HTTP that stores events, or answers as a script says."""

from __future__ import annotations

import json
import ssl
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.fakes import splunk_search
from tests.fakes.http_server import FakeServer, QuietHandler
from tests.fakes.splunk_hec_rules import STATUSES, TEXTS, Acks, Event, Refused, Token, checked_channel, envelopes, lines

TOKEN = "0a1b2c3d-1111-2222-3333-444455556666"
SEARCH_TOKEN = "eyJraWQiOiJzcGx1bmsuc2VjcmV0In0.audit"
_GZIP = 31
_EVENT_PATHS = frozenset({"/services/collector", "/services/collector/event", "/services/collector/event/1.0"})
_RAW_PATHS = frozenset({"/services/collector/raw", "/services/collector/raw/1.0"})
_HEALTH_PATHS = frozenset({"/services/collector/health", "/services/collector/health/1.0"})


@dataclass
class Reply:
    """What goes back on the wire.

    Attributes:
        reset: end the connection with a TCP reset instead.
        stall_seconds: wait first (cut short when the server stops).
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    stall_seconds: float = 0.0


@dataclass
class Request:
    """One request, taken apart.

    Attributes:
        body: decompressed.
        peer: the client's port: equal where a connection was kept alive.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    peer: int

    @property
    def channel(self) -> str:
        """The channel, from the header or the query."""
        return self.headers.get("x-splunk-request-channel", "") or self.query.get("channel", "")


Step = Callable[["FakeSplunk", Request], Reply]


class FakeSplunk(FakeServer):
    """One collector, on a free port of 127.0.0.1.

    Attributes:
        tokens: settings by token.
        script: steps for the next requests with events; when it is empty, they are stored.
        ack_script: the same for queries of acknowledgements.
        events: what was indexed, in order.
        lost: how many of the next requests are received, and never indexed or acknowledged.
        cookie: what every client must send back, or is told to, as a load balancer does ("" for none).
        down: every connection is reset.
        max_content_length: larger bodies are refused.
        whole_batches: the dialect of OpenTelemetry's collector, as it was measured: one bad event refuses all of its
            request, and the answer does not say which; other tokens are refused in plain text.
        search_tokens: users' tokens for the search API, which answers on the same port here.
        search_messages: what a search has to say, beside its results.
        retention: seconds, by index, for the search API.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tokens = {TOKEN: Token()}
        self.script: list[Step] = []
        self.ack_script: list[Step] = []
        self.events: list[Event] = []
        self.acks = Acks()
        self.lost = 0
        self.cookie = ""
        self.down = False
        self.healthy = True
        self.max_content_length = 838_860_800
        self.whole_batches = False
        self.search_tokens = {SEARCH_TOKEN}
        self.search_messages: list[dict[str, str]] = []
        self.retention: dict[str, float] = {}
        self.requests: list[Request] = []
        self.arrived = threading.Event()
        self.lock = threading.RLock()
        super().__init__(_handler(self), tls)

    @property
    def stored(self) -> Counter[str]:
        """How often each event_uid was indexed; more than once is a duplicate."""
        with self.lock:
            return Counter(event.uid for event in self.events)

    @property
    def sends(self) -> list[Request]:
        """The requests that carried events."""
        with self.lock:
            return [request for request in self.requests if request.path in _EVENT_PATHS | _RAW_PATHS]

    @property
    def polls(self) -> list[Request]:
        """The queries of acknowledgements."""
        with self.lock:
            return [request for request in self.requests if request.path == "/services/collector/ack"]

    def answer(self, request: Request) -> Reply:
        """Answer one request as the script says, else as Splunk does."""
        with self.lock:
            self.requests.append(request)
            self.arrived.set()
            script = self.ack_script if request.path == "/services/collector/ack" else self.script
            step = script.pop(0) if script and request.method == "POST" else None
        if self.down:
            return Reply(reset=True)
        return step(self, request) if step else self.serve(request)

    def serve(self, request: Request) -> Reply:
        """Answer as Splunk does."""
        with self.lock:
            if request.path.startswith(("/services/search/", "/services/data/")):
                return self._searched(request)
            if request.path in _HEALTH_PATHS and request.method == "GET":
                return coded(17 if self.healthy else 18)
            if request.path not in _EVENT_PATHS | _RAW_PATHS | {"/services/collector/ack"}:
                return Reply(404, b'{"text":"The requested URL was not found on this server.","code":404}')
            if request.method != "POST":
                return Reply(405, b'{"text":"Method Not Allowed","code":405}')
            if len(request.body) > self.max_content_length:
                words = f"Content-Length of {len(request.body)} too large (maximum is {self.max_content_length})"
                return Reply(413, words.encode(), "text/plain")
            try:
                return self._serve(request, self._token(request.headers.get("authorization", "")))
            except Refused as refusal:
                if self.whole_batches and refusal.code in {2, 3, 4}:
                    return Reply(401, b"Unauthorized", "text/plain")
                return coded(refusal.code, **_number(None if self.whole_batches else refusal.number))

    def _serve(self, request: Request, token: Token) -> Reply:
        if request.path == "/services/collector/ack":
            if not token.ack:
                raise Refused(14)
            channel = checked_channel(request.channel, required=True)
            return Reply(body=json.dumps({"acks": self.acks.ask(channel, json.loads(request.body)["acks"])}).encode())
        raw = request.path in _RAW_PATHS
        channel = checked_channel(request.channel, required=token.ack or raw)
        text = request.body.decode("utf-8", "replace")
        lost = self.lost > 0
        self.lost = max(self.lost - 1, 0)
        # one by one: those before an unacceptable one are indexed
        found: Iterator[Event] = lines(text, request.query, token) if raw else envelopes(text, token)
        for event in list(found) if self.whole_batches else found:
            if not lost:
                self.events.append(event)
        if not token.ack:
            return coded(0)
        never, self.acks.never = self.acks.never, self.acks.never or lost
        number = self.acks.give(channel)
        self.acks.never = never
        return coded(0, ackId=number)

    def _searched(self, request: Request) -> Reply:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or token not in self.search_tokens:
            return Reply(401, b'{"messages":[{"type":"WARN","text":"call not properly authenticated"}]}')
        if request.method == "GET":
            settings = splunk_search.index_settings(request.path, self.retention)
            return Reply(404, b'{"messages":[]}') if settings is None else Reply(body=settings)
        if request.path != splunk_search.JOBS:
            return Reply(404, b'{"messages":[]}')
        try:
            found = splunk_search.answer(dict(parse_qsl(request.body.decode())), self.events)
        except splunk_search.BadSearchError as error:
            words = {"messages": [{"type": "FATAL", "text": f"Error in 'tstats': {error}"}]}
            return Reply(400, json.dumps(words).encode())
        return Reply(body=json.dumps(found | {"messages": self.search_messages}).encode())

    def _token(self, authorization: str) -> Token:
        if not authorization:
            raise Refused(2)
        kind, _, value = authorization.partition(" ")
        if kind != "Splunk" or not value:
            raise Refused(3)
        if value not in self.tokens:
            raise Refused(4)
        if not self.tokens[value].enabled:
            raise Refused(1)
        return self.tokens[value]

    def move(self, cookie: str) -> None:
        """From now on another indexer answers, which knows nothing of the channels so far."""
        with self.lock:
            self.cookie = cookie
            self.acks.forget()


def coded(code: int, status: int | None = None, **more: Any) -> Reply:
    """The answer that goes with a HEC code."""
    body = {"text": TEXTS.get(code, f"code {code}"), "code": code, **more}
    return Reply(STATUSES.get(code, 400) if status is None else status, json.dumps(body).encode())


def _number(number: int | None) -> dict[str, int]:
    return {} if number is None else {"invalid-event-number": number}


def answering(reply: Reply, *, store: bool = False) -> Step:
    """A step that gives this reply, after taking the events or without."""

    def step(server: FakeSplunk, request: Request) -> Reply:
        if store:
            server.serve(request)
        return reply

    return step


def _handler(server: FakeSplunk) -> type[BaseHTTPRequestHandler]:
    class Handler(QuietHandler, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(server.answer(self._request(b"")))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            encoding = self.headers.get("content-encoding", "identity")
            if encoding not in {"identity", "gzip"}:
                self._send(Reply(415, b"unsupported media type", "text/plain"))
                return
            try:
                body = zlib.decompress(body, wbits=_GZIP) if encoding == "gzip" else body
            except zlib.error:
                self._send(Reply(400, b"bad gzip", "text/plain"))
                return
            self._send(server.answer(self._request(body)))

        def _request(self, body: bytes) -> Request:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            return Request(
                self.command, parts.path, dict(parse_qsl(parts.query)), headers, body, self.client_address[1]
            )

        def _send(self, reply: Reply) -> None:
            if reply.stall_seconds:
                server.stopping.wait(reply.stall_seconds)
            if reply.reset:
                self.reset()
                return
            self.send_response_only(reply.status)
            headers = {"content-type": reply.content_type, "content-length": str(len(reply.body))} | reply.headers
            if server.cookie and server.cookie not in (self.headers.get("cookie") or ""):
                headers["set-cookie"] = f"{server.cookie}; path=/"
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

    return Handler
