"""Calls that hand out temporary credentials, and who a session is when its own record says so.

https://docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson
from msgspec import Raw, Struct

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


def session_of(
    identity: Raw, asked: dict[str, Any], answered: dict[str, Any], address: str | None, at_ms: int
) -> tuple[str, Session] | None:
    """The access key that a call handed out, and what is known of its session; None where none was.

    Args:
        identity: userIdentity.
        asked, answered: requestParameters, responseElements.
        address: sourceIPAddress.
        at_ms: the event's time, milliseconds since the epoch.
    """
    key = _text(_dict(answered.get("credentials")).get("accessKeyId"))
    if key is None:
        return None
    user = _dict(answered.get("assumedRoleUser")) or _dict(answered.get("federatedUser"))
    caller = caller_of(identity)
    return key, Session(
        at=at_ms / 1000,
        role=_text(user.get("arn")) or _text(asked.get("roleArn")) or caller.arn,
        caller=caller.name,
        caller_key=caller.key,
        person=caller.person,
        source_identity=_text(asked.get("sourceIdentity")) or _text(answered.get("sourceIdentity")),
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
