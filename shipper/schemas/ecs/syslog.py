"""Lines of system logs: with syslog's own time (RFC 3164), with that of RFC 3339, and with an agent's in front.

Source: RFC 3164, "The BSD syslog Protocol"; rsyslog's templates `RSYSLOG_TraditionalFileFormat` and
`RSYSLOG_FileFormat`, of which Amazon Linux 2 writes the first and Amazon Linux 2023 the second.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from shipper.exported_lines import parted
from shipper.schemas.event_times import time_of

_HOST = r"[\w.:-]{0,254}[\w.-]"
_REST = rf"(?:(?P<host>{_HOST}) )?(?P<process>[^\s:][^\n]{{0,254}}?): (?P<message>.*)"
_ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)"
_TRADITIONAL = re.compile(rf"[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d {_REST}", re.DOTALL)
_RFC3339 = re.compile(rf"(?P<time>{_ISO}) {_REST}", re.DOTALL)
_PID = re.compile(r"\[(\d{1,9})\]\Z")


class SystemLine(NamedTuple):
    """A line of a system log.

    Attributes:
        time_ms: in milliseconds since the epoch; None if the line has no year or no zone.
        host: None if the line names none.
        process: its name, with its number in brackets where the line has one.
        pid: that number.
        message: what the process wrote.
    """

    time_ms: int | None
    host: str | None
    process: str
    pid: int | None
    message: str


def traditional_line(text: str) -> SystemLine | None:
    """Return what a line with syslog's own time says, with an agent's in front or not; None if it is none."""
    time, rest = parted(text)
    if not time:
        head, _, behind = text.partition(" ")
        if re.fullmatch(_ISO, head):
            time, rest = head, behind
    found = _TRADITIONAL.fullmatch(rest)
    return _line(found, time_of(time) if time else None) if found else None


def system_line(text: str) -> SystemLine | None:
    """Return what a line of a system log says; None if it is none: the definition of a line that fits."""
    if line := traditional_line(text):
        return line
    exported, rest = parted(text)
    found = (_RFC3339.fullmatch(rest) if exported else None) or _RFC3339.fullmatch(text)
    return _line(found, time_of(found["time"])) if found else None


def _line(found: re.Match[str], time_ms: int | None) -> SystemLine:
    pid = _PID.search(found["process"])
    return SystemLine(time_ms, found["host"], found["process"], int(pid[1]) if pid else None, found["message"])
