"""The table of AWS log types: how each is taken apart and mapped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shipper.model import ReadLimits
from shipper.ports import Format, Lookups, Schema


@dataclass(frozen=True, slots=True)
class LogType:
    """All that is known of one AWS log type; `LOG_TYPES` is the table of them.

    Attributes:
        dataset: the data stream's dataset, as Elastic's AWS integration names it.
        format: takes payloads apart within limits.
        ecs: documents for a data stream namespace, with what the lookups find.
        splunk: HEC envelopes for an index ("" for the token's own), a host ("" for none), with what the lookups find.
    """

    name: str
    dataset: str
    format: Callable[[ReadLimits], Format]
    ecs: Callable[[str, Lookups], Schema]
    splunk: Callable[[str, str, Lookups], Schema]


def _cloudtrail_format(limits: ReadLimits) -> Format:
    from shipper.formats.cloudtrail import CloudTrailFormat

    return CloudTrailFormat(limits)


def _cloudtrail_ecs(namespace: str, lookups: Lookups) -> Schema:
    from shipper.schemas.ecs.cloudtrail import CloudTrailEcs

    return CloudTrailEcs(namespace, lookups.geo, lookups.principals, lookups.sessions)


def _cloudtrail_splunk(index: str, host: str, lookups: Lookups) -> Schema:
    from shipper.schemas.splunk.cloudtrail import CloudTrailSplunk

    return CloudTrailSplunk(index, host, lookups.geo, lookups.principals, lookups.sessions)


LOG_TYPES: dict[str, LogType] = {
    "cloudtrail": LogType("cloudtrail", "aws.cloudtrail", _cloudtrail_format, _cloudtrail_ecs, _cloudtrail_splunk),
}
