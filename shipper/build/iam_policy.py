"""IAM policies that allow exactly what a configuration needs, by whose credentials are used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shipper.build.permissions import Grant, decrypting, grants, sending
from shipper.config import CloudWatchLogsSource, Settings

_VERSION = "2012-10-17"


def policies(
    settings: Settings, *, kms_keys: tuple[str, ...] = (), queue_url: str | None = None, source: str | None = None
) -> dict[str, dict[str, Any]]:
    """Return a policy document for each identity: `own`, `profile:NAME`, or a role's ARN. Contacts nothing.

    Args:
        kms_keys: ARNs of keys that encrypt what is read.
        queue_url: where `shipper backfill --to-queue` is to put objects.
        source: the source of that backfill, one of the configuration's; all that list buckets when not given.
    """
    granted = list(grants(settings))
    if queue_url is not None:
        for name in [source] if source else settings.sources:
            if not isinstance(settings.sources[name], CloudWatchLogsSource):
                granted += sending(settings, name, queue_url)
    granted += decrypting(kms_keys, granted)
    return {
        who: {"Version": _VERSION, "Statement": _statements(grant for grant in granted if grant.who == who)}
        for who in dict.fromkeys(grant.who for grant in granted)
    }


def _statements(granted: Iterable[Grant]) -> list[dict[str, Any]]:
    """Statements with each pair of actions and conditions once; a Sid is only once in a policy."""
    merged: dict[tuple[Any, ...], dict[str, None]] = {}
    for grant in granted:
        # A condition belongs to its own resource alone.
        key = (grant.sid, grant.actions, grant.conditions, grant.resources if grant.conditions else None)
        merged.setdefault(key, {}).update(dict.fromkeys(grant.resources))
    statements = []
    sids: dict[str, int] = {}
    for (sid, actions, conditions, _), resources in merged.items():
        sids[sid] = sids.get(sid, 0) + 1
        statement: dict[str, Any] = {
            "Sid": f"{sid}{sids[sid] if sids[sid] > 1 else ''}",
            "Effect": "Allow",
            "Action": _one_or_many(actions),
            "Resource": _one_or_many(resources),
        }
        if conditions:
            statement["Condition"] = {op: {key: _one_or_many(values)} for op, key, values in conditions}
        statements.append(statement)
    return statements


def _one_or_many(values: Iterable[str]) -> str | list[str]:
    found = list(values)
    return found[0] if len(found) == 1 else found
