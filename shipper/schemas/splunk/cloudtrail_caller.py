"""What lookups say of a CloudTrail record's caller, as Splunk's indexed fields; learns from records as they pass by."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import msgspec
import orjson
from msgspec import Raw

from shipper.ports import PrincipalLookup, SessionLookup
from shipper.schemas.iam_changes import CHANGES, IAM, learn, principal_of
from shipper.schemas.session_calls import CALLS, STS, object_of, person_of, session_of

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
    response_elements: Raw = Raw()
    source_address: str | None = msgspec.field(default=None, name="sourceIPAddress")


class _Caller(msgspec.Struct, gc=False, frozen=True):
    arn: str | None
    access_key: str | None
    person: str | None


_decode = msgspec.json.Decoder(_Event).decode


def caller_fields(
    principals: PrincipalLookup | None, sessions: SessionLookup | None, raw: bytes, time_ms: int
) -> bytes:
    """The fields as JSON members, with a comma before each; empty where nothing is known."""
    try:
        event = _decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return b""
    caller = _caller(bytes(event.user_identity))
    fields: dict[str, Any] = {}
    if principals is not None:
        if event.event_source == IAM and event.event_name in CHANGES and not event.error_code:
            _learn(principals, event, event.event_name, time_ms)
        if caller.arn:
            _add_principal(fields, principals, caller.arn)
    if sessions is not None:
        if event.event_source == STS and event.event_name in CALLS and not event.error_code:
            _learn_session(sessions, event, time_ms)
        _add_person(fields, sessions, caller)
    return b"," + orjson.dumps(fields)[1:-1] if fields else b""


def _add_principal(fields: dict[str, Any], principals: PrincipalLookup, arn: str) -> None:
    found = principals(arn)
    if found is None:
        return
    fields["iam_arn"] = arn
    if found.path:
        fields["iam_path"] = found.path
    if found.description:
        fields["iam_description"] = found.description
    for key, value in found.tags.items():
        fields["iam_tag_" + _NOT_IN_NAMES.sub("_", key)] = value


def _add_person(fields: dict[str, Any], sessions: SessionLookup, caller: _Caller) -> None:
    acted = sessions(caller.access_key) if caller.access_key else None
    person = acted.person or caller.person if acted else caller.person
    if person:
        fields["effective_user"] = person
    if acted is None:
        return
    fields["session_chain"] = acted.chain
    if acted.person_id:
        fields["effective_user_id"] = acted.person_id
    if acted.source_identity:
        fields["session_source_identity"] = acted.source_identity
    if acted.first_address:
        fields["session_first_address"] = acted.first_address


def _learn(principals: PrincipalLookup, event: _Event, name: str, time_ms: int) -> None:
    asked = object_of(event.request_parameters)
    account = event.recipient_account_id
    learn(principals, name, account=account, region=event.aws_region, asked=asked, at_ms=time_ms)


def _learn_session(sessions: SessionLookup, event: _Event, time_ms: int) -> None:
    parts = (event.user_identity, event.request_parameters, event.response_elements)
    identity, asked, answered = map(object_of, parts)
    if made := session_of(identity, asked, answered, event.source_address, time_ms):
        sessions.learn(*made)


@lru_cache(_MOST_IDENTITIES)
def _caller(data: bytes) -> _Caller:
    found = object_of(Raw(data))
    session = found.get("sessionContext")
    issuer = session.get("sessionIssuer") if isinstance(session, dict) else None
    arns = [_text(part.get("arn")) if isinstance(part, dict) else None for part in (found, issuer)]
    kind = _text(found.get("type"))
    person = person_of(found) if kind in {"AssumedRole", "FederatedUser"} else None
    return _Caller(principal_of(kind, *arns), _text(found.get("accessKeyId")), person)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
