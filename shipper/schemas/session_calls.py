"""Calls that hand out temporary credentials, and who a session is when its own record says so.

https://docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson
from msgspec import MsgspecError, Raw, Struct, field, json

from shipper.model import Session

STS = "sts.amazonaws.com"
CALLS = frozenset(
    {
        "AssumeRole",
        "AssumeRoleWithSAML",
        "AssumeRoleWithWebIdentity",
        "AssumeRoot",
        "GetFederationToken",
        "GetSessionToken",
    }
)
SIGN_IN = "signin.amazonaws.com"
SIGN_INS = frozenset({"CredentialChallenge", "UserAuthentication"})
"""Where IAM Identity Center names a user, whose id is all that later records have:
https://docs.aws.amazon.com/singlesignon/latest/userguide/username-sign-in-cloudtrail-events.html
"""
_SSO_ROLE = "AWSReservedSSO_"
_PERSONS = frozenset({"IAMUser", "SAMLUser", "WebIdentityUser", "IdentityCenterUser", "FederatedUser"})
_MOST_CALLERS = 8_192
_LONGEST_CACHED = 4_096


class Caller(Struct, gc=False, frozen=True):
    """Who asked for credentials.

    Attributes:
        name: the ARN, or the principal id; None where the record does not say.
        arn: the ARN alone.
        key: the access key that asked.
        person: as `person_of`.
    """

    name: str | None
    arn: str | None
    key: str | None
    person: str | None


def caller_of(identity: Raw) -> Caller:
    """Read a userIdentity; equal bytes give the same object."""
    data = bytes(identity)
    return _cached_caller(data) if len(data) <= _LONGEST_CACHED else _caller(data)


def _caller(data: bytes) -> Caller:
    found = object_of(data)
    arn = _text(found.get("arn"))
    return Caller(
        name=arn or _text(found.get("principalId")) if found.get("type") != "AWSAccount" else None,
        arn=arn,
        key=key_of(found),
        person=person_of(found),
    )


_cached_caller = lru_cache(_MOST_CALLERS)(_caller)


class _Credentials(Struct, gc=False):
    key: str | None = field(default=None, name="accessKeyId")


class _User(Struct, gc=False):
    arn: str | None = None


class _Call(Struct, gc=False, rename="camel"):
    """What is needed of requestParameters and responseElements."""

    role_arn: str | None = None
    source_identity: str | None = None
    credentials: _Credentials | None = None
    assumed_role_user: _User | None = None
    federated_user: _User | None = None


_decode = json.Decoder(_Call).decode


def _call_of(raw: Raw) -> _Call:
    """A part of a record; what has another form than AWS gives it counts as absent."""
    try:
        return _decode(raw) if raw else _Call()
    except (MsgspecError, RecursionError):
        found = object_of(raw)
    key = _text(_dict(found.get("credentials")).get("accessKeyId"))
    users = (_User(_text(_dict(found.get(name)).get("arn"))) for name in ("assumedRoleUser", "federatedUser"))
    return _Call(_text(found.get("roleArn")), _text(found.get("sourceIdentity")), _Credentials(key), *users)


def session_of(identity: Raw, asked: Raw, answered: Raw, address: str | None, at_ms: int) -> tuple[str, Session] | None:
    """The access key that a call handed out, and what is known of its session; None where none was.

    Args:
        identity: userIdentity.
        asked, answered: requestParameters, responseElements.
        address: sourceIPAddress.
        at_ms: the event's time, milliseconds since the epoch.
    """
    answer, request = _call_of(answered), _call_of(asked)
    key = _text(answer.credentials.key) if answer.credentials is not None else None
    if key is None:
        return None
    user = answer.assumed_role_user or answer.federated_user
    caller = caller_of(identity)
    return key, Session(
        at=at_ms / 1000,
        role=(_text(user.arn) if user is not None else None) or _text(request.role_arn) or caller.arn,
        caller=caller.name,
        caller_key=caller.key,
        person=caller.person,
        source_identity=_text(request.source_identity) or _text(answer.source_identity),
        address=address,
    )


def sign_in_of(
    identity: Raw, said: dict[str, Any], details: dict[str, Any], address: str | None, at_ms: int
) -> tuple[str, Session] | None:
    """The id of an IAM Identity Center user who signs in, and who that is; None where the record does not name both.

    Args:
        identity: userIdentity.
        said, details: additionalEventData, serviceEventDetails.
        address, at_ms: as for `session_of`.
    """
    key = _text(_dict(object_of(identity).get("onBehalfOf")).get("userId"))
    name = _text(said.get("UserName"))
    if key is None or name is None or "Success" not in details.values():
        return None
    return key, Session(at=at_ms / 1000, person=name, address=address)


def key_of(identity: dict[str, Any]) -> str | None:
    """By what a session is remembered: the access key, or the id of the IAM Identity Center user without one."""
    return _text(identity.get("accessKeyId")) or _text(_dict(identity.get("onBehalfOf")).get("userId"))


def person_of(identity: dict[str, Any]) -> str | None:
    """The name of the person that an identity is by itself: a user, or someone of IAM Identity Center."""
    kind, arn = identity.get("type"), _text(identity.get("arn")) or ""
    if source := _text(_dict(identity.get("sessionContext")).get("sourceIdentity")):
        return source
    if kind == "AssumedRole":
        _, _, resource = arn.partition(":assumed-role/")
        role, _, name = resource.partition("/")
        return name or None if role.startswith(_SSO_ROLE) else None
    if kind == "Root":
        return "root"
    if kind not in _PERSONS:
        return None
    if kind == "FederatedUser":
        return arn.partition(":federated-user/")[2] or None
    return _text(identity.get("userName"))


def object_of(raw: Raw | bytes) -> dict[str, Any]:
    """A part of a record as a dict; empty where it is no JSON object."""
    try:
        return _dict(orjson.loads(bytes(raw))) if raw else {}
    except ValueError:
        return {}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value[:2048] if isinstance(value, str) and value else None
