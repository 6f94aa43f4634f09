"""How AWS services name their log objects in S3: which folders to list, and what a key says of its data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from shipper.model import S3Object

DAY_SECONDS = 86400
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Service:
    """One service's folder below `AWSLogs/ACCOUNT/`.

    Attributes:
        folder: the folder's name.
        logs: the log type of its objects.
        labelled: file names begin with `ACCOUNT_FOLDER_REGION_YYYYMMDDTHHmm`, so that a listing can begin at a minute
            and not only at a day.
        shipped: false for what is no log: recognised, counted as filtered, never read.
        window_seconds: how long after the label the object's data may still be from, where the label is the start of
            what the object covers.
        named: between the region's folder and the days there is one for each thing that is logged.
    """

    folder: str
    logs: str
    labelled: bool = False
    shipped: bool = True
    window_seconds: float = 0.0
    named: bool = False


# https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html: a folder for each
# kind of events; digests are signatures of the others' files, and no logs.
# https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-path.html: a flow log's id comes before the time, which
# is the start of an aggregation of at most ten minutes. Transit Gateway flow logs share folder and names.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html: likewise.
# https://docs.aws.amazon.com/waf/latest/developerguide/logging-s3.html: every five minutes, a folder for each web ACL;
# those of CloudFront have `cloudfront` for the region.
# Resolver query logs ("AWS resources that you can send VPC Resolver query logs to") have a VPC's id for the region.
SERVICES = (
    Service("CloudTrail", "cloudtrail", labelled=True),
    Service("CloudTrail-Insight", "cloudtrail", labelled=True),
    Service("CloudTrail-NetworkActivity", "cloudtrail", labelled=True),
    Service("CloudTrail-Aggregated", "cloudtrail", labelled=True),
    Service("CloudTrail-Digest", "cloudtrail", shipped=False),
    Service("vpcflowlogs", "vpcflow", window_seconds=600.0),
    Service("elasticloadbalancing", "elb"),
    Service("vpcdnsquerylogs", "route53_resolver", window_seconds=600.0),
    Service("WAFLogs", "waf", window_seconds=300.0, named=True),
)
_BY_FOLDER = {service.folder: service for service in SERVICES}

_ROOT = r"(?P<prefix>(?:.*?/)?AWSLogs/(?:o-[a-z0-9]{10,32}/)?"
_PLAIN = re.compile(_ROOT + r"(?P<account>\d{12})/(?P<service>[A-Za-z0-9-]+)/(?P<region>[a-z0-9-]+)/)")
_HIVE = re.compile(
    _ROOT
    + r"aws-account-id=(?P<account>\d{12})/aws-service=(?P<service>[A-Za-z0-9-]+)/aws-region=(?P<region>[a-z0-9-]+)/)"
)
_NAME = re.compile(r"[^/]+/")
_PLAIN_DAY = re.compile(r"(\d{4})/(\d{2})/(\d{2})/")
_HIVE_DAY = re.compile(r"year=(\d{4})/month=(\d{2})/day=(\d{2})/")
_PLAIN_YEAR = re.compile(r"\d{4}/")
_HIVE_YEAR = re.compile(r"year=\d{4}/")
_LABEL = re.compile(r"_(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)?Z[_.]")
_FILE_NAME = re.compile(r"(?:.*/)?(?P<account>\d{12})_[A-Za-z-]+_(?P<region>[a-z]{2,4}(?:-[a-z]+)+-\d)_")
_ORGANISATION = re.compile(r"o-[a-z0-9]{10,32}")
_ACCOUNT = re.compile(r"(?:aws-account-id=)?\d{12}")
_SERVICE_FOLDER = re.compile(
    r"(?:.*?/)?AWSLogs/(?:o-[a-z0-9]{10,32}/)?(?:aws-account-id=)?\d{12}/(?:aws-service=)?(?P<service>[A-Za-z0-9._-]+)/"
)
_DATE_PART = re.compile(r"\d{1,4}|\d{4}-\d\d(?:-\d\d)?|\d{8}(?:\d\d)?|(?:year|month|day|hour|date|dt|y|m|d|h)=.*")
_DEEPEST_ROOT = 4


@dataclass(frozen=True, slots=True)
class Scope:
    """Objects that share one cursor: those of one account, service and region, or all of a prefix without a layout.

    Attributes:
        prefix: what all keys of the scope begin with, up to the date.
        service: None where keys say nothing of time; the object's LastModified then stands for it.
    """

    prefix: str
    service: Service | None = None
    account: str = ""
    region: str = ""
    hive: bool = False

    def key_of_day(self, day: int) -> str:
        """Return the key after which a day's objects (days since the epoch) are listed."""
        return self.prefix + date.fromordinal(day + _EPOCH_ORDINAL).strftime(
            "year=%Y/month=%m/day=%d/" if self.hive else "%Y/%m/%d/"
        )

    def key_at(self, moment: float) -> str:
        """Return the key after which the objects labelled at or after a moment (seconds) are listed."""
        folder = self.key_of_day(int(moment // DAY_SECONDS))
        if self.service is None or not self.service.labelled:
            return folder
        label = datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%MZ")
        return f"{folder}{self.account}_{self.service.folder}_{self.region}_{label}"

    def day(self, item: S3Object) -> int | None:
        """Return the day (since the epoch) whose done-set remembers the object; None where its key has no date."""
        if self.service is None:
            return int(item.last_modified // DAY_SECONDS)
        found = (_HIVE_DAY if self.hive else _PLAIN_DAY).match(item.key, len(self.prefix))
        if found is None:
            return None
        try:
            return date(*map(int, found.groups())).toordinal() - _EPOCH_ORDINAL
        except ValueError:
            return None

    def leads_to_days(self, folder: str) -> bool:
        """Return whether a folder directly below the prefix is a year's."""
        return bool((_HIVE_YEAR if self.hive else _PLAIN_YEAR).fullmatch(folder, len(self.prefix)))

    def moment(self, item: S3Object) -> float:
        """Return when the object's data is from, in seconds: its label, or LastModified where there is none."""
        found = _LABEL.search(item.key, len(self.prefix)) if self.service else None
        if found is None:
            return item.last_modified
        try:
            return datetime(*(int(part or 0) for part in found.groups()), tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]  # six numbers
        except ValueError:
            return item.last_modified


def is_shipped(scope: Scope) -> bool:
    """Return whether the objects of a scope are logs, and not only known."""
    return scope.service is None or scope.service.shipped


def services_of(logs: str) -> tuple[Service, ...]:
    """Return the services whose objects hold a log type, those that are only recognised included."""
    return tuple(service for service in SERVICES if service.logs == logs)


def scope_of(key: str, services: Iterable[Service] = SERVICES) -> Scope | None:
    """Return the scope that a key or folder belongs to; None outside the layouts of the given services."""
    found = _PLAIN.match(key) or _HIVE.match(key)
    if found is None:
        return None
    service = _BY_FOLDER.get(found["service"])
    if service is None or service not in services:
        return None
    prefix = found["prefix"]
    if service.named:
        name = _NAME.match(key, len(prefix))
        if name is None:
            return None
        prefix += name[0]
    return Scope(prefix, service, found["account"], found["region"], hive=found.re is _HIVE)


def follows_layout(key: str) -> bool:
    """Return whether a key lies in a folder of any AWS service, known here or not."""
    return bool(_PLAIN.match(key) or _HIVE.match(key))


def leads_to_scopes(folder: str, services: Iterable[Service]) -> bool:
    """Return whether scopes of the given services may lie below a folder (its name ends in `/`)."""
    parts = folder.rstrip("/").split("/")
    if "AWSLogs" not in parts:
        return len(parts) <= _DEEPEST_ROOT
    below = parts[parts.index("AWSLogs") + 1 :]
    if below and _ORGANISATION.fullmatch(below[0]):
        below = below[1:]
    if not below:
        return True
    if not _ACCOUNT.fullmatch(below[0]):
        return False
    if len(below) == 1:
        return True
    depths = {service.folder: 3 if service.named else 2 for service in services}
    return len(below) <= depths.get(below[1].removeprefix("aws-service="), 0)


def service_folder(name: str) -> str | None:
    """Return the name of the service's folder that a key or folder lies in or is; None outside AWS's folders."""
    found = _SERVICE_FOLDER.match(name)
    return found["service"] if found else None


def known_service(folder: str) -> Service | None:
    """Return the service of a folder's name; None if no log type is in it."""
    return _BY_FOLDER.get(folder)


def folder_of(key: str) -> str:
    """Return the folder that a key is reported under: a service's, or the key's own without the parts for its date."""
    found = _SERVICE_FOLDER.match(key)
    if found is not None:
        return found[0]
    folder = ""
    for part in key.split("/")[:-1]:
        if _DATE_PART.fullmatch(part):
            break
        folder += f"{part}/"
    return folder


def example_key(prefix: str, services: Iterable[Service]) -> str:
    """Return a key such as the services' objects have, below a prefix; "" if there are no services."""
    service = next((service for service in services if service.shipped), None)
    if service is None:
        return ""
    root = prefix.partition("AWSLogs/")[0] if "AWSLogs/" in prefix else prefix
    root = root.removesuffix("AWSLogs")
    named = "NAME/" if service.named else ""
    folder = f"{root}AWSLogs/111122223333/{service.folder}/us-east-1/{named}2026/01/31/"
    return f"{folder}111122223333_{service.folder}_us-east-1_20260131T0000Z_….gz"


def account_and_region(key: str) -> tuple[str, str]:
    """Return what a key says of its data's account and region; "" where it does not say."""
    found = _PLAIN.match(key) or _HIVE.match(key) or _FILE_NAME.match(key)
    if found is None:
        return "", ""
    # Route 53 Resolver's folders have a VPC's id in that place.
    region = found["region"]
    return found["account"], "" if region.startswith("vpc-") or region == "cloudfront" else region
