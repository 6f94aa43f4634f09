"""Lambda's own lines: START, END and REPORT, as text or as the JSON of its structured logs.

Source: "Sending Lambda function logs to CloudWatch Logs" and "Lambda Telemetry API event schema" (AWS Lambda Developer
Guide).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_LINE = re.compile(r"(START|END|REPORT) RequestId: ([0-9a-f-]{36})\b(?: Version: (\S+))?")
_FIGURE = re.compile(
    r"\t(Duration|Billed Duration|Memory Size|Max Memory Used|Init Duration|Restore Duration)"
    r": (\d{1,15}(?:\.\d{1,9})?) (?:ms|MB)"
)
_FIGURES = {
    "Duration": "duration_ms",
    "Billed Duration": "billed_duration_ms",
    "Memory Size": "memory_size_mb",
    "Max Memory Used": "max_memory_used_mb",
    "Init Duration": "init_duration_ms",
    "Restore Duration": "restore_duration_ms",
}
_METRICS = {
    "durationMs": "duration_ms",
    "billedDurationMs": "billed_duration_ms",
    "memorySizeMB": "memory_size_mb",
    "maxMemoryUsedMB": "max_memory_used_mb",
    "initDurationMs": "init_duration_ms",
    "restoreDurationMs": "restore_duration_ms",
}
_PLATFORM = {"platform.start": "START", "platform.runtimeDone": "END", "platform.report": "REPORT"}


def lambda_fields(text: str, fields: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """ECS's `faas` and our `aws.lambda` of one of Lambda's own lines, figures as numbers; None for any other line.

    Args:
        fields: the line as a JSON object, where it is one.
    """
    if fields is not None:
        return _structured(fields)
    found = _LINE.match(text)
    if found is None:
        return None
    figures = {_FIGURES[name]: float(value) for name, value in _FIGURE.findall(text)} if found[1] == "REPORT" else {}
    return _parts(found[1], found[2], found[3], figures)


def _structured(fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    record = fields.get("record")
    kind = fields.get("type")
    if not isinstance(kind, str) or kind not in _PLATFORM or not isinstance(record, Mapping):
        return None
    request, version, metrics = record.get("requestId"), record.get("version"), record.get("metrics")
    if not isinstance(request, str):
        return None
    found = metrics if isinstance(metrics, Mapping) else {}
    figures = {
        to: float(found[name])
        for name, to in _METRICS.items()
        if isinstance(found.get(name), int | float) and abs(found[name]) < 1e15
    }
    return _parts(_PLATFORM[kind], request, version if isinstance(version, str) else None, figures)


def _parts(
    kind: str, request: str, version: str | None, figures: dict[str, float]
) -> tuple[dict[str, Any], dict[str, Any]]:
    faas: dict[str, Any] = {"execution": request}
    own: dict[str, Any] = {"line": kind, "request_id": request, **figures}
    if version:
        faas["version"] = version
    if kind == "REPORT":
        faas["coldstart"] = own["cold_start"] = "init_duration_ms" in figures
    return faas, own
