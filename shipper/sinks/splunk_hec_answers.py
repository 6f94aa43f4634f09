"""What the answers of Splunk's HTTP Event Collector mean for the events that were sent.

Codes: https://docs.splunk.com/Documentation/Splunk/latest/Data/TroubleshootHTTPEventCollector, and 23 to 28 as newer
servers and Splunk Cloud send them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import orjson

_WORDS_CHARACTERS = 500


class Meaning(enum.Enum):
    """What to do about an answer."""

    TAKEN = "taken"
    """All events were received."""
    BUSY = "busy"
    """Nothing was received; the server asks for patience."""
    REFUSED = "refused"
    """Nothing can be received until a person changes something."""
    EVENT = "event"
    """One event is not acceptable; those before it were received, those after it were not."""
    TOO_LARGE = "too_large"
    """The request is too long; nothing was received."""
    UNKNOWN = "unknown"
    """The answer does not tell whether the events were received."""


_TAKEN = frozenset({0, 24, 25})
_BUSY = frozenset({9, 18, 19, 20, 23, 26, 27})
_REFUSED = frozenset({1, 2, 3, 4, 7, 10, 11, 14, 16, 21, 22, 28})
_EVENT = frozenset({5, 6, 12, 13, 15})
# Internal error; and "HEC is healthy", which is no answer to events.
_UNKNOWN = frozenset({8, 17})
# Splunk names the event after the first one whose index is not allowed: measured on 10.4.
_INDEX = 7

HINTS = {
    1: "the token is disabled: enable it under Settings → Data inputs → HTTP Event Collector",
    2: "the server saw no token: does a proxy remove the Authorization header?",
    3: "the server could not read the Authorization header: is the token file's content the token alone?",
    4: "the token is not known to this server: compare it with Settings → Data inputs → HTTP Event Collector",
    7: "the token may not write to this index: add the index to the token, or change index or indexes",
    10: "the token asks for indexer acknowledgement: set ack: true",
    11: "something on the way changes the X-Splunk-Request-Channel header: the channel is a GUID when we send it",
    14: "indexer acknowledgement is off for this token: enable it, or set ack: false",
    16: "something on the way moves the token into the address: it belongs into the Authorization header",
    21: "the token is not known to this server: compare it with Settings → Data inputs → HTTP Event Collector",
    22: "the token is disabled: enable it under Settings → Data inputs → HTTP Event Collector",
    28: "the channel is not known behind the load balancer: turn on its sticky sessions",
}
_STATUS_HINTS = {
    404: "is this the URL of an HTTP Event Collector, usually port 8088?",
    405: "is this the URL of an HTTP Event Collector, usually port 8088?",
    407: "the proxy wants credentials",
}


@dataclass(frozen=True, slots=True)
class HecAnswer:
    """One answer, understood.

    Attributes:
        words: the server's own, with its code.
        bad_event: index of the unacceptable event, None where the server did not say. Those before it were received.
        ack_id: what indexer acknowledgement is asked for, None where it is off.
        retry_after: seconds that the server asked for.
    """

    meaning: Meaning
    words: str
    status: int = 200
    code: int | None = None
    bad_event: int | None = None
    retry_after: float | None = None
    ack_id: int | None = None

    @property
    def hint(self) -> str:
        """What a person can do about it; "" where nothing is known."""
        if self.code in HINTS:
            return HINTS[self.code]
        if 300 <= self.status < 400:
            return "the server redirects, which is not followed: give the address that it redirects to"
        return _STATUS_HINTS.get(self.status, "")


def understand(status: int, body: bytes, retry_after: str | None = None) -> HecAnswer:
    """Classify one answer by its HTTP status and HEC code; the code decides where there is one."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    said = said if isinstance(said, dict) else {}
    code = _whole(said.get("code"))
    number = _whole(said.get("invalid-event-number"))
    if number is not None and code == _INDEX:
        number = max(number - 1, 0)
    return HecAnswer(
        _classify(status, code),
        f"HTTP {status}: {body[:_WORDS_CHARACTERS].decode('utf-8', 'replace').strip()}",
        status,
        code,
        number,
        float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else None,
        _whole(said.get("ackId")),
    )


def acknowledged(status: int, body: bytes) -> frozenset[int] | None:
    """The ackIds that an answer of the ack endpoint confirms; None where it is no such answer."""
    try:
        acks = orjson.loads(body).get("acks") if status == 200 else None
    except (orjson.JSONDecodeError, AttributeError):
        return None
    if not isinstance(acks, dict):
        return None
    return frozenset(int(number) for number, done in acks.items() if done is True and number.isdigit())


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _classify(status: int, code: int | None) -> Meaning:
    if status == 413:
        return Meaning.TOO_LARGE
    if code in _TAKEN:
        return Meaning.TAKEN if status == 200 else Meaning.UNKNOWN
    if code in _EVENT and 400 <= status < 500:
        return Meaning.EVENT
    if code in _REFUSED:
        return Meaning.REFUSED
    if code in _BUSY or status in {429, 503}:
        return Meaning.BUSY
    if code in _UNKNOWN or status == 408:
        return Meaning.UNKNOWN
    return Meaning.REFUSED if 300 <= status < 500 else Meaning.UNKNOWN
