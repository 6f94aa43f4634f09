"""Tells a log event's type from its group's name and its message, so that it is told alike whichever way it comes."""

from __future__ import annotations

import re
from collections.abc import Sequence

import orjson

from shipper.flow_layouts import layout_from_count

PLAIN = "cloudwatch"

_GROUPS = (
    (re.compile(r"/aws/rds/(?:instance|cluster|proxy)/.*"), "rds"),
    (re.compile(r"/aws/eks/[^/]+/cluster"), "eks"),
    (re.compile(r"/aws/containerinsights/[^/]+/(?:application|dataplane|host)"), "containers"),
    (re.compile(r"API-Gateway-Execution-Logs_.*"), "apigateway"),
    (re.compile(r"aws-waf-logs-.+"), "waf"),
    (re.compile(r"/aws/lambda/.*"), PLAIN),
    (re.compile(r"(?:/aws)?/ecs/.*"), "containers"),
)
"""Names that AWS's services and their documentation give: what such a group holds counts for no more than that.

A function of Lambda may well print a record of another kind; it is an application's line all the same.
"""
_STATES = frozenset({"OK", "NODATA", "SKIPDATA"})
_KEYS = (
    (frozenset({"eventVersion", "eventSource", "eventName", "eventID"}), "cloudtrail"),
    (frozenset({"eventVersion", "eventSource", "eventId", "timeWindow"}), "cloudtrail"),
    (frozenset({"query_timestamp", "query_name", "query_type", "srcaddr"}), "route53_resolver"),
    (frozenset({"requestId", "httpMethod", "status"}), "apigateway"),
    (frozenset({"requestId", "routeKey", "status"}), "apigateway"),
    (frozenset({"requestId", "connectionId", "eventType"}), "apigateway"),
    (frozenset({"log", "kubernetes"}), "containers"),
    (frozenset({"log", "container_id"}), "containers"),
    (frozenset({"kind", "apiVersion", "auditID", "verb"}), "eks"),
    (frozenset({"webaclId", "terminatingRuleId", "httpRequest", "action"}), "waf"),
)
_PUBLIC_QUERY = re.compile(
    r"\d\.\d \d{4}-\d\d-\d\dT[\d:.]{8,16}Z Z[A-Z0-9]{4,32} \S+ [A-Z0-9]+ [A-Z]+ (?:UDP|TCP) [A-Z]{3}\d"
)
_NAMES = (
    (("cloudtrail",), "cloudtrail"),
    (("flowlog", "vpclog"), "vpcflow"),
    (("resolver",), "route53_resolver"),
    (("/aws/route53/",), "route53_public"),
    (("apigateway",), "apigateway"),
)


def type_of_event(group: str, message: str) -> str:
    """The log type of one event; the same whenever and however the event is read."""
    return type_of_group(group) or type_of_message(message)


def type_of_events(group: str, messages: Sequence[str]) -> str:
    """The type that all of a group's first messages have; plain events where they differ."""
    kinds = {type_of_event(group, message) for message in messages}
    return kinds.pop() if len(kinds) == 1 else PLAIN


def type_of_group(group: str) -> str | None:
    """The type that AWS's own name for a group says for sure."""
    return next((name for pattern, name in _GROUPS if pattern.fullmatch(group)), None)


def type_of_name(group: str) -> str:
    """The type that a group's name leads to expect, where nothing else is known yet."""
    lowered = group.lower().replace("-", "").replace("_", "")
    guesses = (name for words, name in _NAMES if any(word in lowered for word in words))
    return type_of_group(group) or next(guesses, PLAIN)


def type_of_message(message: str) -> str:
    """The type that a message's own form tells."""
    if message.startswith("{"):
        try:
            fields = orjson.loads(message)
        except orjson.JSONDecodeError:
            return PLAIN
        if not isinstance(fields, dict):
            return PLAIN
        return next((name for keys, name in _KEYS if keys <= fields.keys()), PLAIN)
    parts = message.strip().split(" ")
    if layout_from_count(len(parts)) is not None and parts[0].isdigit() and not _STATES.isdisjoint(parts):
        return "vpcflow"
    return "route53_public" if _PUBLIC_QUERY.match(message) else PLAIN
