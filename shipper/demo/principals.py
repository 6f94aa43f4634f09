"""What the demo's IAM says of the roles and users that its records name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from shipper.demo.cast import (
    BACKUP_USER,
    DEPLOY_ROLE,
    MANAGEMENT,
    PEOPLE,
    PRODUCTION,
    RESCUE_ROLE,
    SECURITY,
    STAGING,
    Account,
)

IAM_ROLE = "shipper-enrich"
"""The role by which the shipper asks the IAM of each account."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A role or user."""

    account: Account
    kind: Literal["role", "user"]
    name: str
    tags: dict[str, str] = field(hash=False)
    path: str = "/"
    description: str = ""


_SSO = "/aws-reserved/sso.amazonaws.com/"

PRINCIPALS = (
    Principal(
        PRODUCTION,
        "user",
        BACKUP_USER.name,
        {"team": "finance", "used-for": "nightly backup", "key-rotated": "2021-03-02"},
    ),
    Principal(
        PRODUCTION,
        "role",
        DEPLOY_ROLE,
        {"team": "platform", "data-class": "customer"},
        description="Releases, and whatever else needs to read everything",
    ),
    Principal(
        PRODUCTION, "role", RESCUE_ROLE, {"team": "security"}, description="For emergencies; every use is looked at"
    ),
    Principal(PRODUCTION, "role", "checkout-service", {"team": "checkout", "data-class": "payments"}, "/service/"),
    Principal(PRODUCTION, "role", "invoice-renderer-role", {"team": "finance", "data-class": "customer"}, "/service/"),
    *(
        Principal(
            account, "role", "github-deploy", {"team": "platform", "source": "lanternfish/infrastructure"}, "/ci/"
        )
        for account in (STAGING, PRODUCTION)
    ),
    *(
        Principal(account, "role", f"AWSReservedSSO_{person.role}_3f81c0a2b7d4e5f6", {}, _SSO)
        for person in PEOPLE
        for account in (MANAGEMENT, PRODUCTION, STAGING, SECURITY)
        if account in person.accounts
    ),
)
