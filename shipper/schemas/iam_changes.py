"""What CloudTrail's own records say of roles and users: who a record is about, and how tags change.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
"""

from __future__ import annotations

from typing import Any, Literal

from shipper.ports import PrincipalLookup

IAM = "iam.amazonaws.com"
Kind = Literal["create", "tag", "untag", "describe", "delete"]
_KINDS: dict[str, Kind] = {
    "CreateRole": "create",
    "CreateUser": "create",
    "TagRole": "tag",
    "TagUser": "tag",
    "UntagRole": "untag",
    "UntagUser": "untag",
    "UpdateRole": "describe",
    "UpdateRoleDescription": "describe",
    "DeleteRole": "delete",
    "DeleteUser": "delete",
}
CHANGES = frozenset(_KINDS)


def principal_of(kind: str | None, arn: str | None, issuer_arn: str | None) -> str | None:
    """The ARN, without its path, of the IAM role or user behind an identity; None for the root and services.

    Names are unique in an account whatever the path, and IAM is asked by name.
    """
    found = arn if kind == "IAMUser" else issuer_arn
    if found is None or ":iam::" not in found:
        return None
    parts = found.split(":", 5)
    if len(parts) != 6 or len(parts[4]) != 12 or not parts[5].startswith(("role/", "user/")):
        return None
    return f"{':'.join(parts[:5])}:{parts[5][:4]}/{parts[5].rpartition('/')[2]}"


def learn(
    lookup: PrincipalLookup, event: str, *, account: str | None, region: str | None, asked: dict[str, Any], at_ms: int
) -> None:
    """Hand on a successful change of a role or user.

    Args:
        event: one of `CHANGES`.
        account: whose role or user it is.
        region: where the call was made; tells the partition.
        asked: requestParameters.
        at_ms: the event's time, milliseconds since the epoch.
    """
    what = "user" if event.endswith("User") else "role"
    name = asked.get(f"{what}Name")
    if not account or not isinstance(name, str):
        return
    path = asked.get("path")
    kind = _KINDS[event]
    tags = {
        str(tag["key"]): str(tag.get("value", ""))
        for tag in _list(asked.get("tags"))
        if isinstance(tag, dict) and "key" in tag
    }
    keys = [key for key in _list(asked.get("tagKeys")) if isinstance(key, str)]
    change: dict[str, Any] = {"tags": tags, "keys": keys}
    if kind == "create":
        description = asked.get("description")
        change["path"] = path if isinstance(path, str) else "/"
        change["description"] = description if isinstance(description, str) else None
    elif kind == "describe":
        if not isinstance(asked.get("description"), str):
            return  # something else was changed
        change["description"] = asked["description"] or None
    lookup.learn(f"arn:{_partition(region)}:iam::{account}:{what}/{name}", change, kind, at_ms / 1000)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _partition(region: str | None) -> str:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html"""
    if region and region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region and region.startswith("us-gov-") else "aws"
