"""Text from outside, made safe for a terminal and for a log of one line an event."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from urllib.parse import quote

MOST_CHARACTERS = 1_000
MIN_HIDDEN = 4
"""Shorter secrets are not hidden: they would take other words apart."""
_MASK = "***"


_hidden: tuple[str, ...] = ()


def hide(secrets: Iterable[str]) -> None:
    """Replace these secrets by `***` from now on in all that `printable` and `without_secrets` return.

    Args:
        secrets: of the configuration in force; those of an earlier call are forgotten. They are hidden as they are, in
            URLs, and in base64.
    """
    global _hidden  # noqa: PLW0603 - one set for the process: any part of it may show what a server repeats
    forms = {form for secret in secrets for form in _forms(secret) if len(form) >= MIN_HIDDEN}
    _hidden = tuple(sorted(forms, key=len, reverse=True))


def without_secrets(text: str) -> str:
    """Return the text without the process's secrets; servers and proxies repeat keys and tokens in error pages."""
    for form in _hidden:
        if form in text:
            text = text.replace(form, _MASK)
    return text


def printable(text: str, bound: int = MOST_CHARACTERS) -> str:
    """Return the text on one line: without secrets, cut to a bound, control characters and lone surrogates escaped."""
    text = without_secrets(text)
    if len(text) > bound:
        text = f"{text[:bound]}… ({len(text)} characters)"
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _forms(secret: str) -> Iterator[str]:
    """Yield how a secret may be written."""
    yield secret
    yield quote(secret, safe="")
    yield base64.b64encode(secret.encode("utf-8", "replace")).decode().rstrip("=")
    try:  # Elasticsearch's API keys are `id:key` in base64
        plain = base64.b64decode(secret, validate=True).decode()
    except (binascii.Error, ValueError):
        return
    if ":" in plain and plain.isprintable():
        yield plain
        yield plain.partition(":")[2]
