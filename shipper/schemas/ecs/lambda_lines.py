"""Lambda's own lines: START, END, REPORT and time-outs, as text or as the JSON of its structured logs.

Source: "Sending Lambda function logs to CloudWatch Logs" and "Lambda Telemetry API event schema" (AWS Lambda Developer
Guide).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_LINE = re.compile(r"(START|END|REPORT) RequestId: ([0-9a-f-]{36})\b(?: Version: (\S+))?")
_INIT = re.compile(r"INIT_REPORT (?=Init Duration: )")
_TIMED_OUT = re.compile(r"([0-9a-f-]{36}) (Task timed out after \d{1,9}(?:\.\d{1,3})? seconds)\s*")
_FIGURE = re.compile(
    r"(?:\t|\AINIT_REPORT )(Duration|Billed Duration|Memory Size|Max Memory Used|Init Duration|Restore Duration"
    r"|Billed Restore Duration)"
    r": (\d{1,15}(?:\.\d{1,9})?) (?:ms|MB)"
)
_FIGURES = {
    "Duration": "duration_ms",
    "Billed Duration": "billed_duration_ms",
    "Memory Size": "memory_size_mb",
    "Max Memory Used": "max_memory_used_mb",
    "Init Duration": "init_duration_ms",
    "Restore Duration": "restore_duration_ms",
    "Billed Restore Duration": "billed_restore_duration_ms",
}
_STATUS = re.compile(r"\tStatus: (\w{1,32})")
_ERROR = re.compile(r"\tError Type: ([\w.$:-]{1,256})")
_METRICS = {
    "durationMs": "duration_ms",
    "billedDurationMs": "billed_duration_ms",
    "memorySizeMB": "memory_size_mb",
    "maxMemoryUsedMB": "max_memory_used_mb",
    "initDurationMs": "init_duration_ms",
    "restoreDurationMs": "restore_duration_ms",
    "billedRestoreDurationMs": "billed_restore_duration_ms",
}
_PLATFORM = {
    "platform.start": "START",
    "platform.runtimeDone": "END",
    "platform.report": "REPORT",
    "platform.initRuntimeDone": "INIT_END",
    "platform.initReport": "INIT_REPORT",
    "platform.restoreRuntimeDone": "RESTORE_END",
    "platform.restoreReport": "RESTORE_REPORT",
}
_OF_INVOCATIONS = frozenset({"START", "END", "REPORT"})
_OUTCOMES = {"success": "success", "error": "failure", "failure": "failure", "timeout": "failure"}
_LONGEST = 256


class LambdaLine(NamedTuple):
    """What one of Lambda's own lines says.

    Attributes:
        faas: ECS's `faas`.
        own: our `aws.lambda`, figures as numbers.
        outcome: of the invocation, as `event.outcome`; None if the line does not say it.
        error: the type of an error; None if there was none, or it is not known.
    """

    faas: dict[str, Any]
    own: dict[str, Any]
    outcome: str | None
    error: str | None


def lambda_line(text: str, fields: Mapping[str, Any] | None) -> LambdaLine | None:
    """Return what one of Lambda's own lines says; None for any other line.

    Args:
        fields: the line as a JSON object, where it is one.
    """
    if fields is not None:
        return _structured(fields)
    if late := _TIMED_OUT.fullmatch(text):
        return LambdaLine({"execution": late[1]}, {"request_id": late[1], "status": "timeout"}, "failure", None)
    found = _LINE.match(text)
    kind = found[1] if found else "INIT_REPORT" if _INIT.match(text) else ""
    if not kind:
        return None
    figures: dict[str, float] = {}
    status = error = None
    if kind.endswith("REPORT"):
        figures = {_FIGURES[name]: float(value) for name, value in _FIGURE.findall(text)}
        status, error = _STATUS.search(text), _ERROR.search(text)
    line = _line(kind, found[2] if found else None, found[3] if found else None, figures)
    return _ended(line, status[1] if status else None, error[1] if error else None)


def _structured(fields: Mapping[str, Any]) -> LambdaLine | None:
    record = fields.get("record")
    kind = fields.get("type")
    if not isinstance(kind, str) or kind not in _PLATFORM or not isinstance(record, Mapping):
        return None
    line = _PLATFORM[kind]
    request = _text(record.get("requestId"))
    if request is None and line in _OF_INVOCATIONS:
        return None
    metrics = record.get("metrics")
    found = metrics if isinstance(metrics, Mapping) else {}
    figures = {
        to: float(found[name])
        for name, to in _METRICS.items()
        if isinstance(found.get(name), int | float) and abs(found[name]) < 1e15
    }
    version, status, error = (_text(record.get(name)) for name in ("version", "status", "errorType"))
    return _ended(_line(line, request, version, figures), status, error)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST else None


def _line(kind: str, request: str | None, version: str | None, figures: dict[str, float]) -> LambdaLine:
    faas: dict[str, Any] = {}
    own: dict[str, Any] = {"line": kind, **figures}
    if request:
        faas["execution"] = own["request_id"] = request
    if version:
        faas["version"] = version
    if kind == "REPORT":
        faas["coldstart"] = own["cold_start"] = "init_duration_ms" in figures
    return LambdaLine(faas, own, None, None)


def _ended(line: LambdaLine, status: str | None, error: str | None) -> LambdaLine:
    """Return the same line with how what it reports ended."""
    line.own.update({name: value for name, value in (("status", status), ("error_type", error)) if value})
    return line._replace(outcome=_OUTCOMES.get(status or ""), error=error)
