"""CloudWatch Logs events of any kind as ECS documents of Elastic's AWS integration (`cloudwatch_logs`, `ec2_logs`).

A message that is a JSON object is kept as text and, bounded in depth and names, as the one flattened field
`aws.cloudwatch.fields`: no application's fields can swell the mapping.
"""

from __future__ import annotations

import re

from shipper.exported_lines import parted
from shipper.model import LogEvent
from shipper.ports import Clock, wall_clock
from shipper.schemas.ecs.lambda_lines import lambda_line
from shipper.schemas.ecs.log_event import Fields, LogEventEcs, add, add_fields, object_of, text_in
from shipper.schemas.ecs.syslog import SystemLine, system_line, traditional_line
from shipper.schemas.ecs.unparsed import mark_unparsed
from shipper.schemas.event_times import time_of

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)")


class CloudWatchEcs(LogEventEcs):
    """Makes ECS documents of log events. Safe to use from many threads.

    Args:
        namespace: of the data stream.
        system: true for an instance's system log (`ec2_logs`): the message is what the process wrote, the time is the
            line's own.
        clock: the time of lines that have none.
    """

    def __init__(self, namespace: str, *, system: bool = False, clock: Clock = wall_clock) -> None:
        dataset = "aws.ec2_logs" if system else "aws.cloudwatch_logs"
        describe = _of_system if system else _of_any
        super().__init__(dataset, namespace, describe, own_time=system, exported=False, formed=system, clock=clock)


def _of_any(document: Fields, text: str, _: LogEvent | None) -> int | None:
    document["message"] = text
    if line := traditional_line(text):
        _add_process(document, line)
    message = parted(text)[1]
    fields = object_of(message)
    if fields is not None:
        add_fields(document, fields)
    if own := lambda_line(message, fields):
        document["faas"], document["aws"]["lambda"] = own.faas, own.own
        add(document, {"event.outcome": own.outcome, "error.type": own.error})
    time = _TIME.match(text) or _TIME.fullmatch(text_in(fields or {}, "time", "timestamp") or "")
    return time_of(time[0]) if time is not None else None


def _of_system(document: Fields, text: str, _: LogEvent | None) -> int | None:
    document["message"] = text
    line = system_line(text)
    if line is None:
        mark_unparsed(document)
        time = _TIME.match(text)
        return time_of(time[0]) if time is not None else None
    document["message"] = line.message
    _add_process(document, line)
    return line.time_ms


def _add_process(document: Fields, line: SystemLine) -> None:
    document["process"] = {"name": line.process} | ({} if line.pid is None else {"pid": line.pid})
    if line.host:
        document["aws"]["ec2"] = {"ip_address": line.host}
