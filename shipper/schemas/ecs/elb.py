"""Load balancers' access logs as the ECS documents of Elastic's AWS integration.

Application, Network and Classic Load Balancers, and the connection logs of the first. Values that AWS writes as `-` or
`-1` are left out, but for those that the integration keeps.
"""

from __future__ import annotations

from typing import Any

from shipper.access_layouts import APPLICATION, CLASSIC, CONNECTION, elb_line
from shipper.exported_lines import parted
from shipper.model import LogEvent
from shipper.ports import Clock, GeoLookup, wall_clock
from shipper.schemas.ecs.log_event import Describe, Fields, LogEventEcs, add, add_end, iso_time, whole
from shipper.schemas.ecs.unparsed import mark_unparsed
from shipper.schemas.ecs.urls import url_fields
from shipper.schemas.ecs.user_agent import user_agent
from shipper.schemas.event_times import time_of

DATASET = "aws.elb_logs"

_ERROR_FROM = 400
_LONGEST = 8_191
_TEXTS = {
    "type": "type",
    "name": "elb",
    "listener": "listener",
    "ssl_cipher": "ssl_cipher",
    "ssl_protocol": "ssl_protocol",
    "ssl_named_group": "ssl_named_group",
    "chosen_cert.arn": "chosen_cert_arn",
    "chosen_cert.serial": "chosen_cert_serial",
    "incoming_tls_alert": "incoming_tls_alert",
    "redirect_url": "redirect_url",
    "error.reason": "error_reason",
    "classification": "classification",
    "classification_reason": "classification_reason",
    "conn_trace_id": "conn_trace_id",
    "alpn_fe_protocol": "alpn_fe_protocol",
    "alpn_be_protocol": "alpn_be_protocol",
    "leaf_client_cert_serial_number": "leaf_client_cert_serial_number",
    "transformed_host": "transformed_host",
    "transformed_uri": "transformed_uri",
    "request_transform_status": "request_transform_status",
}
_FIGURES = {
    "request_processing_time.sec": "request_processing_time",
    "backend_processing_time.sec": "target_processing_time",
    "response_processing_time.sec": "response_processing_time",
    "connection_time.ms": "connection_time",
    "tls_handshake_time.ms": "tls_handshake_time",
    "tls_handshake_latency": "tls_handshake_latency",
}
_LISTS = {
    "action_executed": ("actions_executed", ","),
    "target_port": ("target_port_list", " "),
    "target_status_code": ("target_status_code_list", " "),
}
_ABSENT = frozenset({"", "-"})


def elb_ecs(namespace: str, geo: GeoLookup | None, *, clock: Clock = wall_clock) -> LogEventEcs:
    """The schema of load balancers' logs.

    Args:
        geo: None to leave out geography and network owner.
        clock: the time of lines that have none.
    """
    return LogEventEcs(DATASET, namespace, _described(geo), exported=False, formed=True, clock=clock)


def _described(geo: GeoLookup | None) -> Describe:
    def describe(document: Fields, text: str, _: LogEvent | None) -> int | None:
        fitting = elb_line(text)
        if fitting is None:
            document["message"] = text
            mark_unparsed(document)
            return time_of(parted(text)[0])  # of an export from CloudWatch Logs, if it is one
        layout = fitting[0]
        written = dict(zip(*fitting, strict=False))
        said = {name: value for name, value in written.items() if value not in _ABSENT}
        http = layout is APPLICATION or (layout is CLASSIC and "elb_status_code" in said)
        own = _own(said) | {"protocol": "http" if http else "tcp"}
        if layout is APPLICATION:  # the integration keeps its dashes
            own["target_group.arn"], own["trace_id"] = written.get("target_group_arn"), written["trace_id"][:_LONGEST]
            add(document, {"trace.id": own["trace_id"]})
        if layout is CONNECTION:
            own |= _certificate(written)
        add(document, {f"aws.elb.{name}": value for name, value in own.items()})
        _add_ends(document, said, "client" if layout is CONNECTION else "source", geo)
        _add_http(document, written, said) if http else _add_bytes(document, said)
        _add_tls(document, said)
        return _add_times(document, said)

    return describe


def _own(said: dict[str, str]) -> dict[str, Any]:
    own: dict[str, Any] = {name: said[theirs][:_LONGEST] for name, theirs in _TEXTS.items() if theirs in said}
    own |= {name: _figure(said.get(theirs, "")) for name, theirs in _FIGURES.items()}
    own |= {name: said[theirs][:_LONGEST].split(mark) for name, (theirs, mark) in _LISTS.items() if theirs in said}
    if (priority := said.get("matched_rule_priority")) != "-1":
        own["matched_rule_priority"] = priority
    if (wanted := said.get("alpn_client_preference_list")) is not None:
        own["alpn_client_preference_list"] = wanted.removeprefix("\\").strip('"').removesuffix("\\")
    own["tls_connection_creation_time"] = _stamp(said.get("tls_connection_creation_time", ""))
    own["backend.http.response.status_code"] = whole(said.get("target_status_code", ""))
    own["backend.ip"], own["backend.port"] = _end(said.get("target", ""))
    return own


def _certificate(written: dict[str, str]) -> dict[str, Any]:
    """A client's certificate, of a connection log; the integration keeps a subject's dash."""
    status, _, code = written.get("tls_verify_status", "-").partition(":")
    times = dict(part.partition("=")[::2] for part in written.get("leaf_client_cert_validity", "").split(";"))
    return {
        "leaf_client_cert_subject": written["leaf_client_cert_subject"][:_LONGEST],
        "leaf_client_cert_not_before": _stamp(times.get("NotBefore", "")),
        "leaf_client_cert_not_after": _stamp(times.get("NotAfter", "")),
        "tls_verify_status": None if status in _ABSENT else status,
        "tls_error_code": code or None,
    }


def _add_ends(document: Fields, said: dict[str, str], side: str, geo: GeoLookup | None) -> None:
    address, port = (said.get("client"), said.get("client_port")) if side == "client" else _end(said.get("client", ""))
    if address:
        add(document, {f"{side}.port": whole(port or "")})
        add_end(document, side, address, geo)
    if domain := said.get("domain_name"):
        add(document, {"destination.domain": domain[:_LONGEST]})


def _add_http(document: Fields, written: dict[str, str], said: dict[str, str]) -> None:
    method, _, rest = written.get("request", "").partition(" ")
    url, _, version = rest.rpartition(" ")
    if not version.startswith("HTTP/") and version not in _ABSENT:
        url, version = rest, ""
    url = url.strip()
    status = whole(said.get("elb_status_code", ""))
    fields = {
        "http.request.method": None if method in _ABSENT else method,
        "http.request.body.bytes": whole(said.get("received_bytes", "")),
        "http.response.body.bytes": whole(said.get("sent_bytes", "")),
        "http.response.status_code": status,
        "http.version": version.removeprefix("HTTP/") if version.startswith("HTTP/") else None,
        "event.category": ["web"],
        "event.type": ["access"],
        "event.outcome": None if status is None else "failure" if status >= _ERROR_FROM else "success",
    }
    add(document, fields)
    if url not in _ABSENT:
        document["url"] = url_fields(url)
    if agent := written.get("user_agent"):
        document["user_agent"] = user_agent(agent)


def _add_bytes(document: Fields, said: dict[str, str]) -> None:
    fields = {
        "source.bytes": whole(said.get("received_bytes", "")),
        "destination.bytes": whole(said.get("sent_bytes", "")),
        "event.category": ["network"],
        "event.type": ["connection"],
    }
    add(document, fields)


def _add_tls(document: Fields, said: dict[str, str]) -> None:
    add(document, {"tls.cipher": said.get("ssl_cipher")})
    protocol, mark, version = said.get("ssl_protocol", "").partition("v")
    if mark and version and "v" not in version:
        dotted = version if "." in version or len(version) < 2 else f"{version[0]}.{version[1:]}"
        add(document, {"tls.version": dotted, "tls.version_protocol": protocol.lower()})


def _add_times(document: Fields, said: dict[str, str]) -> int | None:
    add(document, {"event.start": _stamp(said.get("request_creation_time", "")), "event.end": _stamp(said["time"])})
    return time_of(said["time"])


def _end(text: str) -> tuple[str | None, str | None]:
    """`ADDRESS:PORT`, also where the address has colons itself, within brackets or not."""
    address, _, port = text.rpartition(":")
    return (address.strip("[]") or None, port) if port.isdigit() else (None, None)


def _figure(text: str) -> float | None:
    """A time that passed; None for `-1`, which says that there was none."""
    try:
        value = float(text) if len(text) < 32 else -1.0
    except ValueError:
        return None
    return value if 0 <= value < 1e15 else None


def _stamp(text: str) -> str | None:
    time_ms = time_of(text) if text else None
    return iso_time(time_ms) if time_ms is not None and time_ms >= 0 else None
