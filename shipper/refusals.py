"""A refusal in words: each word once, and where it goes to a log, without what it quotes of the record."""

from __future__ import annotations

import json
import re

import orjson

# What stands in quotes or brackets of a refusal: a name of the mapping, or a value of the document.
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\[[^\[\]]*\]")
_VALUE_FOLLOWS = re.compile(r"((?:Preview of field's value|For input string):\s*).*", re.DOTALL)
_NAME_BEFORE = re.compile(r"(?<!date )\b(?:field|type|mapping for|mapper|index|alias|format|pipeline|with id)\s*$")
_CHARACTERS_BEFORE = 20
_MOST_QUOTED = 50


def in_words(reason: str, answer: str) -> str:
    """Return the reason and the server's words, which mostly begin with the reason, each once."""
    head = f"{reason}: "
    at = 0
    while answer.startswith(head, at):
        at += len(head)
    return head + answer[at:]


def without_values(answer: str, payload: bytes, document: bytes) -> str:
    """Return a refusal without what it quotes of the record: values may be secrets, and names of fields are not."""
    looked_up = 0

    def shown(found: re.Match[str]) -> str:
        nonlocal looked_up
        looked_up += 1
        if looked_up > _MOST_QUOTED:  # each is looked for in the whole record
            return f"{found[0][0]}…{found[0][-1]}"
        inner = found[0][1:-1]
        before = found.string[max(found.start() - _CHARACTERS_BEFORE, 0) : found.start()]
        spellings = {inner, orjson.dumps(inner).decode()[1:-1], json.dumps(inner)[1:-1]}
        of_record = any(each.encode() in text for each in spellings for text in (payload, document))
        keep = not inner or _NAME_BEFORE.search(before) or not of_record
        return found[0] if keep else f"{found[0][0]}…{found[0][-1]}"

    answer = answer.encode("utf-8", "replace").decode()
    return _QUOTED.sub(shown, _VALUE_FOLLOWS.sub(r"\1…", answer))
