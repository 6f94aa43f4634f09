"""Masks the secrets that records may hold, wherever they stand: parameters, headers, URLs, JSON within strings.

AWS hides most of CloudTrail's itself (`HIDDEN_DUE_TO_SECURITY_REASONS`), but by service and not always; session tokens
of AssumeRole and its relatives are written as they are:
https://docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html

Each part of a record is read a bounded number of times, so that the work grows with the record's length and no faster.
"""

from __future__ import annotations

import re
from bisect import bisect_left

from shipper.native import SecretNames
from shipper.redaction.json_text import members, nested_value_end
from shipper.redaction.secret_names import is_secret, is_secret_text
from shipper.redaction.splice import Span, Unescaped, outermost, replaced
from shipper.redaction.text_secrets import text_spans

BY_EVENT: dict[bytes, tuple[bytes, bytes]] = {
    b"PutParameter": (b"requestParameters", b"value"),
    b"ImportSourceCredentials": (b"requestParameters", b"token"),
}
"""Where a secret's name is too common to be masked everywhere: by event, the path of the member below the record."""
_RECORD_DEPTH = 4
"""So many names deep are these paths looked for: a record may stand within EventBridge's `detail`."""

NAME_ENDS = (
    *(rb"passw(?:or)?d", rb"passphrase", rb"pwd", rb"token", rb"authorization", rb"cookies?"),
    rb"secret(?:[ _.-]?(?:string|binary|value|key|access[ _.-]?key))?",
    *(
        rb"private[ _.-]?key",
        rb"shared[ _.-]?key",
        rb"key[ _.-]?material",
        rb"x-amz-(?:signature|credential)",
        rb"api[_-]?key",
    ),
)
"""How the names of secrets may end, in lower case: what makes a name worth a closer look."""
_ENDS = tuple(re.compile(end + rb'(\\*)"') for end in NAME_ENDS)
_MAX_NAME = 128
_SPACE = rb"(?:\s|\\+[nrt])*"
_COLON = re.compile(_SPACE + rb":" + _SPACE)
# What AWS, or somebody before us, wrote in the place of a secret; what holds nothing.
_HARMLESS_TEXT = re.compile(rb"(?:HIDDEN_DUE_TO_SECURITY_REASONS|<?sensitiveDataRemoved>?|\*+|\[redacted\])?")
_HARMLESS = re.compile(rb"null|true|false|\{\s*\}|\[\s*\]|")
# `{"name": "DB_PASSWORD", "value": "…"}`: a name and its value side by side, few small members between them.
_NAME_BEFORE = re.compile(rb'"(?:[a-z]{0,32}(?:name|key)|field)\\*"' + _SPACE + rb":" + _SPACE + rb"\Z", re.IGNORECASE)
_BETWEEN = (
    rb"(?:"
    + _SPACE
    + rb',\s*\\*"[\w-]{1,64}\\*"'
    + _SPACE
    + rb":"
    + _SPACE
    + rb"(?:true|false|null|-?[\d.]{1,32})){0,3}"
)
_VALUE_AFTER = re.compile(
    _BETWEEN + _SPACE + rb"," + _SPACE + rb'\\*"(?:[a-z]{1,32})?value\\*"' + _SPACE + rb":" + _SPACE, re.IGNORECASE
)
_VALUE_KEY = re.compile(rb'(?:"|[a-z])value(\\*)"' + _SPACE + rb":" + _SPACE, re.IGNORECASE)
_PAIR_WINDOW = 96

# Says quickly that a record has none of the names, as most have none.
_NAMES = SecretNames() if SecretNames is not None else None


def mask_secrets(raw: bytes) -> tuple[bytes, int]:
    """Return a record without its secrets, the same object where it has none, and how many there were."""
    if _NAMES is not None and not _NAMES.may_be_in(raw):
        return raw, 0
    return mask_all(raw)


def mask_all(raw: bytes) -> tuple[bytes, int]:
    """Return the same, without the native module's quick answer first."""
    unescaped = Unescaped(raw)
    text = unescaped.text
    lowered = text.lower()
    spans = [*_named(text, lowered), *text_spans(text, lowered)]
    if any(event in text for event in BY_EVENT):
        spans += _of_event(text)
    if not spans:
        return raw, 0
    chosen = outermost(spans)
    return replaced(raw, map(unescaped.in_raw, chosen)), len(chosen)


def _named(text: bytes, lowered: bytes) -> list[Span]:
    """Return what stands under the names of secrets.

    A name ends with a quote behind as many backslashes as its depth in JSON within strings asks for: none, 1, 3, 7 …
    """
    ends = sorted({found.span(1) for end in _ENDS for found in end.finditer(lowered)})
    spans: list[Span] = []
    pairs = _Pairs(text)
    done = 0
    for name_end, quote in ends:
        escapes = quote - name_end
        if name_end < done or escapes & (escapes + 1):
            continue
        opening = text.rfind(b'"', max(name_end - _MAX_NAME, 0), name_end)
        name = text[opening + 1 : name_end] if opening >= 0 else text[max(name_end - _MAX_NAME, 0) : name_end]
        whole = is_secret(name.lower())
        if not whole and not is_secret_text(name):
            continue
        colon = _COLON.match(text, quote + 1)
        if colon is None:
            if span := pairs.value_beside(opening - escapes, quote + 1, escapes):
                spans.append(span)
                done = max(done, span.end)
            continue
        span = masked_value(text, colon.end(), escapes, objects=whole)
        if span is not None:
            spans.append(span)
            done = span.end
    return spans


def masked_value(text: bytes, start: int, escapes: int, *, objects: bool = True) -> Span | None:
    """Return the mask of the JSON value that begins at `start`, or None if there is nothing to hide.

    Args:
        escapes: the backslashes before each quote of its depth.
        objects: whether an object is a secret too.
    """
    quote = b"\\" * escapes + b'"'
    if text[start : start + 1] == b"{" and not objects:
        return None
    end, content_end = nested_value_end(text, start, escapes)
    if text.startswith(quote, start):
        if _HARMLESS_TEXT.fullmatch(text, start + len(quote), content_end):
            return None
    elif _HARMLESS.fullmatch(text, start, end):
        return None
    return Span(start, end, quote + b"[redacted]" + quote)


class _Pairs:
    """The values beside names that are values themselves: `{"name": "DB_PASSWORD", "value": "…"}`."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._values: list[tuple[int, int]] | None = None
        self._masks: dict[int, Span | None] = {}

    def value_beside(self, start: int, end: int, escapes: int) -> Span | None:
        """Return the mask of the value before or behind a name, or None if it is no such pair.

        Args:
            start, end: of the name, with its quotes.
            escapes: the backslashes before each of its quotes.
        """
        text = self._text
        before = _NAME_BEFORE.search(text, max(start - _PAIR_WINDOW, 0), max(start, 0))
        if before is None:
            return None
        if after := _VALUE_AFTER.match(text, end):
            return masked_value(text, after.end(), escapes, objects=False)
        at = before.start() - escapes
        closing = text.rfind(b'"', max(at - _PAIR_WINDOW, 0), max(at, 0))
        if closing < 0 or text[closing + 1 : at].strip() != b",":
            return None
        span = self._nearest(at, escapes)
        return span if span is not None and span.end == closing + 1 else None

    def _nearest(self, at: int, escapes: int) -> Span | None:
        """Return the mask of the last value that begins before `at`; each value is read once."""
        if self._values is None:
            self._values = [(found.end(), len(found[1])) for found in _VALUE_KEY.finditer(self._text)]
        index = bisect_left(self._values, (at, 0)) - 1
        if index < 0 or self._values[index][1] != escapes:
            return None
        if index not in self._masks:
            self._masks[index] = masked_value(self._text, self._values[index][0], escapes, objects=False)
        return self._masks[index]


def _of_event(text: bytes) -> list[Span]:
    """Return what is a secret in records of some events only; any `eventName` of the record counts."""
    events: set[tuple[tuple[bytes, ...], bytes]] = set()
    spans: list[tuple[tuple[bytes, ...], int]] = []
    wanted = set(BY_EVENT.values())
    for path, _, start in members(text, _RECORD_DEPTH):
        if path[-1] == b"eventName":
            end, content_end = nested_value_end(text, start, 0)
            events.add((path[:-1], text[start + 1 : content_end] if end else b""))
        elif path[-2:] in wanted:
            spans.append((path, start))
    masks = (
        masked_value(text, start, 0)
        for path, start in spans
        for outer, event in events
        if event in BY_EVENT and (*outer, *BY_EVENT[event]) == path
    )
    return [mask for mask in masks if mask is not None]
