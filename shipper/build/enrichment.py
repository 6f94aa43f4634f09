"""What records are enriched with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from shipper.build.redaction import redactor
from shipper.config import Settings
from shipper.config.part import plain
from shipper.metrics import Metrics
from shipper.ports import AccountLookup, InterfaceLookup, Lookups, PrincipalLookup, ResourceLookup, SessionLookup, Stop

if TYPE_CHECKING:
    from shipper.config.enrich import Accounts, Iam, Resources
    from shipper.enrich.accounts import AccountsFile
    from shipper.enrich.aws_addresses import AwsAddresses
    from shipper.enrich.background import Policy
    from shipper.enrich.geo import Geo
    from shipper.enrich.indicators import Indicators
    from shipper.enrich.tag_choice import TagChoice
    from shipper.redaction import Redactor

SESSIONS_FILE = "sessions.sqlite"
INTERFACES_FILE = "interfaces.sqlite"


def lookups(settings: Settings, metrics: Metrics | None = None, stop: Stop | None = None) -> Lookups:
    """All that records can be enriched with.

    Args:
        metrics, stop: of the daemon; without them nothing that needs the network is asked.

    Raises:
        ConfigError: a database is missing or broken, or AWS cannot be used as configured.
    """
    if metrics is None or stop is None:
        found = Lookups(
            geo=geo(settings),
            addresses=addresses(settings),
            accounts=accounts_file(settings),
            regions=regions(settings),
            indicators=indicators(settings),
        )
    else:
        found = Lookups(
            geo=geo(settings, metrics),
            principals=principals(settings, metrics, stop),
            sessions=sessions(settings, metrics, stop),
            addresses=addresses(settings, metrics),
            interfaces=interfaces(settings, metrics, stop),
            accounts=accounts(settings, metrics, stop),
            resources=resources(settings, metrics, stop),
            regions=regions(settings),
            indicators=indicators(settings, metrics),
        )
    return redacted(found, redactor(settings.redact, metrics))


def redacted(lookups: Lookups, redact: Redactor | None) -> Lookups:
    """Return lookups whose answers hold nothing that is taken out of records."""
    asked = (lookups.principals, lookups.interfaces, lookups.accounts, lookups.resources)
    if redact is None or all(lookup is None for lookup in asked):
        return lookups
    from shipper.enrich import redacted as lookup

    return replace(
        lookups,
        principals=lookups.principals and lookup.RedactedPrincipals(lookups.principals, redact.named),
        interfaces=lookups.interfaces and lookup.RedactedInterfaces(lookups.interfaces, redact.named),
        accounts=lookups.accounts and lookup.RedactedAccounts(lookups.accounts, redact.named),
        resources=lookups.resources and lookup.RedactedResources(lookups.resources, redact.named),
    )


def sessions(settings: Settings, metrics: Metrics, stop: Stop) -> SessionLookup | None:
    """Who got which temporary credentials, kept in the state folder; None where it is not configured."""
    chosen = settings.enrich.sessions
    if chosen is None:
        return None
    from shipper.enrich.sessions import Sessions

    return Sessions(settings.state.path / SESSIONS_FILE, metrics, stop, most=chosen.entries)


def principals(settings: Settings, metrics: Metrics, stop: Stop) -> PrincipalLookup | None:
    """What IAM says of roles and users, or None where it is not configured.

    Raises:
        ConfigError: AWS cannot be used as configured.
    """
    chosen = settings.enrich.iam
    if chosen is None:
        return None
    from shipper.aws import AwsSettings
    from shipper.enrich.iam import IamPrincipals
    from shipper.enrich.iam_accounts import IamAccounts

    return IamPrincipals(
        IamAccounts(AwsSettings(**settings.aws.model_dump()), chosen.role_name, plain(chosen.external_id)),
        metrics,
        stop,
        _policy(chosen),
        _tags(chosen),
    )


def interfaces(settings: Settings, metrics: Metrics, stop: Stop) -> InterfaceLookup | None:
    """Whose network interfaces and addresses are, kept in the state folder; None where it is not configured.

    Raises:
        ConfigError: AWS cannot be used as configured.
    """
    chosen = settings.enrich.interfaces
    if chosen is None:
        return None
    from shipper.aws import AwsSettings
    from shipper.enrich.background import Policy
    from shipper.enrich.interface_accounts import InterfaceAccounts
    from shipper.enrich.interfaces import Choice, Interfaces

    aws = AwsSettings(**settings.aws.model_dump())
    pause = 1.0 / chosen.requests_per_second
    return Interfaces(
        InterfaceAccounts(aws, chosen.role_name, plain(chosen.external_id), stop=stop, pause=pause),
        settings.state.path / INTERFACES_FILE,
        metrics,
        stop,
        Policy(
            most=chosen.entries,
            refresh_seconds=chosen.refresh_seconds,
            requests_per_second=chosen.requests_per_second,
        ),
        choice=Choice(
            accounts=frozenset(chosen.accounts),
            regions=frozenset(chosen.regions),
            tags=frozenset(chosen.tags),
            without_tags=frozenset(chosen.without_tags),
            across=chosen.across_networks,
        ),
    )


def geo(settings: Settings, metrics: Metrics | None = None) -> Geo | None:
    """The GeoIP databases, or None where none is configured.

    Raises:
        ConfigError: a database is missing or broken.
    """
    paths = settings.enrich.geoip
    others = paths.others()
    if paths.city is None and paths.asn is None and not others:
        return None
    from shipper.enrich.geo import Geo

    if metrics is None:
        return Geo(paths.city, paths.asn, others, private=paths.private)
    read, unreadable = (metrics.geoip_reloads.labels(outcome) for outcome in ("read", "unreadable"))
    return Geo(
        paths.city,
        paths.asn,
        others,
        private=paths.private,
        reloads=lambda was_read: (read if was_read else unreadable).inc(),
    )


def addresses(settings: Settings, metrics: Metrics | None = None) -> AwsAddresses | None:
    """Whose addresses are, or None where it is not configured.

    Raises:
        ConfigError: the file of AWS's ranges is missing or broken.
    """
    chosen = settings.enrich.addresses
    if chosen is None:
        return None
    from shipper.enrich.aws_addresses import AwsAddresses

    return AwsAddresses(chosen.aws_ip_ranges, chosen.own_networks, told=_reloads(metrics, "aws_ip_ranges"))


def accounts(settings: Settings, metrics: Metrics, stop: Stop) -> AccountLookup | None:
    """What accounts are called, from a file or from Organizations; None where it is not configured.

    Raises:
        ConfigError: the file is missing or broken, or AWS cannot be used as configured.
    """
    chosen = settings.enrich.accounts
    if chosen is None or chosen.file is not None:
        return accounts_file(settings, metrics)
    from shipper.aws import AwsSettings
    from shipper.enrich.accounts import Accounts
    from shipper.enrich.organizations import Organizations

    given = settings.aws.model_dump()
    if chosen.role_arn is not None:
        given |= {"role_arn": chosen.role_arn, "external_id": plain(chosen.external_id)}
    organizations = Organizations(
        AwsSettings(**given),
        stop,
        pause=1.0 / chosen.requests_per_second,
        denied=metrics.enrich_lookups.labels("accounts", "denied").inc,
    )
    return Accounts(organizations, metrics, stop, _policy(chosen), _tags(chosen))


def accounts_file(settings: Settings, metrics: Metrics | None = None) -> AccountsFile | None:
    """What accounts are called by the file that is named, or None where none is.

    Raises:
        ConfigError: the file is missing or broken.
    """
    chosen = settings.enrich.accounts
    if chosen is None or chosen.file is None:
        return None
    from shipper.enrich.accounts import AccountsFile

    return AccountsFile(chosen.file, _tags(chosen), told=_reloads(metrics, "accounts"))


def resources(settings: Settings, metrics: Metrics, stop: Stop) -> ResourceLookup | None:
    """The tags of buckets and log groups; None where they are not configured.

    Raises:
        ConfigError: AWS cannot be used as configured.
    """
    chosen = settings.enrich.resources
    if chosen is None:
        return None
    from shipper.aws import AwsSettings
    from shipper.enrich.resources import ResourceAccounts, ResourceTags

    fetch = ResourceAccounts(AwsSettings(**settings.aws.model_dump()), chosen.role_name, plain(chosen.external_id))
    return ResourceTags(fetch, metrics, stop, _policy(chosen), _tags(chosen), kinds=chosen.kinds())


def regions(settings: Settings) -> Mapping[str, str] | None:
    """Names of regions by their ids; None where they are not wanted."""
    if not settings.enrich.region_names:
        return None
    from shipper.enrich.regions import region_names

    return region_names()


def _policy(chosen: Accounts | Iam | Resources) -> Policy:
    from shipper.enrich.background import Policy

    return Policy(
        most=chosen.cache_entries,
        refresh_seconds=chosen.refresh_seconds,
        requests_per_second=chosen.requests_per_second,
    )


def _tags(chosen: Accounts | Iam | Resources) -> TagChoice:
    from shipper.enrich.tag_choice import TagChoice

    return TagChoice(frozenset(chosen.tags), frozenset(chosen.without_tags))


def indicators(settings: Settings, metrics: Metrics | None = None) -> Indicators | None:
    """The lists of indicators, or None where none is configured.

    Raises:
        ConfigError: a list is missing or broken.
    """
    chosen = settings.enrich.indicators
    if not chosen:
        return None
    from shipper.enrich.indicator_files import Source
    from shipper.enrich.indicators import Indicators

    sources = [
        Source(each.path, each.provider or each.path.stem, each.kind, each.format, each.column) for each in chosen
    ]
    known = metrics.indicators_known.set if metrics is not None else _untold
    return Indicators(sources, reloads=_reloads(metrics, "indicators"), known=known)


def _reloads(metrics: Metrics | None, file: str) -> Callable[[bool], None]:
    """Counts whether a replaced file could be read; zeros are there before, as a rise from nothing is not seen."""
    if metrics is None:
        return _untold
    read, unreadable = (metrics.enrich_file_reloads.labels(file, outcome) for outcome in ("read", "unreadable"))
    return lambda was_read: (read if was_read else unreadable).inc()


def _untold(_: float) -> None:
    """For commands, which have no metrics."""
