"""Lines of fields separated by spaces, some within quotes or brackets: access logs of load balancers and of S3."""

from __future__ import annotations

import re

_MOST_FIELDS = 128
# A quote ends a field only where a space or the line's end follows: what a client sent may hold quotes.
_FIELD = re.compile(r' *(?:"(.*?)"(?= |$)|\[([^\]]*)\](?= |$)|([^ ]+))', re.DOTALL)


class QuotedLayout(tuple[str, ...]):
    """The names of the fields of such lines, in order; a line may have fewer or more fields than that."""

    __slots__ = ()


def fields_of(line: str) -> list[str]:
    """A line's fields, without the quotes and brackets around them; what comes after the 128th is left out."""
    found: list[str] = []
    place, end = 0, len(line)
    while place < end and len(found) < _MOST_FIELDS and (field := _FIELD.match(line, place)) is not None:
        found.append(next((text for text in field.groups() if text is not None), ""))
        place = field.end()
    return found
