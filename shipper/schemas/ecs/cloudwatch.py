"""CloudWatch Logs events of any kind as ECS documents of Elastic's AWS integration (`cloudwatch_logs`, `ec2_logs`).

A message that is a JSON object is kept as text and, bounded in depth and names, as the one flattened field
`aws.cloudwatch.fields`: no application's fields can swell the mapping.
"""

from __future__ import annotations

import re

from shipper.model import LogEvent
from shipper.ports import Clock, wall_clock
from shipper.schemas.ecs.lambda_lines import lambda_fields
from shipper.schemas.ecs.log_event import Fields, LogEventEcs, add_fields, object_of
from shipper.schemas.event_times import time_of

_ISO_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)"
_TIME = re.compile(_ISO_TIME)
_SYSLOG = re.compile(
    rf"(?P<time>{_ISO_TIME}) [A-Z][a-z]{{2}} +\d{{1,2}} \d\d:\d\d:\d\d (?P<host>[\w.:-]{{1,255}})"
    r" (?P<process>[^\n]{0,255}?): (?P<message>.*)",
    re.DOTALL,
)

_PID = re.compile(r"\[(\d{1,9})\]\Z")


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
        super().__init__(dataset, namespace, _of_system if system else _of_any, own_time=system, clock=clock)


def _of_any(document: Fields, text: str, _: LogEvent | None) -> int | None:
    document["message"] = text
    found = _SYSLOG.match(text)
    if found is not None:
        process: Fields = {"name": found["process"]}
        if pid := _PID.search(found["process"]):
            process["pid"] = int(pid[1])
        document["process"] = process
        document["aws"]["ec2"] = {"ip_address": found["host"]}
    fields = object_of(text)
    if fields is not None:
        add_fields(document, fields)
    if lambda_part := lambda_fields(text, fields):
        document["faas"], document["aws"]["lambda"] = lambda_part
    time = _TIME.match(text)
    return time_of(time[0]) if time is not None else None


def _of_system(document: Fields, text: str, event: LogEvent | None) -> int | None:
    time_ms = _of_any(document, text, event)
    if found := _SYSLOG.match(text):
        document["message"] = found["message"]
    return time_ms
