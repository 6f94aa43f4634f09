"""What the columns of a flow log line are: from a header line, a LogFormat, or the number of fields.

A layout is a tuple of AWS's own field names (`account-id`, `tgw-id`): hashable, so that an encoder is compiled once for
each, and without a class, so that schemas need to know nothing of formats.

Sources: the fields of versions 2 to 5 with their order, "Logging IP traffic using VPC Flow Logs" in the Amazon VPC
User Guide; version 6, "Logging network traffic using Transit Gateway Flow Logs"; versions 7 to 11 (ECS, reject-reason,
resource-id, encryption-status, tags and next hops), the same guide. Lines without a header are told apart by their
number of fields as Elastic's AWS integration does (packages/aws/data_stream/vpcflow, ingest pipeline).
"""

from __future__ import annotations

import re

from shipper.errors import ConfigError

Layout = tuple[str, ...]

MAX_FIELDS = 128
"""A header with more columns is none: AWS has some eighty fields."""

EXPORT_TIME = "@timestamp"
"""The first column of lines that CloudWatch Logs exported: the event's time, in front of the flow log's own fields."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")


def _names(text: str) -> Layout:
    return tuple(text.split())


V2 = _names(
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
"""The default format."""

V5 = V2 + _names(
    "vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id sublocation-type sublocation-id "
    "pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path"
)
V7 = V5 + _names(
    "ecs-cluster-arn ecs-cluster-name ecs-container-instance-arn ecs-container-instance-id ecs-container-id "
    "ecs-second-container-id ecs-service-name ecs-task-definition-arn ecs-task-arn ecs-task-id"
)
V8 = (*V7, "reject-reason")
V9 = (*V8, "resource-id")
V10 = (*V9, "encryption-status")
V11 = V10 + _names(
    "instance-tag instance-tag-2 interface-tag interface-tag-2 asg-tag asg-tag-2 interface-type next-hop-interface-id "
    "next-hop-subnet-id next-hop-az-id next-hop-vpc-id next-hop-interface-type"
)
TRANSIT_GATEWAY = _names(
    "version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id tgw-dst-vpc-account-id "
    "tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni tgw-dst-eni tgw-src-az-id "
    "tgw-dst-az-id tgw-pair-attachment-id srcaddr dstaddr srcport dstport protocol packets bytes start end log-status "
    "type packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded packets-lost-ttl-expired tcp-flags "
    "region flow-direction pkt-src-aws-service pkt-dst-aws-service"
)
NAT = _names("instance-id interface-id srcaddr dstaddr pkt-srcaddr pkt-dstaddr")
"""AWS's example for traffic through a NAT gateway."""

_SEVENTEEN = _names(
    "version interface-id account-id vpc-id subnet-id instance-id srcaddr dstaddr srcport dstport protocol tcp-flags "
    "type pkt-srcaddr pkt-dstaddr action log-status"
)
_TCP_FLAGS = _names(
    "version vpc-id subnet-id instance-id interface-id account-id type srcaddr dstaddr srcport dstport pkt-srcaddr "
    "pkt-dstaddr protocol bytes packets start end action tcp-flags log-status"
)
_ALL = (V2, NAT, _SEVENTEEN, _TCP_FLAGS, V5, TRANSIT_GATEWAY, V7, V8, V9, V10, V11)
_BY_COUNT = {len(layout): layout for layout in _ALL}
KNOWN_FIELDS = frozenset(name for layout in _BY_COUNT.values() for name in layout)
"""All fields that AWS had documented when this was written; headers may name others."""


def layout_from_count(fields: int) -> Layout | None:
    """The documented layout with this number of fields, None where there is none."""
    return _BY_COUNT.get(fields)


def layout_from_header(line: bytes) -> Layout | None:
    """Read a header line; None where the line is none (it is data, or no flow log).

    A header is made of field names alone, at least one of them known: fields that AWS adds later pass.
    """
    try:
        names = tuple(token.replace("_", "-") for token in line.decode("ascii").split(" "))
    except UnicodeDecodeError:
        return None
    if len(names) > MAX_FIELDS or not all(map(_NAME.fullmatch, names)) or KNOWN_FIELDS.isdisjoint(names):
        return None
    return names


def layout_from_log_format(text: str) -> Layout:
    """Read DescribeFlowLogs' LogFormat (`${version} ${account-id} …`), or the same names without `${}`.

    Raises:
        ConfigError: it names no fields, or not in a flow log's way.
    """
    names = _PLACEHOLDER.findall(text) or text.split()
    layout = tuple(name.strip().lower().replace("_", "-") for name in names)
    wrong = [name for name in layout if not _NAME.fullmatch(name)]
    if wrong or not layout or len(layout) > MAX_FIELDS or KNOWN_FIELDS.isdisjoint(layout):
        named = f": {wrong[0]!r}" if wrong else ""
        raise ConfigError(
            f"not the format of a flow log{named}",
            "write its fields as AWS does, such as '${version} ${account-id} ${interface-id} ${srcaddr}'; "
            "`aws ec2 describe-flow-logs` shows it as LogFormat",
        )
    return layout


def may_be_header(line: bytes) -> bool:
    """Whether a line in the middle of an object is worth a closer look: cheap, and false for nearly all data."""
    return line.split(b" ", 1)[0].decode("ascii", "replace").replace("_", "-") in KNOWN_FIELDS
