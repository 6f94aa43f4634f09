"""Which fields the lines of access logs have, by the lines' own form.

A line has a layout if it can be taken apart in one way only: what AWS writes (times, addresses, status codes, request
ids, ciphers) has its shape, and what a caller writes cannot stand in its place. Any other line has no layout: it is
shipped as it is.

Sources: "Access log entries" and "Connection log entries" (Application Load Balancers), "Access log files" (Network
Load Balancers), "Access log entries" (Classic Load Balancers) in the guides of Elastic Load Balancing: their fields
have the names that Athena's documentation gives them. "Amazon S3 server access log format" (Amazon S3 User Guide): the
fields have the names that Elastic's integration gives them.
"""

from __future__ import annotations

from shipper.exported_lines import parted
from shipper.quoted_lines import Bracketed, Field, Quoted, QuotedLayout, Spaced

_WORD = r'[^ "]+'
_CODED = r'[^ "][^ ]*'
"""A word that a caller has a part in: it holds no space, for it is URL-encoded or the name of a host."""
_ANY = r"[^ ]*"
_NAMED = r"[A-Za-z0-9_.:,-]*"
_ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z?"
_COMMON = r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}"
_END = r"[0-9A-Fa-f.:\[\]]{2,64}:\d{1,5}|-"
_SECONDS = r"-?\d{1,12}(?:\.\d{1,9})?|-"
_STATUS = r"\d{3}|-"
_NUMBER = r"\d{1,18}|-"
_CIPHER = r"[A-Za-z0-9_-]{1,64}"
_PROTOCOL = r"[A-Za-z0-9._-]{1,32}"
_ARN = r'arn:[^ "]{1,2048}|-'

_START = (
    *(Field("time", _ISO), Field("elb", _WORD), Field("client", _END), Field("target", _END)),
    *(Field(f"{part}_processing_time", _SECONDS) for part in ("request", "target", "response")),
    *(Field("elb_status_code", _STATUS), Field("target_status_code", r"\d{1,3}|-")),
    *(Field("received_bytes", _NUMBER), Field("sent_bytes", _NUMBER)),
)
_HTTP = (
    *_START,
    Quoted("request", end=r"(?:HTTP/\d(?:\.\d)?|-)?"),
    Quoted("user_agent"),
    Field("ssl_cipher", _CIPHER),
    Field("ssl_protocol", _PROTOCOL),
)
CLASSIC = QuotedLayout(_HTTP, "request", "ssl_protocol")
APPLICATION = QuotedLayout(
    (
        *(Field("type", r"[a-z][a-z0-9]{0,15}"), *_HTTP, Field("target_group_arn", _ARN)),
        *(Quoted("trace_id"), Quoted("domain_name"), Quoted("chosen_cert_arn", rf"{_ARN}|[A-Za-z-]{{1,64}}")),
        *(Field("matched_rule_priority", r"-?\d{1,9}|-"), Field("request_creation_time", rf"{_ISO}|-")),
        *(Quoted("actions_executed", _NAMED), Quoted("redirect_url", _ANY), Quoted("error_reason", _NAMED)),
        *(Quoted("target_port_list", r"[0-9A-Fa-f.:\[\] -]*"), Quoted("target_status_code_list", r"[\d -]*")),
        *(Quoted("classification", _NAMED), Quoted("classification_reason", _NAMED)),
        Quoted("conn_trace_id", _NAMED, bare=r"[A-Za-z0-9_-]{1,128}"),
        *(Quoted("transformed_host", _ANY), Quoted("transformed_uri", _ANY)),
        Quoted("request_transform_status", _NAMED),
    ),
    "trace_id",
    "request_creation_time",
)
NETWORK = QuotedLayout(
    (
        *(Field("type", r"[a-z][a-z0-9]{0,15}"), Field("version", r"\d\.\d"), Field("time", _ISO)),
        *(Field("elb", _WORD), Field("listener", _WORD), Field("client", _END), Field("target", _END)),
        *(Field("connection_time", _SECONDS), Field("tls_handshake_time", _SECONDS)),
        *(Field("received_bytes", _NUMBER), Field("sent_bytes", _NUMBER)),
        *(Field("incoming_tls_alert", r"[A-Za-z0-9_-]{1,32}"), Field("chosen_cert_arn", _ARN)),
        *(Field("chosen_cert_serial", r"[A-Za-z0-9:-]{1,128}"), Field("ssl_cipher", _CIPHER)),
        *(Field("ssl_protocol", _PROTOCOL), Field("ssl_named_group", r"[A-Za-z0-9_-]{1,32}")),
        *(Field("domain_name", _CODED), Field("alpn_fe_protocol", _CODED), Field("alpn_be_protocol", _CODED)),
        Quoted("alpn_client_preference_list", _ANY, bare=_CODED),
        Field("tls_connection_creation_time", rf"{_ISO}|-"),
    ),
    "ssl_protocol",
    "ssl_protocol",
)
CONNECTION = QuotedLayout(
    (
        *(Field("time", _ISO), Field("client", r"[0-9A-Fa-f.:]{2,64}"), Field("client_port", r"\d{1,5}")),
        *(Field("listener", r"\d{1,5}"), Field("ssl_protocol", _PROTOCOL), Field("ssl_cipher", _CIPHER)),
        *(Field("tls_handshake_latency", r"\d{1,12}(?:\.\d{1,9})?|-"), Quoted("leaf_client_cert_subject", bare="-")),
        Field("leaf_client_cert_validity", r"NotBefore=[0-9TZ:.+-]{1,40};NotAfter=[0-9TZ:.+-]{1,40}|-"),
        Field("leaf_client_cert_serial_number", r"[0-9A-Fa-f:]{1,128}|-"),
        *(Field("tls_verify_status", r"[A-Za-z]{1,32}(?::[A-Za-z0-9]{1,64})?|-"), Field("conn_trace_id", _WORD)),
    ),
    "tls_verify_status",
    "tls_verify_status",
)
S3 = QuotedLayout(
    (
        *(Field("bucket_owner", r"[0-9a-f]{8,128}|-"), Field("bucket", _WORD), Bracketed("time", _COMMON)),
        *(Field("remote_ip", _WORD), Spaced("requester", _WORD), Field("request_id", r"[0-9A-Za-z]{4,64}|-")),
        Field("operation", r"[A-Z][A-Z0-9]{1,15}(?:\.[A-Za-z0-9_-]{1,64}){1,3}"),
        *(Field("key", _CODED), Quoted("request_uri", bare="-"), Field("http_status", _STATUS)),
        *(Field("error_code", r"[A-Za-z][A-Za-z0-9._-]{0,127}|-"), Field("bytes_sent", _NUMBER)),
        *(Field("object_size", _NUMBER), Field("total_time", _NUMBER), Field("turn_around_time", _NUMBER)),
        *(Quoted("referrer", bare="-"), Quoted("user_agent", bare="-"), Field("version_id", _CODED)),
        *(Field("host_id", r"[A-Za-z0-9+/=_-]{1,128}"), Field("signature_version", r"SigV[0-9A-Za-z]{1,8}|-")),
        *(Field("cipher_suite", _CIPHER), Field("authentication_type", r"[A-Za-z]{1,32}|-")),
        *(Field("host_header", _CODED), Field("tls_version", r"(?:TLS|SSL|tls|ssl)[vV]?[\d.]{1,5}|-")),
        *(Field("access_point_arn", _ARN), Field("aclrequired", r"[A-Za-z]{1,16}|-")),
        Field("source_region", r"[a-z0-9-]{1,32}"),
    ),
    "user_agent",
    "host_header",
)
_ELB = (APPLICATION, NETWORK, CLASSIC, CONNECTION)


def elb_line(line: str) -> tuple[QuotedLayout, list[str]] | None:
    """Return the layout and the fields of a load balancer's line; None if it does not fit."""
    return _first(_ELB, line)


def s3_line(line: str) -> tuple[QuotedLayout, list[str]] | None:
    """Return the layout and the fields of a line of S3's server access logs; None if it does not fit."""
    return _first((S3,), line)


def elb_layout(line: str) -> QuotedLayout | None:
    """Return the layout of a load balancer's line; None if it does not fit."""
    found = elb_line(line)
    return None if found is None else found[0]


def s3_layout(line: str) -> QuotedLayout | None:
    """Return the layout of a line of S3's server access logs; None if it does not fit."""
    found = s3_line(line)
    return None if found is None else found[0]


def _first(layouts: tuple[QuotedLayout, ...], line: str) -> tuple[QuotedLayout, list[str]] | None:
    for layout in layouts:
        fields = layout.apart(line)
        if fields is not None:
            return layout, fields
    time, rest = parted(line)
    return _first(layouts, rest) if time else None
