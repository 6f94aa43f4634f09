"""Tags, path and description of IAM roles and users, looked up in the background and kept fresh by CloudTrail itself.

GetRole and GetUser return the tags too: https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import structlog

from shipper.enrich.background import Background, Policy, Report
from shipper.enrich.tag_choice import TagChoice
from shipper.metrics import Metrics
from shipper.model import IamPrincipal
from shipper.ports import Stop

Fetch = Callable[[str], IamPrincipal | None]
"""Asks IAM for a role's or user's ARN; None where there is none of that name. Blocks.

Raises:
    RetryableError: IAM cannot be asked now; `paused` where a permission is missing.
"""

_FRESH_SECONDS = 900.0

log = structlog.get_logger(__name__)


class IamPrincipals:
    """Implements `ports.PrincipalLookup`: answers from memory, and asks IAM in a thread of its own.

    The first records of a principal go without. A role that is deleted keeps what was known of it.

    Args:
        policy: how much is remembered, and how often IAM is asked.
        tags: which tags are kept.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        fetch: Fetch,
        metrics: Metrics,
        stop: Stop,
        policy: Policy,
        tags: TagChoice = TagChoice(),  # noqa: B008 - never changes
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fetch = fetch
        self._refresh_seconds = policy.refresh_seconds
        self._tags = tags
        self._clock = clock
        report = Report(lambda outcome: metrics.iam_lookups.labels(outcome).inc(), metrics.iam_principals.set)
        self._known = Background(
            "iam", self._look_up, report, stop, policy=policy, owner=_account, complain=_complain, clock=clock
        )
        self.waiting = self._known.waiting
        self._get = self._known.get

    def __call__(self, arn: str) -> IamPrincipal | None:
        """What is known of a role or user now; see `ports.PrincipalLookup`."""
        return self._get(arn)

    def learn(
        self,
        arn: str,
        change: Mapping[str, Any],
        kind: Literal["create", "tag", "untag", "describe", "delete"],
        at: float,
    ) -> None:
        """Note a change that passes by in CloudTrail; see `ports.PrincipalLookup`."""

        def update(before: IamPrincipal | None) -> IamPrincipal | None:
            if kind == "create":
                tags = change.get("tags", {})
                return self._chosen(IamPrincipal(change.get("path"), change.get("description"), tags))
            if before is None:
                return None
            if kind == "delete":
                return before  # its last records are still to come
            if kind == "describe":
                return IamPrincipal(before.path, change.get("description"), before.tags)
            tags = {**before.tags, **change.get("tags", {})}
            for key in change.get("keys", ()):
                tags.pop(key, None)
            return self._chosen(IamPrincipal(before.path, before.description, tags))

        # A change of long ago may have been followed by others: good for now, but asked for at the next use.
        # What is deleted is not asked for again: another one of its name is told by its own record.
        fresh = kind == "delete" or self._clock() - at < _FRESH_SECONDS
        self._known.change(arn, update, at, self._refresh_seconds if fresh else 0.0)

    def _look_up(self, arn: str) -> IamPrincipal | None:
        found = self._fetch(arn)
        return None if found is None else self._chosen(found)

    def _chosen(self, principal: IamPrincipal) -> IamPrincipal:
        """A principal with the wanted tags alone."""
        return IamPrincipal(principal.path, principal.description, self._tags.of(principal.tags))


def _account(arn: str) -> str:
    return "".join(arn.split(":")[4:5])


def _complain(arn: str, why: str) -> None:
    """Tell a failure's cause once for each account, not for each principal."""
    log.warning("IAM cannot be asked, documents go without tags", account=_account(arn), why=why)
