"""S3's server access logs as the ECS documents of Elastic's AWS integration.

Source: "Amazon S3 server access log format" (Amazon S3 User Guide).
"""

from __future__ import annotations

import re
from typing import Any

from shipper.access_layouts import s3_line
from shipper.exported_lines import parted
from shipper.model import LogEvent
from shipper.ports import Clock, GeoLookup, wall_clock
from shipper.schemas.ecs.addresses import is_address
from shipper.schemas.ecs.log_event import Describe, Fields, LogEventEcs, add, add_end, whole
from shipper.schemas.ecs.unparsed import mark_unparsed
from shipper.schemas.ecs.urls import url_fields
from shipper.schemas.ecs.user_agent import user_agent
from shipper.schemas.event_times import COMMON_LOG_FORM, time_of

DATASET = "aws.s3access"

_NUMBERS = frozenset({"http_status", "bytes_sent", "object_size", "total_time", "turn_around_time"})
_ABSENT = frozenset({"", "-"})
_LONGEST = 8_191
_MOST_MILLISECONDS = 10**12
_REGION = re.compile(r"(?:^|\.)s3(?:[.-][a-z]+)??[.-](?:dualstack\.)?([a-z]{2,4}(?:-[a-z]+)+-\d{1,2})\.")


def s3access_ecs(namespace: str, geo: GeoLookup | None, *, clock: Clock = wall_clock) -> LogEventEcs:
    """The schema of S3's server access logs.

    Args:
        geo: None to leave out geography and network owner.
        clock: the time of lines that have none.
    """
    return LogEventEcs(DATASET, namespace, _described(geo), exported=False, formed=True, clock=clock)


def _described(geo: GeoLookup | None) -> Describe:
    def describe(document: Fields, text: str, _: LogEvent | None) -> int | None:
        fitting = s3_line(text)
        if fitting is None:
            document["message"] = text
            mark_unparsed(document)
            return time_of(parted(text)[0])  # of an export from CloudWatch Logs, if it is one
        written = zip(*fitting, strict=False)
        said = {name: value for name, value in written if value not in _ABSENT}
        time = said.pop("time", "")
        own: Fields = {name: whole(value) if name in _NUMBERS else value[:_LONGEST] for name, value in said.items()}
        if not is_address(said.get("remote_ip", "")):
            own.pop("remote_ip", None)
        document["aws"]["s3access"] = {name: value for name, value in own.items() if value is not None}
        _add_client(document, said, geo)
        _add_request(document, said)
        error, lasted = said.get("error_code"), own.get("total_time")
        fields = {
            "event.action": said.get("operation"),
            "event.category": ["web"],
            "event.code": error,
            "event.duration": None if lasted is None else min(lasted, _MOST_MILLISECONDS) * 1_000_000,
            "event.id": said.get("request_id"),
            "event.outcome": "failure" if error else "success",
            "event.type": ["access"],
            "http.response.body.bytes": own.get("bytes_sent"),
            "http.response.status_code": own.get("http_status"),
        }
        add(document, fields)
        return time_of(time, COMMON_LOG_FORM)

    return describe


def _add_client(document: Fields, said: dict[str, str], geo: GeoLookup | None) -> None:
    """Add who asked; the integration has the client's geography at the document's top too."""
    address, requester = said.get("remote_ip"), said.get("requester")
    users = [name for name in dict.fromkeys((said.get("bucket_owner"), requester)) if name]
    add(document, {"client.user.id": requester, "related.user": users or None})
    if address and "geo" in (place := add_end(document, "client", address, geo)):
        document["geo"] = place["geo"]


def _add_request(document: Fields, said: dict[str, str]) -> None:
    fields: dict[str, Any] = {
        "http.request.referrer": said.get("referrer", "")[:_LONGEST] or None,
        "tls.cipher": said.get("cipher_suite"),
    }
    method, _, rest = said.get("request_uri", "").partition(" ")
    url, _, version = rest.rpartition(" ")
    if url and version[:5].upper() == "HTTP/":
        fields |= {"http.request.method": method, "http.version": version[5:]}
        document["url"] = url_fields(url)
    protocol, mark, version = said.get("tls_version", "").lower().partition("v")
    if mark and version and "v" not in version:
        fields |= {"tls.version": version, "tls.version_protocol": protocol}
    if region := _REGION.search(said.get("host_header", "")):
        fields["cloud.region"] = region[1]
    add(document, fields)
    if agent := said.get("user_agent"):
        document["user_agent"] = user_agent(agent)
