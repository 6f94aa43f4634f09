"""What is added to records: the keys of the `enrich` section."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from shipper.config.part import Part, Seconds
from shipper.config.values import Account, FilePath, RoleArn, Secret, Text

# https://docs.aws.amazon.com/IAM/latest/APIReference/API_Role.html
_ROLE_NAME = re.compile(r"([A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,64}")


def _role_name(text: str) -> str:
    if not _ROLE_NAME.fullmatch(text):
        raise ValueError("must be a role's name, without its account")
    return text


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"must be a network such as 203.0.113.0/24: {error}") from None
    return text


Network = Annotated[str, Field(max_length=64), AfterValidator(_network)]
RoleName = Annotated[str, Field(max_length=512), AfterValidator(_role_name)]


class Geoip(Part):
    """Databases in the MMDB format, as MaxMind, DB-IP and IPinfo make them."""

    city: FilePath | None = Field(None, description="City database (.mmdb).")
    asn: FilePath | None = Field(None, description="ASN database (.mmdb).")
    country: FilePath | None = Field(None, description="Country database (.mmdb).")
    enterprise: FilePath | None = Field(None, description="Enterprise database (.mmdb).")
    isp: FilePath | None = Field(None, description="ISP database (.mmdb).")
    anonymous: FilePath | None = Field(None, description="Anonymous IP database (.mmdb).")
    private: bool = Field(
        False, description="Look up private addresses too, for databases that have your own networks."
    )

    def others(self) -> list[FilePath]:
        """All but `city` and `asn`, those that know most first."""
        return [path for path in (self.enterprise, self.country, self.isp, self.anonymous) if path]


class Addresses(Part):
    """Whose addresses are: AWS's by service and region, or one's own."""

    aws_ip_ranges: FilePath | None = Field(None, description="AWS's ip-ranges.json.")
    own_networks: list[Network] = Field([], max_length=10_000, description="Your own networks beside the private ones.")


class Iam(Part):
    """Tags, path and description of the roles and users that CloudTrail records name."""

    role_name: RoleName | None = Field(None, description="Role to assume in every other account, to ask its IAM.")
    external_id: Secret | None = Field(None, description="External id that those roles ask for.")
    tags: list[str] = Field([], max_length=200, description="Only these tag keys; all when not given.")
    without_tags: list[str] = Field([], max_length=200, description="Tag keys that are left out.")
    cache_entries: int = Field(10_000, ge=10, le=1_000_000, description="Most roles and users that are remembered.")
    refresh_seconds: Seconds = Field(3_600.0, ge=1, description="After that a role or user is looked up again.")
    requests_per_second: float = Field(5.0, gt=0, le=100, allow_inf_nan=False, description="Most calls of IAM.")


class Sessions(Part):
    """The person behind a role: who got which temporary credentials, remembered in the state folder."""

    entries: int = Field(50_000, ge=10, le=5_000_000, description="Most sessions that are remembered.")


class Interfaces(Part):
    """Whose network interfaces and addresses flow logs name: instances, their names and tags, services."""

    role_name: RoleName | None = Field(None, description="Role to assume in every other account, to ask its EC2.")
    external_id: Secret | None = Field(None, description="External id that those roles ask for.")
    accounts: list[Account] = Field([], max_length=1_000, description="Only these; all that logs name when not given.")
    regions: list[Text] = Field([], max_length=100, description="Only these; all that logs name when not given.")
    tags: list[str] = Field([], max_length=200, description='Tag keys that documents carry; "*" for all.')
    without_tags: list[str] = Field([], max_length=200, description="Tag keys that are left out.")
    across_networks: bool = Field(
        False,
        description="Name private addresses of other VPCs too, where only one interface has them (peered networks).",
    )
    entries: int = Field(50_000, ge=10, le=1_000_000, description="Most interfaces remembered, those gone included.")
    refresh_seconds: Seconds = Field(300.0, ge=10, description="After that an account and region is listed again.")
    requests_per_second: float = Field(2.0, gt=0, le=100, allow_inf_nan=False, description="Most calls of EC2.")


class Accounts(Part):
    """Names, organisational units and tags of accounts: from AWS Organizations, or from a file."""

    file: FilePath | None = Field(None, description="YAML, JSON or CSV file of accounts; Organizations is not asked.")
    role_arn: RoleArn | None = Field(
        None, description="Role of the management account, or of a delegated administrator, to assume."
    )
    external_id: Secret | None = Field(None, description="External id that the role asks for.")
    tags: list[str] = Field([], max_length=200, description="Only these tag keys; all when not given.")
    without_tags: list[str] = Field([], max_length=200, description="Tag keys that are left out.")
    cache_entries: int = Field(10_000, ge=10, le=1_000_000, description="Most accounts that are remembered.")
    refresh_seconds: Seconds = Field(21_600.0, ge=1, description="After that an account is looked up again.")
    requests_per_second: float = Field(2.0, gt=0, le=100, allow_inf_nan=False, description="Most calls.")


class Resources(Part):
    """Tags of the resources that records are about."""

    buckets: bool = Field(True, description="Tags of the buckets that CloudTrail's records of S3 are about.")
    log_groups: bool = Field(True, description="Tags of the log groups that log events are from.")
    role_name: RoleName | None = Field(None, description="Role to assume in every other account.")
    external_id: Secret | None = Field(None, description="External id that those roles ask for.")
    tags: list[str] = Field([], max_length=200, description="Only these tag keys; all when not given.")
    without_tags: list[str] = Field([], max_length=200, description="Tag keys that are left out.")
    cache_entries: int = Field(10_000, ge=10, le=1_000_000, description="Most resources that are remembered.")
    refresh_seconds: Seconds = Field(3_600.0, ge=1, description="After that a resource is looked up again.")
    requests_per_second: float = Field(5.0, gt=0, le=100, allow_inf_nan=False, description="Most look-ups.")

    def kinds(self) -> frozenset[str]:
        """The kinds that are looked up, as `model.Resource` names them."""
        wanted = {"bucket": self.buckets, "log_group": self.log_groups}
        return frozenset(kind for kind, asked in wanted.items() if asked)


class IndicatorList(Part):
    """A file of addresses, networks, domains or user agents that somebody calls bad."""

    path: FilePath = Field(description="The file; it may be replaced while the daemon runs.")
    provider: Text | None = Field(None, description="Who says so; the file's name when not given.")
    format: Literal["auto", "plain", "csv", "stix"] = Field(
        "auto", description="auto goes by the name: .csv, .json for a STIX 2.1 bundle, else plain, one a line."
    )
    kind: Literal["auto", "address", "domain", "user_agent"] = Field(
        "auto", description="What plain and CSV lists hold; auto tells addresses, networks and domains apart."
    )
    column: Text | None = Field(None, description="CSV's column of the indicators, where it has no usual name.")


class Enrich(Part):
    """What is added to records."""

    iam: Iam | None = Field(None, description="What IAM says of the callers; left out when not given.")
    sessions: Sessions | None = Field(None, description="The person behind a role; left out when not given.")
    accounts: Accounts | None = Field(None, description="What accounts are called; left out when not given.")
    resources: Resources | None = Field(None, description="Tags of buckets and log groups; left out when not given.")
    region_names: bool = Field(False, description="Names of regions beside their ids.")
    addresses: Addresses | None = Field(None, description="Whose addresses are; left out when not given.")
    interfaces: Interfaces | None = Field(
        None, description="Whose interfaces and addresses flow logs name; left out when not given."
    )
    indicators: list[IndicatorList] = Field([], max_length=100, description="Lists of what is bad, the first counts.")
    geoip: Geoip = Field(Geoip(), description="Geography and network owner of addresses.")
