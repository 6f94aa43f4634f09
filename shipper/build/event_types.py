"""What vouches for the log type of a log group's events: the configuration, or a name that AWS's services use.

The form of a message vouches for nothing: whoever writes one line of a group chooses it (docs/adr/0010).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

import orjson

from shipper.flow_layouts import layout_from_count
from shipper.formats.envelopes import is_enveloped
from shipper.model import LogStream, Record

PLAIN = "cloudwatch"
ENVELOPE = "subscription"

_LONGEST_GROUP = 512
_MOST_GROUPS = 10_000
_GROUPS = (
    (re.compile(r"/aws/rds/(?:instance|cluster|proxy)/.*"), "rds"),
    (re.compile(r"/aws/eks/[^/]+/cluster"), "eks"),
    (re.compile(r"/aws/containerinsights/[^/]+/(?:application|dataplane|host)"), "containers"),
    (re.compile(r"API-Gateway-Execution-Logs_.*"), "apigateway"),
    (re.compile(r"/aws/apigateway/.+"), "apigateway"),
    (re.compile(r"aws-waf-logs-.+"), "waf"),
    (re.compile(r"/aws/lambda/.*"), PLAIN),
    (re.compile(r"(?:/aws)?/ecs/.*"), "containers"),
    (re.compile(r"aws-cloudtrail-logs-.+"), "cloudtrail"),
    (re.compile(r"CloudTrail/(?:DefaultLogGroup|logs)"), "cloudtrail"),
    (re.compile(r"aws-controltower/CloudTrailLogs"), "cloudtrail"),
    (re.compile(r"/aws/route53/.+"), "route53_public"),
)
"""Names that AWS's services and their documentation give: what such a group holds counts for no more than that.

A function of Lambda may well print a record of another kind; it is an application's line all the same. The names of
CloudTrail are its console's, its documentation's, and Control Tower's; Route 53's are those that its API recommends.
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


class GroupTypes:
    """Says which log type a log group's events are believed to have. Safe to use from many threads.

    Args:
        named: log types that the configuration gives, by a group's name or a glob, with `ACCOUNT:` in front or not;
            the first that fits counts.
    """

    def __init__(self, named: Mapping[str, str] | None = None) -> None:
        self._named = tuple((named or {}).items())
        self._known: dict[tuple[str, str], str | None] = {}

    def of_group(self, account: str, group: str) -> str | None:
        """Return the log type that the configuration, or else AWS's own name, vouches for; None if nothing does."""
        return self.configured(account, group) or type_of_group(group)

    def configured(self, account: str, group: str) -> str | None:
        """Return the log type that the configuration gives a group, or None."""
        if len(group) > _LONGEST_GROUP:
            return None
        for pattern, logs in self._named:
            owner, colon, name = pattern.rpartition(":")
            if (not colon or owner == account) and fnmatchcase(group, name):
                return logs
        return None

    def of_record(self, record: Record) -> tuple[str, str | None]:
        """Return an event's log type, and the type whose form it has although nothing vouches for that, or None."""
        event = record.event
        if event is None:
            return PLAIN, self.of_line(record)[1]
        known = self._of_stream(event.stream)
        if known is None:
            return PLAIN, likely_type_of_event(record.raw)
        # CloudTrail writes objects and nothing else: what a person writes beside them is a line.
        if known == PLAIN or (known == "cloudtrail" and not record.raw.startswith(b"{")):
            return PLAIN, self.of_line(record)[1]
        return known, None

    def in_plain_group(self, record: Record) -> tuple[str, str | None]:
        """Return the same for an event of a group that is read as a plain one."""
        event = record.event
        if event is None or self._of_stream(event.stream) == PLAIN:
            return self.of_line(record)
        return PLAIN, likely_type_of_event(record.raw)

    def _of_stream(self, stream: LogStream) -> str | None:
        place = (stream.account, stream.group)
        known = self._known.get(place, "")
        if known == "":
            if len(self._known) >= _MOST_GROUPS:
                self._known.clear()
            known = self._known[place] = self.of_group(*place)
        return known

    @staticmethod
    def of_line(record: Record) -> tuple[str, str | None]:
        """Return the same for what the configuration itself says is plain: only an envelope's form tells then."""
        return PLAIN, ENVELOPE if is_enveloped(record.raw) else None


def type_of_group(group: str) -> str | None:
    """Return the type that AWS's own name for a group says for sure, or None."""
    if len(group) > _LONGEST_GROUP:
        return None
    return next((name for pattern, name in _GROUPS if pattern.fullmatch(group)), None)


def likely_type_of_event(message: bytes) -> str | None:
    """Return the log type whose form a message has, which says nothing of who wrote it; None for a plain line."""
    if is_enveloped(message):
        return ENVELOPE
    likely = type_of_message(message.decode("utf-8", "replace"))
    return likely if likely != PLAIN else None


def type_of_message(message: str) -> str:
    """Return the type whose form a message has; a hint for people, and never what decides where a message goes."""
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
