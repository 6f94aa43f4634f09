"""Whom and what a call was about: the users, groups and things that its parameters name.

Which parameters name something is data (`cloudtrail_targets.json`): by service the paths of what is related to an
event, and by event those of its targets. Elastic's AWS integration does the same where `actor_target_mapping` is on.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

import orjson
from msgspec import Struct

from shipper.schemas.cloudtrail_record import CloudTrailRecord
from shipper.schemas.ecs.cloudtrail_identity import Identity
from shipper.schemas.ecs.cloudtrail_parts import Parts

_Ways = dict[str, tuple[tuple[str, ...], ...]]
"""A subtree's own keys → the ways on from there."""


class Paths(Struct, gc=False, frozen=True):
    """Where one service's records name things: by subtree, all of them, and by event and subtree the targets."""

    related: dict[str, _Ways]
    targets: dict[str, dict[str, _Ways]]


_TABLE = orjson.loads(resources.files(__package__).joinpath("cloudtrail_targets.json").read_bytes())


def _ways(paths: list[str]) -> dict[str, _Ways]:
    ways: dict[str, _Ways] = {}
    for path in paths:
        part, key, *rest = path.split(".")
        known = ways.setdefault(part, {})
        known[key] = (*known.get(key, ()), tuple(rest))
    return ways


PATHS = {
    service: Paths(
        _ways(entry.get("related", [])), {name: _ways(paths) for name, paths in entry.get("targets", {}).items()}
    )
    for service, entry in _TABLE["services"].items()
}
_INSTANCES = frozenset({"instanceIds"})
KIND_OF_RESOURCE: dict[str, str] = {name: kind for kind, names in _TABLE["resources"].items() for name in names}
KIND_OF_PREFIX: dict[str, str] = {name: kind for kind, names in _TABLE["prefixes"].items() for name in names}


def related(paths: Paths, parts: Parts) -> list[str]:
    """All that a record names."""
    found: list[str] = []
    for part, ways in paths.related.items():
        if tree := parts.tree(part, ways):
            found += _named(tree, ways)
    return found


def targets(paths: Paths, event: CloudTrailRecord, parts: Parts, arns: list[str]) -> list[str]:
    """What a record's call was aimed at.

    Args:
        arns: of the record's resources.
    """
    wanted = paths.targets.get(event.event_name or "")
    if wanted is None:
        return []
    about: dict[str, Any] = {"recipientAccountId": event.recipient_account_id, "resources": arns}
    found = [
        name
        for part, ways in wanted.items()
        for name in _named(about if part == "record" else parts.tree(part, ways), ways)
    ]
    return _commanded(event, parts, found) if event.event_name == "SendCommand" else found


def _commanded(event: CloudTrailRecord, parts: Parts, found: list[str]) -> list[str]:
    """Where a command was sent: the instances that are named, else what `targets` selects; `*` is the whole account."""
    instances: list[str] = []
    _follow(parts.tree("requestParameters", _INSTANCES).get("instanceIds"), (), instances)
    chosen = instances or found
    return [event.recipient_account_id] if chosen == ["*"] and event.recipient_account_id else chosen


def _named(tree: dict[str, Any], ways: _Ways) -> list[str]:
    """What a subtree names, in its own order."""
    found: list[str] = []
    for key, value in tree.items():
        if key in ways:
            for way in ways[key]:
                _follow(value, way, found)
    return found


def _follow(part: Any, way: tuple[str, ...], found: list[str]) -> None:
    """Add all single values at the end of a way, whatever lists are on it."""
    if type(part) is list:
        for item in part:
            _follow(item, way, found)
    elif way:
        if type(part) is dict and way[0] in part:
            _follow(part[way[0]], way[1:], found)
    elif part and type(part) is not dict:
        found.append(str(part))


def add_targets(fields: dict[str, Any], user: dict[str, Any], targets: list[str]) -> None:
    """Add the targets' ids, together and by what they are.

    Args:
        user: what is added to ECS's `user`.
        targets: at least one.
    """
    ids = sorted(set(targets))
    fields["target"] = {"entity": {"id": ids}}
    kinds: dict[str, list[str]] = {}
    for target in ids:
        kinds.setdefault(_kind(target), []).append(target)
    for kind, some in kinds.items():
        if kind == "entity":
            fields["entity"] = {"target": {"id": some}}
        else:
            place = user if kind == "user" else fields.setdefault(kind, {})
            place.setdefault("target", {})["entity"] = {"id": some}


def add_actor(fields: dict[str, Any], user: dict[str, Any], who: Identity, event_name: str | None) -> None:
    """Add who acted: for AssumeRole, the role that assumes or the service that does."""
    actor, acting = who.actor, who.acting
    if event_name == "AssumeRole":
        if who.service:
            actor, acting = who.service, "service"
        elif who.type == "AssumedRole" and who.issuer_arn:
            actor = who.issuer_arn
    if actor is None:
        return
    if actor is who.actor:
        fields["actor"] = who.acted
    else:
        fields["actor"] = {"entity": {"id": [actor]}}
    if acting == "entity":
        fields.setdefault("entity", {})["id"] = [actor]
    elif acting == "user":
        if actor is not who.actor:  # else it is in the caller's own `user`
            user["entity"] = {"id": [actor]}
    elif acting:
        fields.setdefault(acting, {})["entity"] = {"id": [actor]}


def _kind(target: str) -> str:
    """What a target is in ECS, told by its ARN or the prefix of its id."""
    if target.startswith("arn:"):
        parts = target.split(":", 5)
        if len(parts) < 6:
            return "entity"
        if "/AWSServiceRoleFor" in target or "/aws-service-role/" in target:
            return "service"
        resource = parts[5].partition("/")[0].partition(":")[0]
        return KIND_OF_RESOURCE.get(resource) or ("service" if parts[2] == "s3" else "entity")
    if len(target) == 20 and target.startswith("AKIA"):
        return "user"
    return KIND_OF_PREFIX.get(target.partition("-")[0] + "-", "entity")
