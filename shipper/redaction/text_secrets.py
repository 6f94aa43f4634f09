"""Secrets in text that is no JSON: parameters of URLs, headers, `name=value`, private keys in PEM.

Sources: "Authenticating Requests: Using Query Parameters" (Amazon S3 API Reference) for `X-Amz-Signature` and its
kind; RFC 7235 for `Authorization`, RFC 6265 for `Cookie`, RFC 7468 for PEM.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from shipper.redaction.secret_names import is_secret_parameter
from shipper.redaction.splice import Span

_MASK = b"[redacted]"
# `name=value`, also where the URL is a parameter of another one (`%3D`, `%253D`). The value ends where the next begins.
_EQUALS = re.compile(rb"=|%(?:25){0,3}3d")
_VALUE = re.compile(rb"(?:(?!%(?:25){0,3}26)[^&\s\"'<>;\\])+")
_ENCODED = re.compile(rb"\A(?:25)*[0-9A-Fa-f]{2}")
_NAME_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
_MAX_NAME = 64
_AUTHORIZATION = re.compile(
    rb"authorization\s{0,8}[:=]\s{0,8}(?:(?:basic|bearer|digest|token|negotiate|apikey|aws4-hmac-sha256)\s{1,8})?"
    rb"([^\s\"'\\]+)"
)
_BEARER = re.compile(rb"\bbearer\s{1,8}([a-z0-9._~+/-]{8,}=*)")
_COOKIE = re.compile(rb"\bcookie\s{0,8}:\s{0,8}([^\r\n\"\\]+)")
_LIKELY_TOKEN = re.compile(rb"[0-9]|.{20}")
_PEM = re.compile(rb"-----(begin|end) (?:[a-z0-9]{1,16} ){0,3}private key-----")
_PEM_BODY = re.compile(rb"(?:[a-z0-9+/=,:. \t\r\n-]|\\+[nrt/])*")


def text_spans(text: bytes, lowered: bytes) -> Iterator[Span]:
    """Yield the secrets of a text in no order.

    Args:
        text: without the escapes of printable characters.
        lowered: the same in lower case.
    """
    if b"private key-----" in lowered:
        yield from pem_spans(lowered)
    if b"=" in lowered or b"%3d" in lowered or b"%253d" in lowered:
        yield from _parameters(text, lowered)
    if b"authorization" in lowered:
        yield from _values(_AUTHORIZATION, lowered)
    if b"bearer" in lowered:
        yield from (span for span in _values(_BEARER, lowered) if _LIKELY_TOKEN.search(lowered, span.start, span.end))
    if b"cookie" in lowered:
        yield from _values(_COOKIE, lowered)


def _values(header: re.Pattern[bytes], lowered: bytes) -> Iterator[Span]:
    return (Span(*value.span(1), _MASK) for value in header.finditer(lowered) if value[1] != _MASK)


def pem_spans(lowered: bytes) -> Iterator[Span]:
    """Yield private keys in PEM, with their headers; what is cut off, as far as it may be a key.

    Args:
        lowered: a text in lower case.
    """
    begun: re.Match[bytes] | None = None
    for mark in _PEM.finditer(lowered):
        if mark[1] == b"begin":
            if begun is not None:
                yield _cut_off(lowered, begun, mark.start())
            begun = mark
        elif begun is not None:
            yield Span(begun.start(), mark.end(), _MASK)
            begun = None
    if begun is not None:
        yield _cut_off(lowered, begun, len(lowered))


def _cut_off(lowered: bytes, begun: re.Match[bytes], limit: int) -> Span:
    body = _PEM_BODY.match(lowered, begun.end(), limit)
    return Span(begun.start(), body.end() if body else begun.end(), _MASK)


def _parameters(text: bytes, lowered: bytes) -> Iterator[Span]:
    done = 0
    for equals in _EQUALS.finditer(lowered):
        if equals.start() < done:
            continue
        before = text[max(equals.start() - _MAX_NAME, 0) : equals.start()]
        head = before.rstrip(_NAME_BYTES)
        name = before[len(head) :]
        if head.endswith(b"%"):
            name = _ENCODED.sub(b"", name)
        if name and is_secret_parameter(name) and (value := _VALUE.match(lowered, equals.end())):
            done = value.end()
            if value[0] != _MASK:
                yield Span(*value.span(), _MASK)
