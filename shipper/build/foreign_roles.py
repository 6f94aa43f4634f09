"""Remarks on roles of other accounts that are assumed without an external id."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from shipper.config import Settings
from shipper.config.sources import Aws
from shipper.model import Problem

Probe = tuple[str, Callable[[], Iterator[Problem]]]


def foreign_role_probes(settings: Settings) -> list[Probe]:
    """Return what asks AWS whose credentials these are, where roles are assumed without an external id.

    Whoever knows a role's name could have this program read with it, if the role trusts this program for anyone's
    sake; the external id says for whom: https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    """
    probes: list[Probe] = []
    for key, aws, role in _roles(settings):
        if role is not None and aws.external_id is None:
            base = aws.model_copy(update={"role_arn": None}).model_dump()
            probes.append((key.removesuffix(".external_id").removesuffix(".aws"), partial(_remark, key, base, role)))
    return probes


def _roles(settings: Settings) -> Iterator[tuple[str, Aws, str | None]]:
    """Yield where a role is configured, how it is reached, and the role."""
    for name in settings.sources:  # one for each of a source's `roles`
        aws = settings.aws_of(name)
        yield f"sources.{name}.aws.external_id", aws, aws.role_arn
    accounts = settings.enrich.accounts
    if accounts is not None and accounts.role_arn is not None:
        given = settings.aws.model_copy(update={"external_id": accounts.external_id})
        yield "enrich.accounts.external_id", given, accounts.role_arn


def _remark(where: str, base: dict[str, Any], role: str) -> Iterator[Problem]:
    from shipper.aws import AWS_ERRORS, AwsSessions, AwsSettings
    from shipper.errors import ConfigError

    try:
        own = str(AwsSessions(AwsSettings(**base)).client("sts").get_caller_identity()["Account"])
    except (*AWS_ERRORS, ConfigError, KeyError):
        return  # what is wrong with the credentials, the source's own check says
    account = role.split(":")[4]
    if account != own:
        yield Problem(
            where,
            f"the role {role} is of account {account}, this program of account {own}, and no external id is given",
            "have the role's trust policy ask for one (sts:ExternalId), and set it",
            serious=False,
        )
