"""Which CloudTrail records tell of network interfaces and instances that change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shipper.ports import InterfaceLookup

EC2 = "ec2.amazonaws.com"
CHANGES = frozenset(
    (
        "AssignPrivateIpAddresses",
        "AttachNetworkInterface",
        "CreateNetworkInterface",
        "CreateTags",
        "DeleteNetworkInterface",
        "DeleteTags",
        "DetachNetworkInterface",
        "RunInstances",
        "TerminateInstances",
        "UnassignPrivateIpAddresses",
    )
)


def learn(
    lookup: InterfaceLookup,
    event: str,
    *,
    place: tuple[str | None, str | None],
    asked: Mapping[str, Any],
    answered: Mapping[str, Any],
    at_ms: int,
) -> None:
    """Hand on a successful call.

    Args:
        event: one of `CHANGES`.
        place: account and region.
        asked, answered: requestParameters and responseElements.
        at_ms: the event's time, milliseconds since the epoch.
    """
    account, region = place
    if account and region:
        lookup.learn(event, account, region, (asked, answered), at_ms / 1000)
