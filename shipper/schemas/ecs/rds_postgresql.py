"""PostgreSQL's lines in RDS and Aurora: their fixed prefix `%t:%r:%u@%d:[%p]:`, durations, statements, pgaudit.

Sources: "RDS for PostgreSQL database log files" (Amazon RDS User Guide), pgaudit's README for its fields.
"""

from __future__ import annotations

import csv
import re
from typing import Any

from shipper.schemas.ecs.log_event import whole
from shipper.schemas.event_times import time_of

Told = tuple[int | None, dict[str, Any]]
"""The line's own time in milliseconds, None where it has none, and ECS fields by dotted path."""

_LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?) (?P<zone>[A-Za-z0-9+:-]{1,32}?)"
    r":(?:(?P<host>[^\s():\[\]@]{1,255}|[0-9A-Fa-f:.]{2,64}|\[local\])(?:\((?P<port>\d{1,5})\))?)?"
    r":\[?(?P<user>[^\s@\[\]]{0,255})\]?@\[?(?P<database>[^\s:\[\]]{0,255})\]?"
    r":\[(?P<pid>\d{1,10})\]:"
    r"(?P<level>DEBUG[1-5]?|INFO|NOTICE|WARNING|ERROR|LOG|FATAL|PANIC|DETAIL|HINT|QUERY|CONTEXT|LOCATION|STATEMENT)"
    r":\s*(?P<message>.*)",
    re.DOTALL,
)
_DURATION = re.compile(r"duration: (?P<ms>\d{1,12}(?:\.\d{1,6})?) ms(?:  (?P<rest>.*))?", re.DOTALL)
_STATEMENT = re.compile(
    r"(?P<step>statement|execute|parse|bind|fastpath)(?: (?P<name><unnamed>|[^\s:]{1,255}))?: (?P<query>.*)", re.DOTALL
)
_AUDIT = "AUDIT: "
_AUDIT_FIELDS = (
    "type",
    "statement_id",
    "substatement_id",
    "class",
    "command",
    "object_type",
    "object_name",
    "statement",
)
_FAILURES = {"ERROR", "FATAL", "PANIC"}


def postgresql_line(text: str) -> Told | None:
    """What a line of PostgreSQL says; None where it is none."""
    found = _LINE.fullmatch(text)
    if found is None:
        return None
    level, message, host = found["level"], found["message"], found["host"]
    host = None if host == "[local]" else host
    port = whole(found["port"] or "")
    fields: dict[str, Any] = {
        "service.type": "postgresql",
        "message": message,
        "log.level": level,
        "process.pid": int(found["pid"]),
        "user.name": found["user"] if found["user"] not in {"", "unknown"} else None,
        "postgresql.log.database": found["database"] if found["database"] not in {"", "unknown"} else None,
        "postgresql.log.client_addr": host,
        "postgresql.log.client_port": port,
        "postgresql.log.timestamp": f"{found['time']} {found['zone']}",
        "source.address": host,
        "source.port": port if port is not None and port <= 65_535 else None,
    }
    if level in _FAILURES:
        fields |= {"event.type": ["error"], "event.outcome": "failure"}
    fields |= _said(message)
    utc = found["zone"].upper() in {"UTC", "GMT", "Z"}
    return time_of(found["time"]) if utc else None, fields


def _said(message: str) -> dict[str, Any]:
    if message.startswith(_AUDIT):
        return _audited(message.removeprefix(_AUDIT))
    fields: dict[str, Any] = {}
    rest = message
    if timed := _DURATION.fullmatch(message):
        fields["event.duration"] = round(float(timed["ms"]) * 1_000_000)
        rest = timed["rest"] or ""
    if stated := _STATEMENT.fullmatch(rest):
        fields["postgresql.log.query_step"] = stated["step"]
        fields["postgresql.log.query"] = stated["query"]
        fields["postgresql.log.query_name"] = stated["name"] if stated["name"] != "<unnamed>" else None
    return fields


def _audited(text: str) -> dict[str, Any]:
    """A line of pgaudit, whose fields are CSV."""
    try:
        row = next(csv.reader([text], strict=False), [])
    except csv.Error:
        return {}
    said = {name: value for name, value in zip(_AUDIT_FIELDS, row, strict=False) if value}
    fields: dict[str, Any] = {f"aws.rds.audit.{name}": value for name, value in said.items()}
    for name in ("statement_id", "substatement_id"):
        fields[f"aws.rds.audit.{name}"] = whole(said.get(name, ""))
    fields["event.action"] = said.get("command")
    fields["postgresql.log.query"] = said.get("statement")
    return fields
