"""What Splunk's HTTP Event Collector takes and refuses, without HTTP: envelopes, tokens, channels and acknowledgements.

Documented behaviour, and where the documentation is silent what probes of Splunk 10.4 showed: events before an
unacceptable one are indexed; an unknown key ends the reading without a word; an ackId is forgotten once it was true.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_KEYS = frozenset({"time", "host", "source", "sourcetype", "index", "event", "fields"})
_decoder = json.JSONDecoder()

TEXTS = {
    0: "Success",
    1: "Token disabled",
    2: "Token is required",
    3: "Invalid authorization",
    4: "Invalid token",
    5: "No data",
    6: "Invalid data format",
    7: "Incorrect index",
    8: "Internal server error",
    9: "Server is busy",
    10: "Data channel is missing",
    11: "Invalid data channel",
    12: "Event field is required",
    13: "Event field cannot be blank",
    14: "ACK is disabled",
    15: "Error in handling indexed fields",
    16: "Query string authorization is not enabled",
    17: "HEC is healthy",
    18: "HEC is unhealthy, queues are full",
}
STATUSES = {0: 200, 1: 403, 2: 401, 3: 401, 4: 403, 8: 500, 9: 503, 17: 200, 18: 503}


class Refused(Exception):  # noqa: N818 - an answer, not a failure of the fake
    """An answer other than success.

    Args:
        number: `invalid-event-number`, None to leave it out.
    """

    def __init__(self, code: int, number: int | None = None) -> None:
        super().__init__(TEXTS[code])
        self.code = code
        self.number = number


@dataclass
class Token:
    """One HEC token's settings.

    Attributes:
        indexes: those it may write to; None for all.
        index: where events go that name none.
        ack: indexer acknowledgement is on.
    """

    enabled: bool = True
    indexes: frozenset[str] | None = None
    index: str = "main"
    ack: bool = False


@dataclass(frozen=True)
class Event:
    """One event as it was indexed."""

    index: str
    event: Any
    time: float | None = None
    host: str = ""
    source: str = ""
    sourcetype: str = ""
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def uid(self) -> str:
        """The indexed field that searches deduplicate by."""
        return str(self.fields.get("event_uid", ""))


def envelopes(text: str, token: Token) -> Iterator[Event]:
    """Read a body of the event endpoint; each event that is yielded is indexed, whatever comes after it.

    Raises:
        Refused: at the first that is not acceptable.
    """
    at = number = 0
    while (at := _skip(text, at)) < len(text):
        try:
            envelope, at = _decoder.raw_decode(text, at)
        except ValueError:
            raise Refused(6, number) from None
        if not isinstance(envelope, dict):
            raise Refused(6, number)
        if not _KEYS.issuperset(envelope):
            break
        yield _event(envelope, number, token)
        number += 1
    if not number:
        raise Refused(5)


def lines(text: str, query: dict[str, str], token: Token) -> Iterator[Event]:
    """Read a body of the raw endpoint: one event a line, all with the query's metadata.

    Raises:
        Refused: there is none, or the index is not allowed.
    """
    index = _index(query.get("index", ""), 0, token)
    found = [line for line in text.split("\n") if line]
    if not found:
        raise Refused(5)
    for line in found:
        yield Event(index, line, None, query.get("host", ""), query.get("source", ""), query.get("sourcetype", ""))


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _event(envelope: dict[str, Any], number: int, token: Token) -> Event:
    if envelope.get("event") is None:
        raise Refused(12, number)
    if envelope["event"] in ("", False):
        raise Refused(13, number)
    fields = envelope.get("fields", {})
    if not isinstance(fields, dict) or any(_nested(value) for value in fields.values()):
        raise Refused(15, number)
    try:
        time = float(envelope["time"]) if "time" in envelope else None
    except (TypeError, ValueError):
        raise Refused(6, number) from None
    words = [envelope.get(key, "") for key in ("host", "source", "sourcetype")]
    if not all(isinstance(word, str) for word in words):
        raise Refused(6, number)
    host, source, sourcetype = words
    index = _index(envelope.get("index", ""), number, token)
    return Event(index, envelope["event"], time, host, source, sourcetype, fields)


def _nested(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, dict | list) for v in value))


def _index(wanted: str, number: int, token: Token) -> str:
    """The index; the number in a refusal is one too high, as the probes showed for this code alone."""
    index = wanted or token.index
    if token.indexes is not None and index not in token.indexes:
        raise Refused(7, number + 1)
    return index


@dataclass
class Acks:
    """One indexer's acknowledgements.

    Attributes:
        after_polls: how often an id is answered false before it is true.
        never: ids given out from now on never become true.
    """

    after_polls: int = 0
    never: bool = False
    _next: dict[str, int] = field(default_factory=dict)
    _polls: dict[tuple[str, int], float] = field(default_factory=dict)

    def give(self, channel: str) -> int:
        """The next id of a channel; they start at 0."""
        number = self._next.get(channel, 0)
        self._next[channel] = number + 1
        self._polls[channel, number] = float("inf") if self.never else self.after_polls
        return number

    def ask(self, channel: str, numbers: list[int]) -> dict[str, bool]:
        """What the ack endpoint answers; an id that was true once is forgotten, an unknown one is false."""
        answer = {}
        for number in dict.fromkeys(numbers):
            left = self._polls.get((channel, number))
            answer[str(number)] = left == 0
            if left == 0:
                del self._polls[channel, number]
            elif left is not None:
                self._polls[channel, number] = left - 1
        return answer

    def forget(self) -> None:
        """Another indexer answers from now on: it knows no channel."""
        self._next.clear()
        self._polls.clear()

    @property
    def open(self) -> int:
        """How many ids were given out and not yet answered true."""
        return len(self._polls)


def checked_channel(channel: str, *, required: bool) -> str:
    """The channel, if it is one.

    Raises:
        Refused: it is missing where it is required, or no GUID.
    """
    if not channel:
        if required:
            raise Refused(10)
        return ""
    try:
        uuid.UUID(channel)
    except ValueError:
        raise Refused(11) from None
    return channel
