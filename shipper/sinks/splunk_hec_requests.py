"""What goes into one request: envelopes for the event endpoint, or bare lines with their metadata for the raw one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from isal import igzip

from shipper.model import Document

Endpoint = Literal["event", "raw"]
PATHS: dict[Endpoint, str] = {"event": "/services/collector/event", "raw": "/services/collector/raw"}
_COMPRESSION = 1


class _Envelope(msgspec.Struct, gc=False):
    """An envelope taken apart, the event as it stands."""

    event: msgspec.Raw
    host: str = ""
    source: str = ""
    sourcetype: str = ""
    index: str = ""


_decode = msgspec.json.Decoder(_Envelope).decode


@dataclass(frozen=True, slots=True)
class HecRequest:
    """One request with events.

    Attributes:
        body: compressed with gzip.
        events: how many there are in it.
        params: the query.
    """

    path: str
    body: bytes
    events: int
    params: dict[str, str] = field(default_factory=dict)


def covered(endpoint: Endpoint, documents: Sequence[Document], at: int) -> int:
    """Where the request that begins at a position ends: a raw request has one source, sourcetype, host and index."""
    if endpoint == "event":
        return len(documents)
    first = _metadata(_decode(documents[at].body))
    end = at + 1
    while end < len(documents) and _metadata(_decode(documents[end].body)) == first:
        end += 1
    return end


def request(endpoint: Endpoint, documents: Sequence[Document]) -> HecRequest:
    """Make one request of documents that belong together."""
    if endpoint == "event":
        body = b"\n".join([document.body for document in documents])
        return HecRequest(PATHS[endpoint], igzip.compress(body, _COMPRESSION), len(documents))
    envelopes = [_decode(document.body) for document in documents]
    body = b"\n".join([_line(envelope.event) for envelope in envelopes])
    return HecRequest(
        PATHS[endpoint], igzip.compress(body, _COMPRESSION), len(documents), dict(_metadata(envelopes[0]))
    )


def _metadata(envelope: _Envelope) -> list[tuple[str, str]]:
    named = {name: getattr(envelope, name) for name in ("host", "index", "source", "sourcetype")}
    return [(name, value) for name, value in named.items() if value]


def _line(event: msgspec.Raw) -> bytes:
    """A text event as it was, without JSON's quotes; any other as it stands."""
    stands = bytes(event)
    if not stands.startswith(b'"'):
        return stands
    text: str = msgspec.json.decode(stands)
    return text.encode()
