"""API Gateway's access logs as the ECS documents of Elastic's AWS integration, and its execution logs.

Which variables a line has, and under which names, is the operator's choice; the names that AWS's documentation uses are
known here: "Variables for access logging for API Gateway" and "Customize HTTP API access logs" (API Gateway Developer
Guide). A JSON line is whole in the flattened `aws.cloudwatch.fields` too.
"""

from __future__ import annotations

import re

from shipper.model import LogEvent
from shipper.ports import Clock, GeoLookup, wall_clock
from shipper.schemas.ecs.addresses import is_address
from shipper.schemas.ecs.log_event import (
    Describe,
    Fields,
    LogEventEcs,
    add,
    add_end,
    add_fields,
    iso_time,
    number_in,
    object_of,
    text_in,
)
from shipper.schemas.ecs.unparsed import mark_unparsed
from shipper.schemas.event_times import COMMON_LOG_FORM, time_of

DATASET = "aws.apigateway_logs"

_ERROR_FROM = 400
_TEXTS = {
    "request_id": ("requestId",),
    "http_method": ("httpMethod",),
    "protocol": ("protocol",),
    "route_key": ("routeKey",),
    "caller": ("caller",),
    "user": ("user",),
    "resource_path": ("resourcePath",),
    "connection_id": ("connectionId",),
    "event_type": ("eventType",),
    "api_id": ("apiId",),
    "domain_name": ("domainName",),
    "stage": ("stage",),
    "error_message": ("errorMessage", "error", "errMsg"),
    "error_type": ("errorResponseType", "errorType"),
    "authorizer_error": ("authorizerError",),
    "integration_error": ("integrationError", "integrationErrorMessage"),
}
_NUMBERS = {
    "response_length": ("responseLength",),
    "status": ("status",),
    "response_latency": ("responseLatency",),
    "integration_latency": ("integrationLatency",),
    "integration_status": ("integrationStatus",),
}
_CLF = re.compile(
    r"(?P<ip>\S{1,64}) (?P<caller>\S{1,512}) (?P<user>\S{1,512}) ?"
    r"\[(?P<requestTime>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] ?"
    r'"(?P<httpMethod>[A-Z]{1,16}) (?P<resourcePath>\S{1,4096}) (?P<protocol>[^"\s]{1,32})"'
    r" (?P<status>\d{1,3}|-) (?P<responseLength>\d{1,18}|-) (?P<requestId>\S{1,128})\s*"
)
_EXECUTION = re.compile(r"\((?P<id>[0-9a-f-]{36})\) (?P<message>.*)", re.DOTALL)


def apigateway_ecs(namespace: str, geo: GeoLookup | None, *, clock: Clock = wall_clock) -> LogEventEcs:
    """The schema of API Gateway's logs.

    Args:
        geo: None to leave out geography and network owner.
        clock: the time of lines that have none.
    """
    return LogEventEcs(DATASET, namespace, _described(geo), formed=True, clock=clock)


def _described(geo: GeoLookup | None) -> Describe:
    def describe(document: Fields, text: str, _: LogEvent | None) -> int | None:
        said = object_of(text)
        if said is not None:
            add_fields(document, said)
        elif clf := _CLF.fullmatch(text):
            said = clf.groupdict()
        else:
            _add_execution(document, text)
            return None
        return _add_access(document, said, geo)

    return describe


def _add_execution(document: Fields, text: str) -> None:
    found = _EXECUTION.fullmatch(text)
    document["message"] = found["message"] if found else text
    if found:
        document["aws"]["apigateway"] = {"request_id": found["id"]}
    else:
        mark_unparsed(document)


def _add_access(document: Fields, said: Fields, geo: GeoLookup | None) -> int | None:
    own: Fields = {name: text_in(said, *keys) for name, keys in _TEXTS.items()}
    own |= {name: number_in(said, *keys) for name, keys in _NUMBERS.items()}
    time_ms = time_of(text_in(said, "requestTime") or "", COMMON_LOG_FORM)
    if time_ms is not None and time_ms >= 0:
        own["request_time"] = iso_time(time_ms)
    address = text_in(said, "ip", "sourceIp")
    if address and is_address(address):
        own["ip_address"] = address
        add_end(document, "source", address, geo)
    document["aws"]["apigateway"] = {name: value for name, value in own.items() if value is not None}
    status, latency = own["status"], own["response_latency"]
    user = own["user"] if own["user"] != "-" else None
    protocol = own["protocol"] or ""
    fields = {
        "event.category": ["web"],
        "event.type": ["access"],
        "event.outcome": None if status is None else "failure" if status >= _ERROR_FROM else "success",
        "event.duration": None if latency is None else min(latency, 10**12) * 1_000_000,
        "http.request.id": own["request_id"],
        "http.request.method": own["http_method"],
        "http.response.status_code": status,
        "http.response.body.bytes": own["response_length"],
        "http.version": protocol.removeprefix("HTTP/") if protocol.startswith("HTTP/") else None,
        "url.domain": own["domain_name"],
        "url.path": text_in(said, "path") or own["resource_path"],
        "user.name": user,
        "related.user": [user] if user else None,
        "user_agent.original": text_in(said, "userAgent"),
        "error.message": own["error_message"] if own["error_message"] != "-" else None,
    }
    add(document, fields)
    return time_ms
