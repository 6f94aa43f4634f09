"""What the messages of a queue say of S3: every form that notifications come in, taken apart without trust."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

import orjson

from shipper.model import S3Object

_MOST_ENVELOPES = 3
_MOST_KEY_BYTES = 1024
_CREATED = "Object Created"


@dataclass(frozen=True, slots=True)
class Notice:
    """What one message says.

    Attributes:
        objects: created ones, each once, in the message's order.
        ignored: events of other kinds (deleted, restored, tagged), S3's test message, folder markers.
        faults: what could not be understood, in words; one for each part of the message that is wrong.
    """

    objects: tuple[S3Object, ...] = ()
    ignored: int = 0
    faults: tuple[str, ...] = ()


class _FaultError(Exception):
    """A part of a message is not what it should be."""


def unwrap(body: str, sent: float) -> Notice:
    """Take a message apart; never raises, whatever its body is.

    Known are S3's own events (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html),
    the same within SNS's envelope, EventBridge's events
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html), and Security Lake's, which are like those
    but have no `detail-type`.

    Args:
        sent: when the message was sent, in seconds since the epoch; stands in for an event's own time.
    """
    try:
        data = _inner(body)
    except _FaultError as error:
        return Notice(faults=(str(error),))
    if data.get("Event") == "s3:TestEvent":
        return Notice(ignored=1)
    found: dict[S3Object, None] = {}
    ignored = 0
    faults: list[str] = []
    for event in _events(data):
        try:
            item = _from_bridge(event, sent) if "detail" in event else _from_s3(event, sent)
        except _FaultError as error:
            faults.append(str(error))
            continue
        if item is None:
            ignored += 1
        else:
            found[item] = None
    return Notice(tuple(found), ignored, tuple(faults))


def _inner(body: str) -> dict[str, Any]:
    """Undo envelopes of SNS."""
    text = body
    for _ in range(_MOST_ENVELOPES):
        try:
            data = orjson.loads(text)
        except ValueError as error:
            raise _FaultError(f"not JSON: {error}") from error
        if not isinstance(data, dict):
            raise _FaultError("not a JSON object")
        if isinstance(data.get("Message"), str) and "Records" not in data and "detail" not in data:
            text = data["Message"]
            continue
        if data.get("Event") == "s3:TestEvent" or isinstance(data.get("detail"), dict):
            return data
        if isinstance(data.get("Records"), list):
            return data
        raise _FaultError("neither an S3 event nor an envelope of one")
    raise _FaultError("envelopes within envelopes")


def _events(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "detail" in data:
        yield data
        return
    for record in data["Records"]:
        # What is no object has nothing in it, and is a fault of its own.
        yield record if isinstance(record, dict) and "detail" not in record else {}


def _from_s3(event: dict[str, Any], sent: float) -> S3Object | None:
    name = event.get("eventName")
    if event.get("eventSource") not in ("aws:s3", None) or not isinstance(name, str):
        raise _FaultError("a record is no S3 event")
    # Others' servers write "s3:ObjectCreated:Put", as the configuration of notifications does.
    if not name.removeprefix("s3:").startswith("ObjectCreated:"):
        return None
    part = _section(event, "s3")
    item = _section(part, "object")
    key = _text(item, "key")
    try:
        key = unquote_plus(key, errors="strict")
    except UnicodeDecodeError as error:
        raise _FaultError("a key is not UTF-8") from error
    bucket = _text(_section(part, "bucket"), "name")
    return _object(bucket, key, item, item.get("eTag"), item.get("versionId"), _time(event.get("eventTime"), sent))


def _from_bridge(event: dict[str, Any], sent: float) -> S3Object | None:
    if event.get("source") != "aws.s3":
        raise _FaultError("the event is not of S3")
    if event.get("detail-type", _CREATED) != _CREATED:
        return None
    detail = event["detail"]
    item = _section(detail, "object")
    # Other than in S3's own events, the key is not encoded.
    bucket, key = _text(_section(detail, "bucket"), "name"), _text(item, "key")
    return _object(bucket, key, item, item.get("etag"), item.get("version-id"), _time(event.get("time"), sent))


def _object(  # noqa: PLR0917 - an object's parts
    bucket: str, key: str, item: dict[str, Any], etag: Any, version: Any, modified: float
) -> S3Object | None:
    if len(key.encode()) > _MOST_KEY_BYTES or "\0" in key:
        raise _FaultError("a key is none that S3 allows")
    size = item.get("size")
    size = size if isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 2**63 else 0
    if key.endswith("/") and not size:
        return None
    # Without one (S3 always has it), another version of the object must still not look like this one.
    etag = etag.strip('"') if isinstance(etag, str) else f"{item.get('sequencer', modified)}"
    # A bucket without versions has none, or "null" once they are suspended.
    version = version if isinstance(version, str) and version not in ("", "null") else None
    return S3Object(bucket, key, size, etag, modified, version)


def _section(data: dict[str, Any], name: str) -> dict[str, Any]:
    found = data.get(name)
    if not isinstance(found, dict):
        raise _FaultError(f"a record has no {name}")
    return found


def _text(data: dict[str, Any], name: str) -> str:
    found = data.get(name)
    if not isinstance(found, str) or not found:
        raise _FaultError(f"a record has no {name}")
    return found


def _time(value: Any, sent: float) -> float:
    if not isinstance(value, str):
        return sent
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return sent
    return moment.timestamp() if moment.tzinfo else sent
