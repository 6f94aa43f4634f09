"""Which log groups AWS's own services are told to write to, and what: flow logs, trails, and Resolver's query logs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from shipper.errors import ConfigError, RetryableError, ShipperError
from shipper.flow_layouts import Layout, layout_from_log_format

if TYPE_CHECKING:
    from shipper.aws import AwsSessions

Found = tuple[str, Layout | None]
"""A log type, and the field names of its lines where the service says them."""

_ARN_PARTS = 6


class Written(NamedTuple):
    """What is written to the log groups of a region.

    Attributes:
        groups: by a group's ARN, or by its name where only that is known.
        whole: false where a service gave no answer now, and may give one soon.
    """

    groups: dict[str, Found]
    whole: bool = True


log = structlog.get_logger(__name__)


def written_groups(session: AwsSessions, region: str) -> Written:
    """What is written to the log groups of a region.

    A service that cannot be asked is left out, with a line in the log: events and names tell types as well.
    """
    found: dict[str, Found] = {}
    whole = True
    for service, ask in _WRITERS.items():
        try:
            found.update(_answered(ask, session.client(service, region)))
        except ShipperError as error:
            whole = whole and not (isinstance(error, RetryableError) and not error.paused)
            log.info(
                "what a service writes to log groups is not known", service=service, region=region, why=error.advice
            )
    return Written(found, whole)


def _answered(ask: Callable[[Any], Iterator[tuple[str, Found]]], client: Any) -> dict[str, Found]:
    from shipper.aws import AWS_ERRORS, as_retryable

    try:
        return dict(ask(client))
    except AWS_ERRORS as error:
        raise as_retryable(error) from error


def _flow_logs(client: Any) -> Iterator[tuple[str, Found]]:
    layouts: dict[str, set[Layout]] = {}
    for page in client.get_paginator("describe_flow_logs").paginate():
        for flow in page.get("FlowLogs", ()):
            text = flow.get("LogFormat")
            if text and (group := _group_of(flow, client.meta.region_name)):
                try:
                    layouts.setdefault(group, set()).add(layout_from_log_format(text))
                except ConfigError:  # fields that are newer than this program: the lines themselves tell
                    continue
    for group, several in layouts.items():
        # Lines of two flow logs stand side by side: then each is told by its number of fields.
        yield group, ("vpcflow", next(iter(several)) if len(several) == 1 else None)


def _group_of(flow: dict[str, Any], region: str) -> str | None:
    """The ARN of a flow log's group; its name where the account is not said.

    DescribeFlowLogs may give a name alone. The group is in the account of the role that delivers to it.
    """
    destination, name = str(flow.get("LogDestination") or ""), flow.get("LogGroupName")
    if ":log-group:" in destination:
        return destination.removesuffix(":*")
    role = str(flow.get("DeliverCrossAccountRole") or flow.get("DeliverLogsPermissionArn") or "").split(":")
    if name and len(role) == _ARN_PARTS:
        return f"arn:{role[1]}:logs:{region}:{role[4]}:log-group:{name}"
    return name


def _trails(client: Any) -> Iterator[tuple[str, Found]]:
    for trail in client.describe_trails(includeShadowTrails=False).get("trailList", ()):
        if arn := trail.get("CloudWatchLogsLogGroupArn"):
            yield arn.removesuffix(":*"), ("cloudtrail", None)


def _query_logs(client: Any) -> Iterator[tuple[str, Found]]:
    for page in client.get_paginator("list_resolver_query_log_configs").paginate():
        for chosen in page.get("ResolverQueryLogConfigs", ()):
            arn = chosen.get("DestinationArn", "")
            if ":log-group:" in arn:
                yield arn.removesuffix(":*"), ("route53_resolver", None)


_WRITERS = {"ec2": _flow_logs, "cloudtrail": _trails, "route53resolver": _query_logs}
"""By the service that is asked; see `build.permissions` for what that needs."""
