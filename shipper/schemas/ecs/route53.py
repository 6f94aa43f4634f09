"""Route 53's query logs as the ECS documents of Elastic's AWS integration: of the Resolver, and of public hosted zones.

Sources: "Values that appear in VPC Resolver query logs" and "Values that appear in DNS query logs" (Amazon Route 53
Developer Guide).
"""

from __future__ import annotations

import re

from shipper.model import LogEvent
from shipper.ports import Clock, GeoLookup, wall_clock
from shipper.schemas.ecs.dns import add_answers, add_query, finish
from shipper.schemas.ecs.log_event import (
    Describe,
    Fields,
    LogEventEcs,
    add,
    number_in,
    object_of,
    text_in,
)
from shipper.schemas.ecs.unparsed import mark_unparsed
from shipper.schemas.event_times import time_of

RESOLVER = "aws.route53_resolver_logs"
PUBLIC = "aws.route53_public_logs"

_MOST_PORT = 65_535
_PUBLIC_LINE = re.compile(
    r"\d{1,4}\.\d{1,4} (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?Z) (?P<zone>[A-Z0-9]{1,64})"
    r" (?P<name>\S{1,1024}) (?P<kind>[A-Z0-9-]{1,16}) (?P<code>[A-Za-z0-9_-]{1,32}) (?P<transport>[A-Za-z0-9-]{1,16})"
    r" (?P<edge>[A-Z0-9-]{1,32}) (?P<address>[0-9A-Fa-f.:-]{1,64}) (?P<subnet>[0-9A-Fa-f.:/-]{1,64})\s*",
    re.ASCII,
)


def resolver_ecs(namespace: str, geo: GeoLookup | None, *, clock: Clock = wall_clock) -> LogEventEcs:
    """The schema of Route 53 Resolver's query logs.

    Args:
        geo: None to leave out geography and network owner.
        clock: the time of lines that have none.
    """
    return LogEventEcs(RESOLVER, namespace, _resolver(geo), own_time=True, formed=True, clock=clock)


def public_ecs(namespace: str, geo: GeoLookup | None, *, clock: Clock = wall_clock) -> LogEventEcs:
    """The schema of public hosted zones' query logs; see `resolver_ecs`."""
    return LogEventEcs(PUBLIC, namespace, _public(geo), own_time=True, formed=True, clock=clock)


def _resolver(geo: GeoLookup | None) -> Describe:
    def describe(document: Fields, text: str, _: LogEvent | None) -> int | None:
        said = object_of(text)
        if said is None or text_in(said, "query_name") is None:
            document["message"] = text
            mark_unparsed(document)
            return None
        add_query(
            document,
            name=text_in(said, "query_name"),
            kind=text_in(said, "query_type"),
            code=text_in(said, "rcode"),
            transport=text_in(said, "transport"),
            address=text_in(said, "srcaddr"),
            geo=geo,
        )
        add_answers(document, said.get("answers"))
        finish(document)
        _add_resolver(document, said)
        return time_of(text_in(said, "query_timestamp") or "")

    return describe


def _add_resolver(document: Fields, said: Fields) -> None:
    asker = said.get("srcids")
    ids = asker if isinstance(asker, dict) else {}
    port = number_in(said, "srcport")
    fields = {
        "dns.question.class": text_in(said, "query_class"),
        "source.port": port if port is not None and port <= _MOST_PORT else None,
        "cloud.account.id": text_in(said, "account_id"),
        "cloud.region": text_in(said, "region"),
        "cloud.instance.id": text_in(ids, "instance"),
        "aws.vpc_id": text_in(said, "vpc_id"),
        "aws.instance_id": text_in(ids, "instance"),
        "aws.route53.resolver.endpoint.id": text_in(ids, "resolver_endpoint"),
        "aws.route53.resolver.network_interface.id": text_in(ids, "resolver_network_interface"),
        "aws.route53.firewall.action": text_in(said, "firewall_rule_action"),
        "aws.route53.firewall.rule_group.id": text_in(said, "firewall_rule_group_id"),
        "aws.route53.firewall.domain_list.id": text_in(said, "firewall_domain_list_id"),
    }
    add(document, fields)


def _public(geo: GeoLookup | None) -> Describe:
    def describe(document: Fields, text: str, _: LogEvent | None) -> int | None:
        found = _PUBLIC_LINE.fullmatch(text)
        if found is None:
            document["message"] = text
            mark_unparsed(document)
            return None
        add_query(
            document,
            name=found["name"],
            kind=found["kind"],
            code=found["code"],
            transport=found["transport"],
            address=found["address"],
            geo=geo,
        )
        finish(document)
        fields = {
            "aws.route53.hosted_zone_id": found["zone"],
            "aws.route53.edge_location": found["edge"],
            "aws.route53.edns_client_subnet": None if found["subnet"] == "-" else found["subnet"],
        }
        add(document, fields)
        return time_of(found["time"])

    return describe
