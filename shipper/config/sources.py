"""Where logs come from: the keys of each kind of source."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_serializer

from shipper.config.buckets import Bucket, Place
from shipper.config.part import Part, Seconds, plain
from shipper.config.values import (
    Account,
    FilterText,
    FlowFormat,
    LateHorizon,
    LinkedAccounts,
    LogGroupPattern,
    LogTypeName,
    Name,
    Region,
    RoleArn,
    Secret,
    Start,
    StreamPrefix,
    Text,
    Url,
    duration_seconds,
    start_seconds,
)
from shipper.flow_layouts import Layout, layout_from_log_format

_LOGS_REGION = "Region of the logs, where keys do not say it (as those of a subscription filter's envelopes)."


class Aws(Part):
    """How AWS is reached; what is not given comes from the usual AWS environment and files."""

    region: Region | None = Field(None, description="Region of the bucket or service.")
    profile: Text | None = Field(None, description="Profile of the AWS configuration files.")
    role_arn: RoleArn | None = Field(None, description="Role to assume.")
    external_id: Secret | None = Field(None, description="External id that the role asks for.")
    endpoint_url: Url | None = Field(None, description="Another S3-compatible server or an emulator.")
    allow_insecure_http: bool = Field(False, description="Allow an http:// endpoint beyond this machine.")

    @field_serializer("external_id")
    def _plain_external_id(self, value: Secret | None) -> str | None:
        """Hand it over as it is; only representations hide it."""
        return plain(value)


class _Logs(Part):
    """What sources of lines have in common."""

    format: FlowFormat | None = Field(None, description="Fields of flow log lines that come without a header.")
    filter: FilterText | None = Field(None, description='Which records are shipped, such as drop action == "ACCEPT".')

    @property
    def layout(self) -> Layout | None:
        """`format` as the names of a flow log's fields."""
        return None if self.format is None else layout_from_log_format(self.format)


class S3Source(_Logs):
    """Objects in an S3 bucket, found by listing."""

    type: Literal["s3"]
    bucket: Bucket = Field(description="The bucket's name.")
    prefix: str = Field("", max_length=1024, description="Only keys that begin so.")
    logs: Literal[LogTypeName, "subscription"] = Field("cloudtrail", description="The log type of the objects.")
    start: Start = Field("-24h", description="What older objects are left out: a date, a time, an age, now, beginning.")
    to: list[Name] | None = Field(None, min_length=1, description="Names of sinks; all when not given.")
    aws: Aws = Field(Aws(), description="Overrides of the top-level aws section for this source.")
    interval_seconds: Seconds = Field(300.0, ge=1, description="Seconds between two listings of the newest keys.")
    expected_bucket_owner: Account | None = Field(None, description="Refuse the bucket if another account owns it.")
    logs_region: Region | None = Field(None, description=_LOGS_REGION)

    def start_seconds(self, now: float) -> float:
        """When `start` is, in seconds since the epoch; ages count from `now`, "beginning" is 0."""
        return start_seconds(self.start, now)


class S3NotificationsSource(_Logs):
    """Objects in S3 buckets, found by what an SQS queue says of them; many daemons may share the queue."""

    type: Literal["s3_notifications"]
    queue_url: Url = Field(description="The queue's URL.")
    buckets: list[Place] = Field(
        min_length=1, description="Buckets, or bucket/prefix, that messages may name; no other is ever asked for."
    )
    logs: Literal["auto", LogTypeName, "subscription"] = Field(
        "auto", description="The log type; auto tells it by each key's layout."
    )
    logs_fallback: Literal[LogTypeName, "subscription"] | None = Field(
        None, description="With logs: auto, the log type of objects outside AWS's folders; dead letters without it."
    )
    to: list[Name] | None = Field(None, min_length=1, description="Names of sinks; all when not given.")
    aws: Aws = Field(Aws(), description="Overrides of the top-level aws section for this source.")
    expected_bucket_owner: Account | None = Field(None, description="Refuse buckets that another account owns.")
    logs_region: Region | None = Field(None, description=_LOGS_REGION)
    verify_listing: bool = Field(False, description="List the buckets once a day, for lost notifications.")
    missing_seconds: Seconds = Field(600.0, description="An object that is not there for so long is given up.")


class Streams(Part):
    """Which log streams of a group."""

    prefix: StreamPrefix = Field("", description="Only streams whose names begin so.")


class CloudWatchLogsSource(_Logs):
    """Events of CloudWatch log groups."""

    type: Literal["cloudwatch_logs"]
    log_groups: list[LogGroupPattern] = Field([], description="Names, globs such as /aws/lambda/*, or ARNs.")
    exclude: list[LogGroupPattern] = Field([], description="Log groups to be left out, in the same forms.")
    tags: dict[Text, str] = Field({}, description="Only log groups that have these tags; a value may be a glob.")
    streams: Streams = Field(Streams(), description="Which log streams of them.")
    logs: Literal["auto", LogTypeName] = Field("auto", description="The log type; auto tells it for each log group.")
    start: Start = Field("-1h", description="What older events are left out: a date, a time, an age, now, beginning.")
    regions: list[Region] = Field([], description="Regions; when not given, those of the ARNs, and aws.region.")
    accounts: LinkedAccounts = Field(
        [], description="linked, or the ids of accounts that this one monitors (cross-account observability)."
    )
    roles: list[RoleArn] = Field([], description="A role of each account that is read, instead of aws.role_arn.")
    late_horizon: LateHorizon = Field("15h", description="An event visible within so long of its own time is read.")
    calls_per_second: float = Field(
        3.0,
        gt=0,
        le=1000,
        allow_inf_nan=False,
        description="Of FilterLogEvents for each account and region; AWS has 5.",
    )
    discover_seconds: Seconds = Field(300.0, ge=10, description="Seconds between two listings of the log groups.")
    to: list[Name] | None = Field(None, min_length=1, description="Names of sinks; all when not given.")
    aws: Aws = Field(Aws(), description="Overrides of the top-level aws section for this source.")

    def start_seconds(self, now: float) -> float:
        """When `start` is, in seconds since the epoch; ages count from `now`, "beginning" is 0."""
        return start_seconds(self.start, now)

    @property
    def horizon_seconds(self) -> float:
        """The late horizon in seconds."""
        return duration_seconds(self.late_horizon)

    def all_regions(self, default: str | None) -> list[str]:
        """The regions that are read, in order: `regions`, or those of the ARNs and, for other entries, `default`."""
        if self.regions:
            return list(dict.fromkeys(self.regions))
        arns = [text.split(":")[3] for text in self.log_groups if text.startswith("arn:")]
        plain = default and (len(arns) < len(self.log_groups) or not arns)
        return list(dict.fromkeys([*([default] if plain and default else []), *arns]))


AnySource = S3Source | S3NotificationsSource | CloudWatchLogsSource
SourceSettings = Annotated[AnySource, Field(discriminator="type")]
SOURCE_KINDS: dict[str, type[Part]] = {
    "s3": S3Source,
    "s3_notifications": S3NotificationsSource,
    "cloudwatch_logs": CloudWatchLogsSource,
}
