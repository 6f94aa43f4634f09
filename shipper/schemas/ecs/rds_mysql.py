"""MySQL's and MariaDB's lines in RDS and Aurora: slow queries, audit, general and error logs.

Sources: "Overview of RDS for MySQL database logs" and "MariaDB Audit Plugin support" (Amazon RDS User Guide), "Using
Advanced Auditing" (Amazon Aurora User Guide), "The Slow Query Log" and "The Error Log" (MySQL Reference Manual).
"""

from __future__ import annotations

import re
from typing import Any

from shipper.schemas.ecs.addresses import is_address
from shipper.schemas.ecs.log_event import whole
from shipper.schemas.event_times import time_of

Told = tuple[int | None, dict[str, Any]]
"""The line's own time in milliseconds, None where it has none, and ECS fields by dotted path."""

_USER_HOST = re.compile(
    r"(?:# Time: [^\n]{10,40}\n)?# User@Host: (?P<user>[^\s\[]{0,255})(?:\[(?P<current>[^\]]{0,255})\])? @ "
    r"(?P<host>[^\s\[]{0,255}) ?\[(?P<ip>[^\]]{0,64})\](?:[ #\n]{1,64}(?:Id|Thread_id): {1,64}(?P<thread>\d{1,18}))?"
)
_SLOW_TIME = re.compile(r"^# Time: (?P<time>\S{10,40})\s*$", re.MULTILINE)
_SLOW_FIGURE = re.compile(r"(?P<name>[A-Z][A-Za-z_]{1,30}): +(?P<value>[\w.]{1,40})")
_SLOW_QUERY = re.compile(r"^SET timestamp=(?P<at>\d{1,15});\n?(?P<query>.*)", re.MULTILINE | re.DOTALL)
_SLOW_SCHEMA = re.compile(r"^use (?P<schema>[^;\s]{1,255});", re.MULTILINE)
_MOST_HEAD = 8192
_SLOW_LONGS = {
    "Rows_sent": "rows_sent",
    "Rows_examined": "rows_examined",
    "Rows_affected": "rows_affected",
    "Bytes_received": "bytes_received",
    "Bytes_sent": "bytes_sent",
    "Tmp_tables": "tmp_tables",
    "Created_tmp_tables": "tmp_tables",
    "Tmp_disk_tables": "tmp_disk_tables",
    "Created_tmp_disk_tables": "tmp_disk_tables",
    "Sort_rows": "sort_rows",
    "Sort_merge_passes": "sort_merge_passes",
    "Read_rnd_next": "read_rnd_next",
}
_SLOW_WORDS = {"Schema": "schema", "Errno": "last_errno", "Last_errno": "last_errno", "Killed": "killed"}
_FIGURE = re.compile(r"\d{1,12}(?:\.\d{1,9})?")

_AUDIT = re.compile(
    r"(?P<time>\d{8} \d\d:\d\d:\d\d|\d{16}),(?P<server>[^,\n]{0,255}),(?P<user>[^,\n]{0,255}),(?P<host>[^,\n]{0,255}),"
    r"(?P<thread>\d{1,18}),(?P<query>\d{1,18}),(?P<operation>[A-Z_]{3,20}),(?P<database>[^,\n]{0,255}),"
    # A statement is within quotes and may hold anything: the last quote ends it, for none follows it.
    r"(?:'(?P<statement>.*)'|(?P<object>[^,'\n]{0,1024})),(?P<code>\d{0,9})(?:,[^,'\n]{0,64}){0,2}[ \n\r]{0,8}",
    re.DOTALL,
)
_GENERAL = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)\s+(?P<thread>\d{1,18}) "
    r"(?P<command>[A-Z][A-Za-z]{2,15}(?: [A-Z]{2,3})?)(?:\t(?P<argument>.*))?\s*",
    re.DOTALL,
)
_ERROR = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d[T ][ \d]\d:\d\d:\d\d(?:\.\d{1,6})?Z?) {1,16}"
    r"(?P<thread>\d{1,18}) \[(?P<level>[A-Za-z]{3,10})\] "
    r"(?:\[(?P<code>[A-Z]{2}-\d{1,8})\] \[(?P<part>[^\]]{1,64})\] )?(?P<message>.*)",
    re.DOTALL,
)
_LOGINS = {"CONNECT", "FAILED_CONNECT", "CHANGEUSER"}


def slow_query(text: str) -> Told | None:
    """What an entry of the slow query log says; None where it is none."""
    who = _USER_HOST.match(text)
    if who is None:
        return None
    query = _SLOW_QUERY.search(text)
    head = text[: min(query.start(), _MOST_HEAD) if query else _MOST_HEAD]
    figures = {found["name"]: found["value"] for found in _SLOW_FIGURE.finditer(head)}
    fields: dict[str, Any] = {
        "service.type": "mysql",
        "user.name": who["user"] or None,
        "source.domain": who["host"] or None,
        "source.address": who["ip"] or who["host"] or None,
        "mysql.slowlog.current_user": who["current"],
        "mysql.thread_id": whole(who["thread"] or ""),
        "mysql.slowlog.query": query["query"].strip() if query else None,
    }
    for name, to in _SLOW_LONGS.items():
        if (value := whole(figures.get(name, ""))) is not None:
            fields[f"mysql.slowlog.{to}"] = value
    for name, to in _SLOW_WORDS.items():
        if name in figures:
            fields[f"mysql.slowlog.{to}"] = figures[name]
    if used := _SLOW_SCHEMA.search(head):
        fields["mysql.slowlog.schema"] = used["schema"]
    if _FIGURE.fullmatch(seconds := figures.get("Query_time", "")):
        fields["event.duration"] = round(float(seconds) * 1_000_000) * 1000
    if _FIGURE.fullmatch(seconds := figures.get("Lock_time", "")):
        fields["mysql.slowlog.lock_time.sec"] = float(seconds)
    time = _SLOW_TIME.search(head)
    time_ms = time_of(time["time"]) if time else None
    return int(query["at"]) * 1000 if time_ms is None and query else time_ms, fields


def audit_record(text: str) -> Told | None:
    """What a record of the audit plugin, or of Aurora's advanced audit, says; None where it is none."""
    found = _AUDIT.fullmatch(text)
    if found is None:
        return None
    operation, code = found["operation"], whole(found["code"])
    login = operation in _LOGINS
    host = found["host"]
    fields: dict[str, Any] = {
        "service.type": "mysql",
        "user.name": found["user"] or None,
        "source.address": host or None,
        "source.domain": host if host and not is_address(host) else None,
        "mysql.thread_id": int(found["thread"]),
        "aws.rds.audit.server_host": found["server"] or None,
        "aws.rds.audit.query_id": int(found["query"]),
        "aws.rds.audit.operation": operation,
        "aws.rds.audit.database": found["database"] or None,
        "aws.rds.audit.object": found["statement"] or found["object"] or None,
        "aws.rds.audit.return_code": code,
        "event.action": operation.lower(),
        "event.outcome": None if code is None else "failure" if code or operation == "FAILED_CONNECT" else "success",
        "event.category": ["database", "authentication"] if login else ["database"],
        "event.type": ["start"] if login else ["end"] if operation == "DISCONNECT" else ["access"],
    }
    text = found["time"]
    return int(text) // 1000 if text.isdigit() else time_of(text, "%Y%m%d %H:%M:%S"), fields


def general_record(text: str) -> Told | None:
    """What a record of the general log says; None where it is none."""
    found = _GENERAL.fullmatch(text)
    if found is None:
        return None
    fields: dict[str, Any] = {
        "service.type": "mysql",
        "message": found["argument"] or text,
        "mysql.thread_id": int(found["thread"]),
        "event.action": found["command"].lower(),
        "event.type": ["access"],
    }
    return time_of(found["time"]), fields


def error_record(text: str) -> Told | None:
    """What a record of the error log says; None where it is none."""
    found = _ERROR.fullmatch(text)
    if found is None:
        return None
    level = found["level"]
    fields: dict[str, Any] = {
        "service.type": "mysql",
        "message": found["message"],
        "log.level": level,
        "mysql.thread_id": int(found["thread"]),
        "event.code": found["code"],
        "event.provider": found["part"],
        "event.type": ["error"] if level.lower() == "error" else ["info"],
    }
    return time_of(found["time"].replace("  ", " 0")), fields


MYSQL_LINES = (slow_query, audit_record, general_record, error_record)
"""Each tells of its own kind of line, or None."""
