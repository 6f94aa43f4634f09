"""What `shipper check` tries of the enrichments that ask AWS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from shipper.build.sources import listed_places
from shipper.config import S3NotificationsSource, S3Source, Settings
from shipper.config.part import plain
from shipper.errors import ConfigError
from shipper.model import Problem

_MOST_BUCKETS = 20

Probe = tuple[str, Callable[[], Iterable[Problem]]]


def enrichment_probes(settings: Settings) -> list[Probe]:
    """By part of the configuration, what tries each API that it asks; contacts nothing yet."""
    tries: dict[str, Callable[[Settings], Iterable[Problem]]] = {
        "iam": _iam,
        "interfaces": _interfaces,
        "resources": _resources,
    }
    probes = [(f"enrich.{key}", trying) for key, trying in tries.items() if getattr(settings.enrich, key) is not None]
    if settings.enrich.accounts is not None and settings.enrich.accounts.file is None:
        probes.append(("enrich.accounts", _accounts))
    return [(where, partial(_told, where, trying, settings)) for where, trying in probes]


def _told(where: str, trying: Callable[[Settings], Iterable[Problem]], settings: Settings) -> Iterator[Problem]:
    try:
        yield from trying(settings)
    except ConfigError as error:
        yield Problem(where, str(error), error.hint)


def _iam(settings: Settings) -> Iterable[Problem]:
    from shipper.aws import AwsSettings
    from shipper.enrich.permission_check import PermissionCheck

    return PermissionCheck("enrich.iam", AwsSettings(**settings.aws.model_dump())).principals()


def _interfaces(settings: Settings) -> Iterable[Problem]:
    from shipper.aws import AwsSettings
    from shipper.enrich.permission_check import PermissionCheck

    chosen = settings.enrich.interfaces
    if chosen is None:
        return ()
    aws = AwsSettings(**settings.aws.model_dump())
    check = PermissionCheck("enrich.interfaces", aws, chosen.role_name, plain(chosen.external_id), chosen.accounts)
    return check.interfaces(chosen.regions)


def _resources(settings: Settings) -> Iterable[Problem]:
    from shipper.aws import AwsSettings
    from shipper.enrich.permission_check import PermissionCheck

    chosen = settings.enrich.resources
    if chosen is None:
        return ()
    buckets = _own_buckets(settings) if chosen.buckets else []
    check = PermissionCheck("enrich.resources", AwsSettings(**settings.aws.model_dump()))
    return check.resources(buckets, groups=chosen.log_groups)


def _accounts(settings: Settings) -> Iterable[Problem]:
    from shipper.aws import AwsSettings
    from shipper.enrich.permission_check import PermissionCheck

    given = settings.aws.model_dump()
    if settings.enrich.accounts is not None and settings.enrich.accounts.role_arn is not None:
        given |= {
            "role_arn": settings.enrich.accounts.role_arn,
            "external_id": plain(settings.enrich.accounts.external_id),
        }
    return PermissionCheck("enrich.accounts", AwsSettings(**given)).organization()


def _own_buckets(settings: Settings) -> list[str]:
    """Buckets that sources read with the same credentials."""
    found = [
        each.bucket
        for name, source in settings.sources.items()
        if isinstance(source, S3Source | S3NotificationsSource) and settings.aws_of(name) == settings.aws
        for each, *_ in listed_places(source)
    ]
    return [bucket for bucket in dict.fromkeys(found) if not bucket.startswith("arn:")][:_MOST_BUCKETS]
