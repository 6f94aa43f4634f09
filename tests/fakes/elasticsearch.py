"""A `_bulk` server over HTTP that stores documents by id, or answers as a script says."""

from __future__ import annotations

import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import orjson
from isal import isal_zlib

from tests.fakes.backing_indices import BackingIndices
from tests.fakes.http_server import FakeServer, QuietHandler

_GZIP = 31


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
class Bulk:
    """One bulk request, taken apart.

    Attributes:
        lines: (index, id, source) of each document.
    """

    path: str
    headers: dict[str, str]
    lines: list[tuple[str, str, bytes]]


Step = Callable[["FakeElasticsearch", Bulk], Reply]


class FakeElasticsearch(FakeServer):
    """Elasticsearch's `_bulk` create, on a free port of 127.0.0.1.

    Attributes:
        script: steps for the next bulk requests; when it is empty, documents are stored.
        arrived: set once a bulk request has come.
        down: every connection is reset.
        stored: sources by (index, id).
        templates: bodies by path, as put; policies too.
        answers: replies by path, for other requests than `_bulk`; they come first.
        backing: backing indices that documents are looked for in; None where nobody looks.
        writes: how often each id was stored; more than once would be a duplicate.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.script: list[Step] = []
        self.down = False
        self.requests: list[Bulk] = []
        self.other_requests: list[tuple[str, str]] = []
        self.stored: dict[tuple[str, str], bytes] = {}
        self.templates: dict[str, Any] = {}
        self.answers: dict[str, Reply] = {}
        self.backing: BackingIndices | None = None
        self.writes: Counter[str] = Counter()
        self.arrived = threading.Event()
        self.lock = threading.Lock()
        super().__init__(_handler(self), tls)

    def bulk(self, request: Bulk) -> Reply:
        """Answer as the script says, else store."""
        with self.lock:
            self.requests.append(request)
            self.arrived.set()
            step = self.script.pop(0) if self.script else None
        if self.down:
            return Reply(reset=True)
        return step(self, request) if step else self.store(request)

    def store(self, request: Bulk) -> Reply:
        """Create every document that is not there yet."""
        return bulk_reply(self.create(request))

    def create(self, request: Bulk) -> list[dict[str, Any]]:
        """Create, and return the items of the answer."""
        items: list[dict[str, Any]] = []
        with self.lock:
            for index, id_, source in request.lines:
                if (index, id_) in self.stored:
                    items.append(failure(409, "version_conflict_engine_exception", "document already exists"))
                else:
                    self.stored[index, id_] = source
                    self.writes[id_] += 1
                    items.append({"status": 201})
        return items


def bulk_reply(items: list[dict[str, Any]]) -> Reply:
    """The answer that Elasticsearch gives with the sink's `filter_path`."""
    answer = {"errors": any("error" in item for item in items), "items": [{"create": item} for item in items]}
    return Reply(body=orjson.dumps(answer))


def failure(status: int, kind: str, reason: str = "") -> dict[str, Any]:
    """An item that was not stored."""
    return {"status": status, "error": {"type": kind, "reason": reason}}


def answering(reply: Reply, *, store: bool = False) -> Step:
    """A step that gives this reply, after storing the documents or without."""

    def step(server: FakeElasticsearch, request: Bulk) -> Reply:
        if store:
            server.create(request)
        return reply

    return step


def items_changed(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Step:
    """A step that stores, and then answers with the items changed."""
    return lambda server, request: bulk_reply(change(server.create(request)))


def refusing(position: int, status: int, kind: str) -> Step:
    """A step that stores all but one document, and answers with an error for that one."""

    def step(server: FakeElasticsearch, request: Bulk) -> Reply:
        rest = Bulk(request.path, request.headers, request.lines[:position] + request.lines[position + 1 :])
        items = server.create(rest)
        return bulk_reply([*items[:position], failure(status, kind, "because"), *items[position:]])

    return step


def _handler(server: FakeElasticsearch) -> type[BaseHTTPRequestHandler]:
    class Handler(QuietHandler, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._plain(None)

        def do_PUT(self) -> None:
            self._plain(self._read())

        def do_POST(self) -> None:
            body = self._read()
            if not self.path.startswith("/_bulk"):
                self._plain(body)
            else:
                rows = body.split(b"\n")
                if rows.pop() != b"" or len(rows) % 2:
                    raise AssertionError("a bulk body is pairs of lines and ends with a line end")
                actions = [json.loads(row)["create"] for row in rows[::2]]
                lines = [(a["_index"], a["_id"], source) for a, source in zip(actions, rows[1::2], strict=True)]
                self._send(server.bulk(Bulk(self.path, {k.lower(): v for k, v in self.headers.items()}, lines)))

        def _plain(self, body: bytes | None) -> None:
            path = self.path.split("?")[0]
            with server.lock:
                server.other_requests.append((self.command, self.path))
            looked = server.backing.answer(path, body) if server.backing else None
            if path in server.answers:
                self._send(server.answers[path])
            elif looked is not None:
                self._send(Reply(looked[0], orjson.dumps(looked[1])))
            elif self.command == "PUT":
                server.templates[path] = json.loads(body or b"{}")
                self._send(Reply(body=b'{"acknowledged":true}'))
            elif path == "/":
                self._send(Reply(body=b'{"version":{"number":"9.5.3"}}'))
            elif path in server.templates:
                kind = path.split("_template")[0].strip("/_")
                entry = {"name": path.rsplit("/", 1)[1], f"{kind}_template": server.templates[path]}
                self._send(Reply(body=json.dumps({f"{kind}_templates": [entry]}).encode()))
            else:
                self._send(Reply(404, b"{}"))

        def _read(self) -> bytes:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.headers.get("content-encoding") == "gzip":
                return isal_zlib.decompress(body, wbits=_GZIP)
            return body

        def _send(self, reply: Reply) -> None:
            if server.down:
                reply = Reply(reset=True)
            if reply.stall_seconds:
                server.stopping.wait(reply.stall_seconds)
            if reply.reset:
                self.reset()
                return
            self.send_response_only(reply.status)
            headers = {"content-type": reply.content_type, "content-length": str(len(reply.body))} | reply.headers
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

    return Handler
