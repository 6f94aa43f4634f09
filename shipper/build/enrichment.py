"""What records are enriched with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from shipper.config import Settings
from shipper.metrics import Metrics
from shipper.ports import InterfaceLookup, Lookups, PrincipalLookup, SessionLookup, Stop

if TYPE_CHECKING:
    from shipper.enrich.aws_addresses import AwsAddresses
    from shipper.enrich.geo import Geo

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
        return Lookups(geo=geo(settings), addresses=addresses(settings))
    return Lookups(
        geo=geo(settings, metrics),
        principals=principals(settings, metrics, stop),
        sessions=sessions(settings, metrics, stop),
        addresses=addresses(settings, metrics),
        interfaces=interfaces(settings, metrics, stop),
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
    from shipper.enrich.background import Policy
    from shipper.enrich.iam import IamPrincipals
    from shipper.enrich.iam_accounts import IamAccounts

    return IamPrincipals(
        IamAccounts(AwsSettings(**settings.aws.model_dump()), chosen.role_name, chosen.external_id),
        metrics,
        stop,
        Policy(
            most=chosen.cache_entries,
            refresh_seconds=chosen.refresh_seconds,
            requests_per_second=chosen.requests_per_second,
        ),
        allowed=frozenset(chosen.tags),
        denied=frozenset(chosen.without_tags),
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
        InterfaceAccounts(aws, chosen.role_name, chosen.external_id, stop=stop, pause=pause),
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
    reloads = metrics.geoip_reloads
    return Geo(
        paths.city,
        paths.asn,
        others,
        private=paths.private,
        reloads=lambda read: reloads.labels("read" if read else "unreadable").inc(),
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


def _reloads(metrics: Metrics | None, file: str) -> Callable[[bool], None]:
    """Counts whether a replaced file could be read."""

    def told(read: bool) -> None:  # noqa: FBT001 - as `Watched` calls it
        if metrics is not None:
            metrics.enrich_file_reloads.labels(file, "read" if read else "unreadable").inc()

    return told
