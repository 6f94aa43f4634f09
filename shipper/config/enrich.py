"""What is added to records: the keys of the `enrich` section."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from shipper.config.part import Part, Seconds
from shipper.config.values import FilePath, Text

# https://docs.aws.amazon.com/IAM/latest/APIReference/API_Role.html
_ROLE_NAME = re.compile(r"([A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,64}")


def _role_name(text: str) -> str:
    if not _ROLE_NAME.fullmatch(text):
        raise ValueError("must be a role's name, without its account")
    return text


RoleName = Annotated[str, Field(max_length=512), AfterValidator(_role_name)]


class Geoip(Part):
    """Databases in MaxMind's layout."""

    city: FilePath | None = Field(None, description="City database (.mmdb).")
    asn: FilePath | None = Field(None, description="ASN database (.mmdb).")


class Iam(Part):
    """Tags, path and description of the roles and users that CloudTrail records name."""

    role_name: RoleName | None = Field(None, description="Role to assume in every other account, to ask its IAM.")
    external_id: Text | None = Field(None, description="External id that those roles ask for.")
    tags: list[str] = Field([], max_length=200, description="Only these tag keys; all when not given.")
    without_tags: list[str] = Field([], max_length=200, description="Tag keys that are left out.")
    cache_entries: int = Field(10_000, ge=10, le=1_000_000, description="Most roles and users that are remembered.")
    refresh_seconds: Seconds = Field(3_600.0, ge=1, description="After that a role or user is looked up again.")
    requests_per_second: float = Field(5.0, gt=0, le=100, allow_inf_nan=False, description="Most calls of IAM.")


class Sessions(Part):
    """The person behind a role: who got which temporary credentials, remembered in the state folder."""

    entries: int = Field(50_000, ge=10, le=5_000_000, description="Most sessions that are remembered.")


class Enrich(Part):
    """What is added to records."""

    iam: Iam | None = Field(None, description="What IAM says of the callers; left out when not given.")
    sessions: Sessions | None = Field(None, description="The person behind a role; left out when not given.")
    geoip: Geoip = Field(Geoip(), description="Geography and network owner of addresses.")
