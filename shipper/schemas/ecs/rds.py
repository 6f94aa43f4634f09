"""Logs of RDS and Aurora: PostgreSQL's, and MySQL's and MariaDB's error, slow query, general and audit logs.

Fields are those of Elastic's PostgreSQL and MySQL integrations where they have any. Source of the groups' names:
"Publishing database logs to Amazon CloudWatch Logs" (Amazon RDS User Guide).
"""

from __future__ import annotations

import re

from shipper.model import LogEvent
from shipper.ports import Clock, GeoLookup, wall_clock
from shipper.schemas.ecs.log_event import Describe, Fields, LogEventEcs, add, add_end, add_fields, object_of
from shipper.schemas.ecs.rds_mysql import MYSQL_LINES
from shipper.schemas.ecs.rds_postgresql import postgresql_line
from shipper.schemas.ecs.unparsed import mark_unparsed

DATASET = "aws.rds_logs"

_GROUP = re.compile(r"/aws/rds/(?P<kind>instance|cluster|proxy)/(?P<name>[^/]{1,255})(?:/(?P<log>[^/]{1,64}))?")
_LINES = (postgresql_line, *MYSQL_LINES)
_OTHER_LOGS = frozenset({"agent", "alert", "iam-db-auth-error", "listener", "oemagent", "proxy", "trace", "upgrade"})
"""Logs of a form of their own, of which nothing is known here: any line will do."""


def rds_ecs(namespace: str, geo: GeoLookup | None, *, clock: Clock = wall_clock) -> LogEventEcs:
    """The schema of RDS's database logs.

    Args:
        geo: None to leave out geography and network owner.
        clock: the time of lines that have none.
    """
    return LogEventEcs(DATASET, namespace, _described(geo), formed=True, clock=clock)


def _described(geo: GeoLookup | None) -> Describe:
    def describe(document: Fields, text: str, event: LogEvent | None) -> int | None:
        document["message"] = text
        document["event"] |= {"category": ["database"], "type": ["info"]}
        found = _GROUP.fullmatch(event.stream.group) if event is not None else None
        if found is not None:
            kind = "db_instance" if found["kind"] == "instance" else f"db_{found['kind']}"
            add(document, {f"aws.rds.{kind}.identifier": found["name"], "aws.rds.log_type": found["log"]})
        if (said := object_of(text)) is not None:
            add_fields(document, said)
            return None
        for line in _LINES:
            told = line(text)
            if told is not None:
                time_ms, fields = told
                add(document, fields)
                _add_client(document, geo)
                return time_ms
        if found is None or found["log"] not in _OTHER_LOGS:
            mark_unparsed(document)
        return None

    return describe


def _add_client(document: Fields, geo: GeoLookup | None) -> None:
    """Where the client is, and who it says that it is."""
    address = document.get("source", {}).get("address")
    if address:
        add_end(document, "source", address, geo)
    if name := document.get("user", {}).get("name"):
        document.setdefault("related", {})["user"] = [name]
