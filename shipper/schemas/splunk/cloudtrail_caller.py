"""What lookups say of a CloudTrail record's caller, as Splunk's indexed fields; learns from records as they pass by."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import msgspec
import orjson
from msgspec import Raw

from shipper.model import Acted, IamPrincipal
from shipper.ports import InterfaceLookup, PrincipalLookup, SessionLookup
from shipper.schemas import interface_changes
from shipper.schemas.iam_changes import CHANGES, IAM, learn, principal_of
from shipper.schemas.session_calls import (
    CALLS,
    SIGN_IN,
    SIGN_INS,
    STS,
    key_of,
    object_of,
    person_of,
    session_of,
    sign_in_of,
)

_MOST_CALLERS = 8_192
# What may stand in a field's name: https://docs.splunk.com/Documentation/Splunk/latest/Knowledge/Aboutfields
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]+")


class Call(msgspec.Struct, gc=False):
    """What of a record tells who called, and what it changed."""

    user_identity: Raw = msgspec.field(default=Raw(), name="userIdentity")
    event_source: str | None = msgspec.field(default=None, name="eventSource")
    event_name: str | None = msgspec.field(default=None, name="eventName")
    aws_region: str | None = msgspec.field(default=None, name="awsRegion")
    error_code: str | None = msgspec.field(default=None, name="errorCode")
    account: str | None = msgspec.field(default=None, name="recipientAccountId")
    request_parameters: Raw = msgspec.field(default=Raw(), name="requestParameters")
    response_elements: Raw = msgspec.field(default=Raw(), name="responseElements")
    address: str | None = msgspec.field(default=None, name="sourceIPAddress")
    user_agent: str | None = msgspec.field(default=None, name="userAgent")
    additional_event_data: Raw = msgspec.field(default=Raw(), name="additionalEventData")
    service_event_details: Raw = msgspec.field(default=Raw(), name="serviceEventDetails")


class Caller(msgspec.Struct, gc=False, frozen=True, eq=False):
    """Who made a call. Compared by identity: the same for all records of a session.

    Attributes:
        arn: of the role or user, without its path.
        access_key: or what else a session is remembered by.
        person: whom the record itself names.
        account: where the record says it.
    """

    arn: str | None
    access_key: str | None
    person: str | None
    account: str | None


class CallerFields:
    """Writes the fields of a caller once, and again when more is known of it. Safe to use from many threads."""

    def __init__(
        self, principals: PrincipalLookup | None, sessions: SessionLookup | None, interfaces: InterfaceLookup | None
    ) -> None:
        self._interfaces = interfaces
        self._principals = principals
        self._sessions = sessions
        self._written: dict[Caller, tuple[IamPrincipal | None, Acted | None, bytes]] = {}

    def __call__(self, call: Call, caller: Caller, time_ms: int) -> bytes:
        """The fields as JSON members, with a comma before each; empty where nothing is known.

        Args:
            caller: who made the call, as `caller_of` tells.
        """
        found, acted = None, None
        source = call.event_source
        if self._principals is not None:
            if source == IAM and call.event_name in CHANGES and not call.error_code:
                _learn(self._principals, call, call.event_name, time_ms)
            if caller.arn:
                found = self._principals(caller.arn)
        if self._sessions is not None:
            if (source == STS and call.event_name in CALLS) or (source == SIGN_IN and call.event_name in SIGN_INS):
                _learn_session(self._sessions, call, time_ms)
            if caller.access_key:
                acted = self._sessions(caller.access_key)
        if self._interfaces is not None and source == interface_changes.EC2 and not call.error_code:
            _learn_interface(self._interfaces, call, time_ms)
        kept = self._written.get(caller)
        if kept is not None and kept[0] is found and kept[1] is acted:
            return kept[2]
        fields: dict[str, Any] = {}
        if caller.arn and found is not None:
            _add_principal(fields, caller.arn, found)
        if self._sessions is not None:
            _add_person(fields, acted, caller)
        written = b"," + orjson.dumps(fields)[1:-1] if fields else b""
        if len(self._written) >= _MOST_CALLERS:
            self._written.clear()
        self._written[caller] = found, acted, written
        return written


def _add_principal(fields: dict[str, Any], arn: str, found: IamPrincipal) -> None:
    fields["iam_arn"] = arn
    if found.path:
        fields["iam_path"] = found.path
    if found.description:
        fields["iam_description"] = found.description
    for key, value in found.tags.items():
        fields["iam_tag_" + _NOT_IN_NAMES.sub("_", key)] = value


def _add_person(fields: dict[str, Any], acted: Acted | None, caller: Caller) -> None:
    person = acted.person or caller.person if acted else caller.person
    if person:
        fields["effective_user"] = person
    if acted is None:
        return
    if acted.chain:
        fields["session_chain"] = acted.chain
    if acted.person_id:
        fields["effective_user_id"] = acted.person_id
    if acted.source_identity:
        fields["session_source_identity"] = acted.source_identity
    if acted.first_address:
        fields["session_first_address"] = acted.first_address


def _learn(principals: PrincipalLookup, call: Call, name: str, time_ms: int) -> None:
    asked = object_of(call.request_parameters)
    learn(principals, name, account=call.account, region=call.aws_region, asked=asked, at_ms=time_ms)


def _learn_interface(interfaces: InterfaceLookup, call: Call, time_ms: int) -> None:
    if call.event_name not in interface_changes.CHANGES:
        return
    interface_changes.learn(
        interfaces,
        call.event_name or "",
        place=(call.account, call.aws_region),
        asked=object_of(call.request_parameters),
        answered=object_of(call.response_elements),
        at_ms=time_ms,
    )


def _learn_session(sessions: SessionLookup, call: Call, time_ms: int) -> None:
    made = None
    if call.error_code:
        return
    if call.event_source == STS:
        asked, answered = call.request_parameters, call.response_elements
        made = session_of(call.user_identity, asked, answered, call.address, time_ms)
    else:
        said, details = object_of(call.additional_event_data), object_of(call.service_event_details)
        made = sign_in_of(call.user_identity, said, details, call.address, time_ms)
    if made is not None:
        sessions.learn(*made)


@lru_cache(_MOST_CALLERS)
def _caller(data: bytes) -> Caller:
    found = object_of(data)
    session = found.get("sessionContext")
    issuer = session.get("sessionIssuer") if isinstance(session, dict) else None
    arns = [_text(part.get("arn")) if isinstance(part, dict) else None for part in (found, issuer)]
    kind = _text(found.get("type"))
    person = person_of(found) if kind in {"AssumedRole", "FederatedUser"} else None
    return Caller(principal_of(kind, *arns), key_of(found), person, _text(found.get("accountId")))


def caller_of(call: Call) -> Caller:
    """Who made a call; the same object for equal identities."""
    return _caller(bytes(call.user_identity))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
