"""The table of AWS log types: how each is taken apart and mapped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shipper.build.checked_types import with_checks
from shipper.build.event_types import PLAIN, type_of_event
from shipper.flow_layouts import Layout
from shipper.model import LogEvent, ReadLimits
from shipper.ports import Format, GeoLookup, Lookups, Schema

if TYPE_CHECKING:
    from shipper.schemas.ecs.log_event import LogEventEcs

    EventSchema = Callable[[str, GeoLookup | None], LogEventEcs]

SUBSCRIPTION = "subscription"
"""What subscription filters deliver: envelopes of events of any log group, each with a type of its own."""


@dataclass(frozen=True, slots=True)
class LogType:
    """All that is known of one AWS log type; `LOG_TYPES` is the table of them.

    Attributes:
        dataset: the data stream's dataset, as Elastic's AWS integration names it.
        format: takes payloads apart within limits.
        ecs: documents for a data stream namespace, with what the lookups find.
        splunk: HEC envelopes for an index ("" for the token's own), a host ("" for none), with what the lookups find.
        laid_out: takes payloads apart whose lines have a layout that they may not say themselves; None where every
            payload says all.
        gap_mark: what a record contains where AWS itself failed to capture what it stands for; b"" where no record
            says so.
        told: whether an event's own type can be this one; of subscription filters' envelopes it is that of each event.
        messages: makes what reads messages of this type; None where they may be anything.
    """

    name: str
    dataset: str
    format: Callable[[ReadLimits], Format]
    ecs: Callable[[str, Lookups], Schema]
    splunk: Callable[[str, str, Lookups], Schema]
    laid_out: Callable[[ReadLimits, Layout], Format] | None = None
    gap_mark: bytes = b""
    told: bool = True
    messages: Callable[[], LogEventEcs] | None = None


def _cloudtrail_format(limits: ReadLimits) -> Format:
    from shipper.formats.cloudtrail import CloudTrailFormat

    return CloudTrailFormat(limits)


def _cloudtrail_ecs(namespace: str, lookups: Lookups) -> Schema:
    from shipper.schemas.ecs.cloudtrail import CloudTrailEcs
    from shipper.schemas.ecs.places import places_of

    return CloudTrailEcs(
        namespace,
        lookups.geo,
        lookups.principals,
        lookups.sessions,
        addresses=lookups.addresses,
        interfaces=lookups.interfaces,
        places=places_of(lookups),
        resources=lookups.resources,
        indicators=lookups.indicators,
    )


def _cloudtrail_splunk(index: str, host: str, lookups: Lookups) -> Schema:
    from shipper.schemas.splunk.cloudtrail import CloudTrailSplunk
    from shipper.schemas.splunk.places import flat_places_of

    return CloudTrailSplunk(
        index,
        host,
        lookups.geo,
        lookups.principals,
        lookups.sessions,
        addresses=lookups.addresses,
        interfaces=lookups.interfaces,
        places=flat_places_of(lookups),
        indicators=lookups.indicators,
    )


def _vpc_flow_format(limits: ReadLimits, layout: Layout | None = None) -> Format:
    from shipper.formats.vpc_flow import VpcFlowFormat

    return VpcFlowFormat(limits, layout)


def _vpc_flow_ecs(namespace: str, lookups: Lookups) -> Schema:
    from shipper.schemas.ecs.places import places_of
    from shipper.schemas.ecs.vpc_flow import VpcFlowEcs

    return VpcFlowEcs(
        namespace,
        lookups.geo,
        addresses=lookups.addresses,
        interfaces=lookups.interfaces,
        names=places_of(lookups),
        indicators=lookups.indicators,
    )


def _vpc_flow_splunk(index: str, host: str, lookups: Lookups) -> Schema:
    from shipper.schemas.splunk.places import flat_places_of
    from shipper.schemas.splunk.vpc_flow import VpcFlowSplunk

    return VpcFlowSplunk(
        index,
        host,
        lookups.geo,
        addresses=lookups.addresses,
        interfaces=lookups.interfaces,
        names=flat_places_of(lookups),
        indicators=lookups.indicators,
    )


def _cloudwatch_format(limits: ReadLimits) -> Format:
    from shipper.formats.cloudwatch import CloudWatchFormat

    return CloudWatchFormat(limits)


def _json_format(limits: ReadLimits) -> Format:
    from shipper.formats.cloudwatch import CloudWatchFormat

    return CloudWatchFormat(limits, documents=True)


def _cloudwatch_ecs(namespace: str, lookups: Lookups) -> Schema:
    from shipper.schemas.ecs.cloudwatch import CloudWatchEcs

    return CloudWatchEcs(namespace).adding(_event_places(lookups))


def _ec2_ecs(namespace: str, lookups: Lookups) -> Schema:
    from shipper.schemas.ecs.cloudwatch import CloudWatchEcs

    return CloudWatchEcs(namespace, system=True).adding(_event_places(lookups))


def _cloudwatch_splunk(index: str, host: str, lookups: Lookups) -> Schema:
    from shipper.schemas.ecs.cloudwatch import CloudWatchEcs

    return _event_splunk(index, host, lookups, CloudWatchEcs(""), looked_up=False)


def _ec2_splunk(index: str, host: str, lookups: Lookups) -> Schema:
    from shipper.schemas.ecs.cloudwatch import CloudWatchEcs

    return _event_splunk(index, host, lookups, CloudWatchEcs("", system=True), looked_up=False)


def _event_places(lookups: Lookups) -> Callable[[dict[str, Any], LogEvent | None], None] | None:
    from shipper.schemas.ecs.places import event_places

    return event_places(lookups)


def _event_splunk(
    index: str, host: str, lookups: Lookups, ecs: LogEventEcs, name: str = "", *, looked_up: bool = True
) -> Schema:
    """The envelopes of log events, with what is known of the addresses that their ECS documents have.

    Args:
        ecs: reads messages.
        name: of the log type.
        looked_up: false where messages may be anything, so that no address in them is certain.
    """
    from shipper.schemas.splunk.cloudwatch import LINE_TIMES, SOURCETYPES, CloudWatchSplunk
    from shipper.schemas.splunk.event_fields import event_fields
    from shipper.schemas.splunk.places import flat_places_of

    known = event_fields(lookups) if looked_up else None
    places = flat_places_of(lookups)
    return CloudWatchSplunk(
        index,
        host,
        ecs,
        sourcetype=SOURCETYPES.get(name),
        line_time=LINE_TIMES.get(name),
        places=places,
        known=known,
    )


def _of_messages(
    name: str,
    dataset: str,
    schema: Callable[[], EventSchema],
    format_: Callable[[ReadLimits], Format] = _cloudwatch_format,
    *,
    told: bool = True,
) -> LogType:
    """The log type of messages that say what they mean.

    Args:
        schema: imports what makes their ECS documents: only what is shipped is to be read at the start.
        told: see LogType.
    """

    def ecs(namespace: str, lookups: Lookups) -> Schema:
        return schema()(namespace, lookups.geo).adding(_event_places(lookups))

    def splunk(index: str, host: str, lookups: Lookups) -> Schema:
        return _event_splunk(index, host, lookups, schema()("", None), name)

    return LogType(name, dataset, format_, ecs, splunk, told=told, messages=lambda: schema()("", None))


def _resolver() -> EventSchema:
    from shipper.schemas.ecs.route53 import resolver_ecs

    return resolver_ecs


def _public() -> EventSchema:
    from shipper.schemas.ecs.route53 import public_ecs

    return public_ecs


def _apigateway() -> EventSchema:
    from shipper.schemas.ecs.apigateway import apigateway_ecs

    return apigateway_ecs


def _rds() -> EventSchema:
    from shipper.schemas.ecs.rds import rds_ecs

    return rds_ecs


def _eks() -> EventSchema:
    from shipper.schemas.ecs.eks import eks_ecs

    return eks_ecs


def eks_together(namespace: str, lookups: Lookups) -> Schema:
    """Return the schema of EKS logs whose audit events stay in the data stream of the others."""
    from shipper.schemas.ecs.eks import eks_ecs

    return eks_ecs(namespace, lookups.geo, audit_apart=False).adding(_event_places(lookups))


def _elb() -> EventSchema:
    from shipper.schemas.ecs.elb import elb_ecs

    return elb_ecs


def _s3access() -> EventSchema:
    from shipper.schemas.ecs.s3access import s3access_ecs

    return s3access_ecs


def _waf() -> EventSchema:
    from shipper.schemas.ecs.waf import waf_ecs

    return waf_ecs


def _containers() -> EventSchema:
    from shipper.schemas.ecs.containers import containers_ecs

    return lambda namespace, _: containers_ecs(namespace)


def _elb_format(limits: ReadLimits) -> Format:
    from shipper.access_layouts import elb_layout
    from shipper.formats.access_lines import AccessLinesFormat

    return AccessLinesFormat(limits, elb_layout)


def _s3access_format(limits: ReadLimits) -> Format:
    from shipper.access_layouts import s3_layout
    from shipper.formats.access_lines import AccessLinesFormat

    return AccessLinesFormat(limits, s3_layout)


def _by_event_ecs(namespace: str, lookups: Lookups) -> Schema:
    from shipper.schemas.by_event import ByEvent

    schemas = {name: of.ecs(namespace, lookups) for name, of in LOG_TYPES.items() if of.told}
    return ByEvent(schemas, type_of_event, PLAIN)


def _by_event_splunk(index: str, host: str, lookups: Lookups) -> Schema:
    from shipper.schemas.by_event import ByEvent

    schemas = {name: of.splunk(index, host, lookups) for name, of in LOG_TYPES.items() if of.told}
    return ByEvent(schemas, type_of_event, PLAIN)


_LOG_TYPES = {
    "cloudtrail": LogType("cloudtrail", "aws.cloudtrail", _cloudtrail_format, _cloudtrail_ecs, _cloudtrail_splunk),
    "vpcflow": LogType(
        "vpcflow",
        "aws.vpcflow",
        _vpc_flow_format,
        _vpc_flow_ecs,
        _vpc_flow_splunk,
        laid_out=_vpc_flow_format,
        gap_mark=b"SKIPDATA",
    ),
    "cloudwatch": LogType("cloudwatch", "aws.cloudwatch_logs", _cloudwatch_format, _cloudwatch_ecs, _cloudwatch_splunk),
    "ec2": LogType("ec2", "aws.ec2_logs", _cloudwatch_format, _ec2_ecs, _ec2_splunk),
    "route53_resolver": _of_messages("route53_resolver", "aws.route53_resolver_logs", _resolver, _json_format),
    "route53_public": _of_messages("route53_public", "aws.route53_public_logs", _public),
    "apigateway": _of_messages("apigateway", "aws.apigateway_logs", _apigateway, _json_format),
    "rds": _of_messages("rds", "aws.rds_logs", _rds),
    "containers": _of_messages("containers", "aws.container_logs", _containers),
    "eks": _of_messages("eks", "aws.eks_logs", _eks, _json_format),
    "elb": _of_messages("elb", "aws.elb_logs", _elb, _elb_format, told=False),
    "s3access": _of_messages("s3access", "aws.s3access", _s3access, _s3access_format, told=False),
    "waf": _of_messages("waf", "aws.waf", _waf, _json_format),
    SUBSCRIPTION: LogType(
        SUBSCRIPTION,
        "",
        _cloudwatch_format,
        _by_event_ecs,
        _by_event_splunk,
        gap_mark=b"- SKIPDATA",  # a flow log's line, with its dash for the action; an application hardly writes that
        told=False,
    ),
}
LOG_TYPES: dict[str, LogType] = {name: with_checks(log_type) for name, log_type in _LOG_TYPES.items()}
