"""What the answers of Splunk's HTTP Event Collector mean for the events that were sent.

Codes: https://docs.splunk.com/Documentation/Splunk/latest/Data/TroubleshootHTTPEventCollector, and 23 to 28 as newer
servers and Splunk Cloud send them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

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
    """The answer says nothing of the events."""


_TAKEN = frozenset({0, 24, 25})
_BUSY = frozenset({8, 9, 18, 19, 20, 23, 26, 27})
_REFUSED = frozenset({1, 2, 3, 4, 7, 10, 11, 14, 16, 17, 21, 22, 28})
_EVENT = frozenset({5, 6, 12, 13, 15})

HINTS = {
    1: "the token is disabled: enable it under Settings → Data inputs → HTTP Event Collector",
    2: "the server saw no token: does a proxy remove the Authorization header?",
    3: "the server could not read the Authorization header: is the token file's content the token alone?",
    4: "the token is not known to this server: compare it with Settings → Data inputs → HTTP Event Collector",
    7: "the token may not write to this index: add the index to the token, or change `index`",
    10: "the token asks for indexer acknowledgement: turn it off for this token",
    11: "the channel was refused",
    14: "indexer acknowledgement is off for this token",
    22: "the server's HTTP Event Collector is disabled: enable it in its global settings",
}


@dataclass(frozen=True, slots=True)
class HecAnswer:
    """One answer, understood.

    Attributes:
        words: the server's own, with its code.
        bad_event: index of the unacceptable event, None where the server did not say.
        retry_after: seconds that the server asked for.
    """

    meaning: Meaning
    words: str
    code: int | None = None
    bad_event: int | None = None
    retry_after: float | None = None

    @property
    def hint(self) -> str:
        """What a person can do about it; "" where nothing is known."""
        return HINTS.get(-1 if self.code is None else self.code, "")


def understand(status: int, body: bytes, retry_after: str | None = None) -> HecAnswer:
    """Classify one answer by its HTTP status and HEC code; the code decides where there is one."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    code = said.get("code") if isinstance(said, dict) else None
    number = said.get("invalid-event-number") if isinstance(said, dict) else None
    words = f"HTTP {status}: {body[:_WORDS_CHARACTERS].decode('utf-8', 'replace').strip()}"
    seconds = float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else None
    return HecAnswer(
        _classify(status, code if isinstance(code, int) else None),
        words,
        code if isinstance(code, int) else None,
        number if isinstance(number, int) and number >= 0 else None,
        seconds,
    )


def _classify(status: int, code: int | None) -> Meaning:
    if status == 413:
        return Meaning.TOO_LARGE
    if code is not None:
        if code in _TAKEN:
            return Meaning.TAKEN if status == 200 else Meaning.UNKNOWN
        if code in _EVENT and 400 <= status < 500:
            return Meaning.EVENT
        if code in _REFUSED:
            return Meaning.REFUSED
        if code in _BUSY:
            return Meaning.BUSY
    if status in {401, 403, 404, 405, 407}:
        return Meaning.REFUSED
    if status == 429 or status >= 500:
        return Meaning.BUSY
    return Meaning.UNKNOWN
