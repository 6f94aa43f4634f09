"""What a call was about: its parameters, resources, users and groups, and the connection it came by."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson
from msgspec import Raw

from shipper.schemas.cloudtrail_record import ABSENT, CloudTrailRecord, loaded_alike
from shipper.schemas.ecs.cloudtrail_identity import Identity
from shipper.schemas.ecs.cloudtrail_parts import Parts
from shipper.schemas.ecs.cloudtrail_subtrees import Subtree, cut, subtree
from shipper.schemas.ecs.cloudtrail_targets import PATHS, add_actor, add_targets, related, targets

_MOST_CONNECTIONS = 4_096
_LONGEST_BYTES = 8_191
_RESOURCE = {"ARN": "arn", "arn": "arn", "accountId": "account_id", "type": "type", "ARNPrefix": "ARNPrefix"}
_ADDENDUM = (
    ("reason", "reason"),
    ("updated_fields", "updatedFields"),
    ("original_request_id", "originalRequestID"),
    ("original_event_id", "originalEventID"),
)
_ASKED = frozenset({"userName", "newUserName", "groupName"})
_ANSWERED = frozenset({"user", "group"})


def add_details(
    fields: dict[str, Any], trail: dict[str, Any], event: CloudTrailRecord, who: Identity, parts: Parts
) -> None:
    """Add the rest of a document."""
    more: dict[str, Any] = {}  # what this record adds to its caller's `user`
    users = who.users
    if event.event_source == "signin.amazonaws.com":
        users = _add_sign_in(more, users, event, who, parts)
    _add_parts(trail, parts)
    if event.insight_details is not ABSENT or event.addendum is not ABSENT or event.edge_device_details is not ABSENT:
        _add_rare_parts(trail, event)
    users = _add_people(fields, more, users, parts)
    arns = _add_resources(trail, event.resources) if event.resources is not ABSENT else []
    entities = [*who.entities, *arns]
    if (paths := PATHS.get(event.event_source or "")) is not None:
        entities += related(paths, parts)
        if found := targets(paths, event, parts, arns):
            add_targets(fields, more, found)
            entities += found
    if entities:
        fields["related"]["entity"] = list(dict.fromkeys(entities))
    add_actor(fields, more, who, event.event_name)
    if who.service:
        fields.setdefault("service", {})["name"] = who.service
    if users:
        fields["related"]["user"] = users
    if more:
        fields["user"] = {**who.user, **more}
    elif who.written is not None:
        fields["user"] = who.written
    if event.tls_details is not ABSENT and (tls := connections(bytes(event.tls_details))) is not None:
        fields["tls"] = tls


def _add_parts(trail: dict[str, Any], parts: Parts) -> None:
    flattened: dict[str, Any] = {}
    if parts.request is not None:
        _add_part(trail, flattened, "request_parameters", parts.request)
    if parts.response is not None:
        _add_part(trail, flattened, "response_elements", parts.response)
    if parts.additional is not None:
        _add_part(trail, flattened, "additional_eventdata", parts.additional)
    if parts.details is not None:
        _add_part(trail, flattened, "service_event_details", parts.details)
    if flattened:
        trail["flattened"] = flattened


def _add_rare_parts(trail: dict[str, Any], event: CloudTrailRecord) -> None:
    """Add what insight events, corrections of earlier events, and events of Snow devices have."""
    if (insight := subtree(event.insight_details)) is not None and insight.flattened is not None:
        trail.setdefault("flattened", {})["insight_details"] = insight.flattened
    if (addendum := subtree(event.addendum)) is not None:
        tree = addendum.tree
        trail["addendum"] = {name: text for name, theirs in _ADDENDUM if (text := _text(tree.get(theirs)))}
    if (device := subtree(event.edge_device_details)) is not None:
        trail["edge_device_details"] = cut(device.text, _LONGEST_BYTES)


def _add_part(trail: dict[str, Any], flattened: dict[str, Any], name: str, part: Subtree) -> None:
    if part.text:
        trail[name] = part.text
    if part.flattened is not None:
        flattened[name] = part.flattened


def _add_sign_in(
    more: dict[str, Any], users: list[str], event: CloudTrailRecord, who: Identity, parts: Parts
) -> list[str]:
    """Add the user of a sign-in by IAM Identity Center, whose name CloudTrail writes in additionalEventData only.

    As in Elastic's integration the name of a UserAuthentication is moved from there: its text has it no more.
    """
    if "name" in who.user or parts.additional is None:
        return users
    name = _text(parts.additional.tree.get("UserName"))
    if name is None:
        return users
    if event.event_name == "UserAuthentication":
        parts.additional = parts.additional.without("UserName")
    more["name"] = name
    if name.find("@") > 0 and "email" not in who.user:
        more["email"] = name
    return _with(users, name)


def _add_people(fields: dict[str, Any], more: dict[str, Any], users: list[str], parts: Parts) -> list[str]:
    """Add the users and groups that the call made or changed; return all users."""
    target, group = {}, {}
    if asked := parts.tree("requestParameters", _ASKED):
        if name := _text(asked.get("userName")):
            target["name"] = name
            users = _with(users, name)
        if name := _text(asked.get("newUserName")):
            more["changes"] = {"name": name}
            users = _with(users, name)
        if name := _text(asked.get("groupName")):
            group["name"] = name
    if answered := parts.tree("responseElements", _ANSWERED):
        if key := _text(_dict(answered.get("user")).get("userId")):
            target["id"] = key
            users = _with(users, key)
        if key := _text(_dict(answered.get("group")).get("groupId")):
            group["id"] = key
    if target:
        more["target"] = target
    if group:
        fields["group"] = group
    return users


def _add_resources(trail: dict[str, Any], raw: Raw) -> list[str]:
    """Add the resources, each once; return their ARNs."""
    unique: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    found = loaded_alike(bytes(raw))
    for item in found if type(found) is list else []:
        if type(item) is dict:
            resource = {
                _RESOURCE[key]: text for key, value in item.items() if key in _RESOURCE and (text := _text(value))
            }
            if resource:
                unique[tuple(resource.items())] = resource
    if unique:
        trail["resources"] = list(unique.values())
    return [resource["arn"] for resource in unique.values() if "arn" in resource]


@lru_cache(_MOST_CONNECTIONS)
def connections(data: bytes) -> orjson.Fragment | None:
    """ECS's `tls` of a tlsDetails object."""
    try:
        details = _dict(orjson.loads(data))
    except ValueError:
        return None
    tls: dict[str, Any] = {}
    version = _text(details.get("tlsVersion"))
    if version == "tlsVersion":  # the field's own name: CloudTrail had nothing to say
        return None
    if version:
        protocol, letter, number = version.partition("v")
        if letter and number:
            tls["version_protocol"], tls["version"] = protocol.lower(), number
        else:
            tls["version"] = version
    if cipher := _text(details.get("cipherSuite")):
        tls["cipher"] = cipher
    if name := _text(details.get("clientProvidedHostHeader")):
        tls["client"] = {"server_name": name}
    return orjson.Fragment(orjson.dumps(tls)) if tls else None


def _with(texts: list[str], text: str) -> list[str]:
    return texts if text in texts else [*texts, text]


def _dict(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {}


def _text(value: Any) -> str | None:
    """A single value as text within the bounds of a keyword; None where there is none."""
    if value is None or value == "" or type(value) is dict or type(value) is list:
        return None
    return cut(value if type(value) is str else str(value), _LONGEST_BYTES)
