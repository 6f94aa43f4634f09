"""What IAM says of a CloudTrail record's caller, as Splunk's indexed fields; learns from records that change it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import msgspec
import orjson
from msgspec import Raw

from shipper.ports import PrincipalLookup
from shipper.schemas.iam_changes import CHANGES, IAM, learn, principal_of

_MOST_IDENTITIES = 8_192
# What may stand in a field's name: https://docs.splunk.com/Documentation/Splunk/latest/Knowledge/Aboutfields
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]+")


class _Event(msgspec.Struct, gc=False, rename="camel"):
    user_identity: Raw = Raw()
    event_source: str | None = None
    event_name: str | None = None
    aws_region: str | None = None
    error_code: str | None = None
    recipient_account_id: str | None = None
    request_parameters: Raw = Raw()


_decode = msgspec.json.Decoder(_Event).decode


def principal_fields(principals: PrincipalLookup, raw: bytes, time_ms: int) -> bytes:
    """The fields as JSON members, with a comma before each; empty where nothing is known."""
    try:
        event = _decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return b""
    if event.event_source == IAM and event.event_name in CHANGES and not event.error_code:
        _learn(principals, event, event.event_name, time_ms)
    arn = _principal(bytes(event.user_identity))
    found = principals(arn) if arn else None
    if found is None:
        return b""
    fields: dict[str, Any] = {"iam_arn": arn}
    if found.path:
        fields["iam_path"] = found.path
    if found.description:
        fields["iam_description"] = found.description
    for key, value in found.tags.items():
        fields["iam_tag_" + _NOT_IN_NAMES.sub("_", key)] = value
    return b"," + orjson.dumps(fields)[1:-1]


def _learn(principals: PrincipalLookup, event: _Event, name: str, time_ms: int) -> None:
    asked = _loaded(bytes(event.request_parameters))
    account = event.recipient_account_id
    learn(principals, name, account=account, region=event.aws_region, asked=asked, at_ms=time_ms)


@lru_cache(_MOST_IDENTITIES)
def _principal(data: bytes) -> str | None:
    found = _loaded(data)
    session = found.get("sessionContext")
    issuer = session.get("sessionIssuer") if isinstance(session, dict) else None
    arns = [_text(part.get("arn")) if isinstance(part, dict) else None for part in (found, issuer)]
    return principal_of(_text(found.get("type")), *arns)


def _loaded(data: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
