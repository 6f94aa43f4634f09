"""Lines of fields separated by spaces, some within quotes or brackets: access logs of load balancers and of S3."""

from __future__ import annotations

import itertools
import re

_MOST_FIELDS = 128
# A quote ends a field only where a space or the line's end follows: what a client sent may hold quotes.
_FIELD = re.compile(r'"(.*?)"(?= |$)|\[([^\]]*)\](?= |$)|([^ ]+)', re.DOTALL)
_USUAL = 8_192
"""Shorter lines have not so many fields that it would matter to find more than are kept."""


class QuotedLayout(tuple[str, ...]):
    """The names of the fields of such lines, in order; a line may have fewer or more fields than that."""

    __slots__ = ()


def fields_of(line: str) -> list[str]:
    """A line's fields, without the quotes and brackets around them; what comes after the 128th is left out."""
    if len(line) <= _USUAL:
        return [quoted or plain or bracketed for quoted, bracketed, plain in _FIELD.findall(line)][:_MOST_FIELDS]
    some = itertools.islice(_FIELD.finditer(line), _MOST_FIELDS)
    return [found[1] or found[3] or found[2] or "" for found in some]
