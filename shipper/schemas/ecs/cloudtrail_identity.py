"""Who made a call: CloudTrail's userIdentity, of every type, mapped once for all records of a session.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson
from msgspec import Raw, Struct

from shipper.errors import BadInputError
from shipper.schemas.cloudtrail_record import loaded_alike, time_of
from shipper.schemas.ecs.cloudtrail_subtrees import cut
from shipper.schemas.iam_changes import principal_of
from shipper.schemas.session_calls import key_of, person_of

_MOST_IDENTITIES = 8_192
_LONGEST_CACHED = 4_096
_ABSENT = frozenset({"", "-", "none"})
_USERS = frozenset({"Root", "IAMUser", "AssumedRole"})
_USER_RESOURCES = ("user/", "role/", "assumed-role/", "federated-user/")
_OF_A_ROLE = frozenset({"AssumedRole", "FederatedUser"})


class Identity(Struct, gc=False, frozen=True):
    """What a userIdentity adds to a document. Shared between records: never change its parts.

    Attributes:
        fields: `aws.cloudtrail.user_identity` as JSON; None where there is nothing.
        user: ECS's `user`, for records that add to it; `written` is the same as JSON.
        users: names under which the caller may be searched for.
        entities: the same for all that is named: keys, ARNs, roles.
        actor: the id of who acted, `acted` the same as ECS's `actor` in JSON; `acting` says what that is in ECS: user,
            service, host or entity.
        service: the AWS service that acted on its own.
        principal: the ARN of the IAM role or user behind it, without its path.
        person: the person that a session is of, where the identity says so by itself.
    """

    type: str | None
    fields: orjson.Fragment | None
    user: dict[str, Any]
    written: orjson.Fragment | None
    account: str | None
    users: list[str]
    entities: list[str]
    actor: str | None
    acting: str | None
    acted: orjson.Fragment | None
    issuer_arn: str | None
    service: str | None
    principal: str | None
    access_key: str | None
    person: str | None


def identity(raw: Raw) -> Identity:
    """Map a userIdentity; equal bytes give the same object."""
    data = bytes(raw)
    return _cached(data) if len(data) <= _LONGEST_CACHED else _mapped(data)


def _mapped(data: bytes) -> Identity:
    found = _dict(loaded_alike(data)) if data else {}
    kind, arn, name = _text(found, "type"), _text(found, "arn"), _text(found, "userName")
    session, on_behalf = _dict(found.get("sessionContext")), _dict(found.get("onBehalfOf"))
    issuer = _dict(session.get("sessionIssuer"))
    role, issuer_arn = _text(issuer, "userName"), _text(issuer, "arn")
    session_name = _session_name(arn) if kind in _OF_A_ROLE else None
    chosen = role if role and (kind in _OF_A_ROLE or not name) else name
    on_behalf_of = _text(on_behalf, "userId")
    principal = _text(found, "principalId") or (on_behalf_of if kind == "IdentityCenterUser" else None)
    invoked_by, actor = _text(found, "invokedBy"), arn or on_behalf_of
    acting = _acting(kind, actor) if actor else None
    user = _present(
        {
            "name": chosen,
            "id": principal,
            "email": next((text for text in (session_name, chosen) if text and text.find("@") > 0), None),
            "roles": [role] if role and kind in _OF_A_ROLE else None,
            "entity": {"id": [actor]} if acting == "user" else None,
        }
    )
    fields = _identity_fields(found, session, issuer, on_behalf)
    return Identity(
        type=kind,
        fields=orjson.Fragment(orjson.dumps(fields)) if fields else None,
        user=user,
        written=orjson.Fragment(orjson.dumps(user)) if user else None,
        account=_text(found, "accountId"),
        users=_unique(name, chosen, session_name, _before_at(session_name), principal),
        entities=_unique(
            _text(found, "accessKeyId"), arn, name, issuer_arn, role, _text(on_behalf, "identityStoreArn")
        ),
        actor=actor,
        acting=acting,
        acted=orjson.Fragment(orjson.dumps({"entity": {"id": [actor]}})) if actor else None,
        issuer_arn=issuer_arn,
        service=invoked_by if kind == "AWSService" else None,
        principal=principal_of(kind, arn, issuer_arn),
        access_key=key_of(found),
        person=person_of(found) if kind in _OF_A_ROLE else None,
    )


_cached = lru_cache(_MOST_IDENTITIES)(_mapped)


def _identity_fields(
    found: dict[str, Any], session: dict[str, Any], issuer: dict[str, Any], on_behalf: dict[str, Any]
) -> dict[str, Any]:
    return _present(
        {
            "type": _text(found, "type"),
            "arn": _text(found, "arn"),
            "access_key_id": _text(found, "accessKeyId"),
            "invoked_by": _text(found, "invokedBy"),
            "identity_provider": _text(found, "identityProvider"),
            "credential_id": _text(found, "credentialId"),
            "session_context": _session(session, issuer),
            "on_behalf_of": _present(
                {"user_id": _text(on_behalf, "userId"), "identity_store_arn": _text(on_behalf, "identityStoreArn")}
            ),
        }
    )


def _session(session: dict[str, Any], issuer: dict[str, Any]) -> dict[str, Any]:
    attributes, web = _dict(session.get("attributes")), _dict(session.get("webIdFederationData"))
    created = _text(attributes, "creationDate")
    return _present(
        {
            "mfa_authenticated": _text(attributes, "mfaAuthenticated"),
            "creation_date": _time(created) if created else None,
            "source_identity": _text(session, "sourceIdentity"),
            "ec2_role_delivery": _text(session, "ec2RoleDelivery"),
            "session_issuer": _present(
                {
                    "type": _text(issuer, "type"),
                    "principal_id": _text(issuer, "principalId"),
                    "arn": _text(issuer, "arn"),
                    "account_id": _text(issuer, "accountId"),
                    "user_name": _text(issuer, "userName"),
                }
            ),
            "web_id_federation": _present({"provider": _text(web, "federatedProvider")}),
        }
    )


def _acting(kind: str | None, actor: str) -> str:
    """What the actor is in ECS: a user, a service, a host, or just an entity."""
    if kind == "AWSService" or "/AWSServiceRoleFor" in actor or "/aws-service-role/" in actor:
        return "service"
    resource = actor.split(":", 5)[-1] if actor.startswith("arn:") else ""
    if kind in _USERS or resource.startswith(_USER_RESOURCES):
        return "user"
    return "host" if actor.startswith("i-") or resource.startswith("instance/") else "entity"


def _session_name(arn: str | None) -> str | None:
    """`arn:…:sts::…:assumed-role/ROLE/NAME` → NAME."""
    if arn is None or ":sts:" not in arn or "/" not in arn:
        return None
    return arn.rpartition("/")[2] or None


def _before_at(address: str | None) -> str | None:
    return address.partition("@")[0] if address and "@" in address else None


def _time(text: str) -> str | None:
    try:
        return time_of(text)[1]
    except BadInputError:
        return None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(fields: dict[str, Any], name: str) -> str | None:
    """A single value as text, however the record writes it; None where it is absent or says nothing."""
    value = fields.get(name)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, dict | list):
        return None
    text = str(value)
    return None if text in _ABSENT else cut(text)


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _unique(*texts: str | None) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))
