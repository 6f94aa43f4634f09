"""Dead letters in words: a line, a whole letter, an explanation, an object for machines."""

from __future__ import annotations

import base64
import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from shipper.escaping import printable
from shipper.refusals import in_words

if TYPE_CHECKING:
    from shipper.model import DeadLetter
    from shipper.sinks.elasticsearch_conflicts import Conflict

_MOST_URI = 80
_MOST_WORDS = 120
_UNITS = {"w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
_AGO = re.compile(r"(\d{1,6})([wdhms])")
_REPLAY = "then: shipper deadletters replay --id {id}"
_REREAD = "then: shipper deadletters replay --reread --id {id}"
_MEANINGS = {
    "undecodable": (
        "the record is not what its log type promises, so that it never became a document",
        f"look at the record; if its object was mended, or a newer shipper reads it, {_REREAD}",
    ),
    "unreadable_object": (
        "the object is truncated, damaged, over a limit or of another log type; what stood before that was delivered",
        f"look at the object; after mending it or raising limits, {_REREAD}",
    ),
    "object_deleted": (
        "the object was gone before it could be read: none of its records was shipped",
        f"bring the object back under its name, {_REREAD}; else its records are lost at their origin",
    ),
    "no_log_type": (
        "a queue's message named an object outside AWS's folders, and nothing says which log type it is of",
        f"set logs_fallback (or logs) of the source to its type, {_REREAD}; if it is no log, narrow the notifications",
    ),
    "stalls": (
        "twenty times in a row the process ended, or was ended for standing still, while it read this object alone",
        f"look at the object apart from the daemon (`shipper decode`); when a newer shipper reads it, {_REREAD}",
    ),
    "unmappable": (
        "the record was read, but makes no document for this sink",
        f"look at the record; if a newer shipper maps it, {_REREAD}",
    ),
    "failure_store": (
        "a pipeline or mapping failed the document: it stands in the failure store and not in the data stream",
        f"look into GET <data stream>::failures/_search, mend pipeline or mapping, {_REPLAY}",
    ),
    "too_large": (
        "the document alone is larger than the server takes",
        f"raise http.max_content_length or the node's indexing memory, {_REPLAY}",
    ),
}


def seconds_of(text: str | None) -> float | None:
    """A time as options give it, in seconds since the epoch.

    Raises:
        click.BadParameter: it is none.
    """
    if text is None:
        return None
    if ago := _AGO.fullmatch(text.removeprefix("-")):
        return time.time() - int(ago[1]) * _UNITS[ago[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"'{text}' is no time: write 2026-01-31, 2026-01-31T12:00:00Z, or 7d, 12h, 30m ago"
        raise click.BadParameter(msg) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def line(letter: DeadLetter) -> str:
    """Return a letter in a line that can be read at a glance; `full` has all of it."""
    position = "" if letter.position is None else f" record {letter.position}"
    where = f"{letter.source} → {letter.sink or 'every sink'}: {_short(letter.origin.uri)}{position}"
    return printable(
        f"{letter.id} {_time(letter.time)} {where}: {printable(in_words(letter.reason, letter.answer), _MOST_WORDS)}"
    )


def _short(uri: str) -> str:
    """Return an address without the folders in its middle: where it begins and ends tells more."""
    if len(uri) <= _MOST_URI:
        return uri
    kept = _MOST_URI // 2
    return f"{uri[: kept // 2]}…{uri[-(_MOST_URI - kept // 2) :]}"


def full(letter: DeadLetter) -> str:
    """A letter whole, with the record."""
    rows = {
        "number": str(letter.id),
        "time": _time(letter.time),
        "where": _where(letter),
        "log type": letter.logs,
        "reason": letter.reason,
        "answer": letter.answer or "none",
        **_conflict_rows(_conflict(letter)),
        "document": f"{letter.document_id} for {letter.index}" if letter.document_id else "none",
        "record": letter.payload.decode("utf-8", "backslashreplace") or "none: the whole object is meant",
    }
    return "\n".join(printable(f"{name + ':':<10}{value}") for name, value in rows.items())


def explained(letter: DeadLetter) -> str:
    """What the reason means and what to do."""
    found = _conflict(letter)
    if found:
        sent = f"has {found.sent}" if found.sent else "has another type"
        meaning = f"the index maps {found.field} as {found.mapped}, and the document {sent}"
        advice = (
            "set repair: true on the sink to store such documents without that field, or change the mapping "
            f"(component template @custom) and roll over, {_REPLAY}"
        )
    else:
        unknown = (f"the server refused it: {in_words(letter.reason, letter.answer)}", f"mend that, {_REPLAY}")
        meaning, advice = _MEANINGS.get(letter.reason, unknown)
    advice = advice.replace("{id}", str(letter.id))
    rows = (_where(letter), f"reason:  {letter.reason}", f"means:   {meaning}", f"do:      {advice}")
    return "\n".join(printable(row) for row in rows)


def as_object(letter: DeadLetter) -> dict[str, Any]:
    """A letter for machines; bytes that are no UTF-8 are escaped, and whole in `payload_base64`."""
    found = _conflict(letter)
    return {
        "id": letter.id,
        "time": _time(letter.time),
        "source": letter.source,
        "sink": letter.sink,
        "logs": letter.logs,
        "split": letter.split_id,
        "uri": letter.origin.uri,
        "bucket": letter.origin.bucket,
        "key": letter.origin.key,
        "account": letter.origin.account,
        "region": letter.origin.region,
        "position": letter.position,
        "reason": letter.reason,
        "answer": letter.answer,
        "conflict": {"field": found.field, "mapped": found.mapped, "sent": found.sent} if found else None,
        "document_id": letter.document_id,
        "index": letter.index,
        "document": letter.document.decode("utf-8", "backslashreplace"),
        "payload": letter.payload.decode("utf-8", "backslashreplace"),
        "payload_base64": base64.b64encode(letter.payload).decode("ascii"),
    }


def _conflict(letter: DeadLetter) -> Conflict | None:
    """Return what a refusal says of field and types; the type that was sent is the document's where it does not say."""
    from shipper.sinks.elasticsearch_conflicts import conflict, kind_in

    found = conflict(letter.answer)
    if found is None or found.sent:
        return found
    return replace(found, sent=kind_in(letter.document, found.field))


def _conflict_rows(found: Conflict | None) -> dict[str, str]:
    if found is None:
        return {}
    sent = f", sent as {found.sent}" if found.sent else "; the document has another type"
    return {"conflict": f"{found.field} is mapped as {found.mapped}{sent}"}


def _where(letter: DeadLetter) -> str:
    position = "" if letter.position is None else f" record {letter.position}"
    return f"{letter.source} → {letter.sink or 'every sink'}: {letter.origin.uri}{position}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
