"""PostgreSQL's lines in RDS and Aurora: the two prefixes that they can have, durations, statements, pgaudit.

The prefixes are `%t:%r:%u@%d:[%p]:` and `%m:%r:%u@%d:[%p]:%l:%e:%s:%v:%x:%c:%q%a`. Whoever connects chooses the names
of user, database and application, so they may imitate what follows them: a line that can be read in two ways is none.

Sources: "RDS for PostgreSQL database log files" (Amazon RDS User Guide), `log_line_prefix` (PostgreSQL's
documentation), pgaudit's README for its fields.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import Any

from shipper.schemas.ecs.log_event import whole
from shipper.schemas.event_times import time_of

Told = tuple[int | None, dict[str, Any]]
"""The line's own time in milliseconds, None where it has none, and ECS fields by dotted path."""

_TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})? [A-Za-z0-9+-]{1,8}(?::\d\d)?(?:/[A-Za-z0-9_+-]{1,32}){0,2}"
_CLIENT = re.compile(
    rf"(?P<time>{_TIME}):(?:\[local\]|(?P<host>[0-9A-Fa-f:.]{{2,64}}(?:%[\w.-]{{1,16}})?|[\w.-]{{1,255}})"
    r"\((?P<port>\d{1,5})\))?:",
    re.ASCII,
)
_PROCESS = re.compile(r":\[(?P<pid>\d{1,10})\]:")
_LEVEL = re.compile(
    r"(?P<level>DEBUG[1-5]?|INFO|NOTICE|WARNING|ERROR|LOG|FATAL|PANIC|DETAIL|HINT|QUERY|CONTEXT|LOCATION|STATEMENT)"
    r":(?:\s|\Z)"
)
_SESSION = re.compile(
    r"(?P<line>\d{1,18}):(?P<state>[0-9A-Z]{5}):"
    rf"(?P<start>{_TIME}):(?P<virtual>\d{{1,10}}/\d{{1,10}})?:(?P<transaction>\d{{1,20}}):"
    r"(?P<session>[0-9a-f]{1,16}\.[0-9a-f]{1,16}):",
    re.ASCII,
)
_MOST_NAMES = 160
"""PostgreSQL cuts names to 63 bytes: user, database and process take no more characters than these."""
_MOST_APPLICATION = 64
_NOBODY = {"", "[unknown]"}
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
_UTC = {"UTC", "GMT", "Z"}
_MOST_PORT = 65_535
_FAILURES = {"ERROR", "FATAL", "PANIC"}


def postgresql_line(text: str) -> Told | None:
    """Return what a line of PostgreSQL says; None if it is none, or could be several."""
    client = _CLIENT.match(text)
    if client is None:
        return None
    begin, most = client.end(), client.end() + _MOST_NAMES
    readings = [
        (process, *reading)
        for process in _PROCESS.finditer(text, begin, most)
        if "@" in text[begin : process.start()]
        for reading in _readings(text, process.end())
    ]
    if len(readings) != 1:
        return None
    process, level, session = readings[0]
    fields = _prefix_fields(client, text[begin : process.start()], int(process["pid"]))
    if session is not None:
        fields |= _session_fields(session, text[session.end() : level.start()])
    message = text[level.end() :].lstrip()
    fields |= {"message": message, "log.level": level["level"]}
    if level["level"] in _FAILURES:
        fields |= {"event.type": ["error"], "event.outcome": "failure"}
    fields |= _said(message)
    moment, _, zone = client["time"].rpartition(" ")
    return time_of(moment) if zone.upper() in _UTC else None, fields


def _readings(text: str, begin: int) -> Iterator[tuple[re.Match[str], re.Match[str] | None]]:
    """Yield the ways to read what follows a process: the message's level, and the session of the second prefix."""
    if level := _LEVEL.match(text, begin):
        yield level, None
    elif session := _SESSION.match(text, begin):
        # An application's name ends where the level begins, without a mark between.
        for level in _LEVEL.finditer(text, session.end(), session.end() + 2 * _MOST_APPLICATION):
            if level.start() <= session.end() + _MOST_APPLICATION:
                yield level, session


def _prefix_fields(client: re.Match[str], names: str, pid: int) -> dict[str, Any]:
    """Return what both prefixes say; user and database only if it is certain which is which."""
    user, _, database = names.partition("@")
    certain = "@" not in database
    host, port = client["host"], whole(client["port"] or "")
    return {
        "service.type": "postgresql",
        "process.pid": pid,
        "user.name": user if certain and user not in _NOBODY else None,
        "postgresql.log.database": database if certain and database not in _NOBODY else None,
        "postgresql.log.client_addr": host,
        "postgresql.log.client_port": port,
        "postgresql.log.timestamp": client["time"],
        "source.address": host,
        "source.port": port if port is not None and port <= _MOST_PORT else None,
    }


def _session_fields(session: re.Match[str], application: str) -> dict[str, Any]:
    application = application.removesuffix(":")
    return {
        "postgresql.log.application_name": application if application not in _NOBODY else None,
        "postgresql.log.session_id": session["session"],
        "postgresql.log.session_line_number": int(session["line"]),
        "postgresql.log.session_start_time": session["start"],
        "postgresql.log.sql_state_code": session["state"],
        "postgresql.log.transaction_id": whole(session["transaction"]),
        "postgresql.log.virtual_transaction_id": session["virtual"],
    }


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
