"""Which fields the lines of access logs have, told by the lines themselves.

Sources: "Access log entries" and "Connection log entries" (Application Load Balancers), "Access log files" (Network
Load Balancers), "Access log entries" (Classic Load Balancers) in the guides of Elastic Load Balancing: their fields
have the names that Athena's documentation gives them. "Amazon S3 server access log format" (Amazon S3 User Guide): the
fields have the names that Elastic's integration gives them.
"""

from __future__ import annotations

import re

from shipper.quoted_lines import QuotedLayout

_START = ("time", "elb", "client", "target", "request_processing_time", "target_processing_time")
_HTTP = (
    *(*_START, "response_processing_time", "elb_status_code", "target_status_code", "received_bytes", "sent_bytes"),
    *("request", "user_agent", "ssl_cipher", "ssl_protocol"),
)
CLASSIC = QuotedLayout(_HTTP)
APPLICATION = QuotedLayout(
    (
        *("type", *_HTTP, "target_group_arn", "trace_id", "domain_name", "chosen_cert_arn", "matched_rule_priority"),
        *("request_creation_time", "actions_executed", "redirect_url", "error_reason", "target_port_list"),
        *("target_status_code_list", "classification", "classification_reason", "conn_trace_id", "transformed_host"),
        *("transformed_uri", "request_transform_status"),
    )
)
NETWORK = QuotedLayout(
    (
        *("type", "version", "time", "elb", "listener", "client", "target", "connection_time", "tls_handshake_time"),
        *("received_bytes", "sent_bytes", "incoming_tls_alert", "chosen_cert_arn", "chosen_cert_serial"),
        *("ssl_cipher", "ssl_protocol", "ssl_named_group", "domain_name", "alpn_fe_protocol", "alpn_be_protocol"),
        *("alpn_client_preference_list", "tls_connection_creation_time"),
    )
)
CONNECTION = QuotedLayout(
    (
        *("time", "client", "client_port", "listener", "ssl_protocol", "ssl_cipher", "tls_handshake_latency"),
        *("leaf_client_cert_subject", "leaf_client_cert_validity", "leaf_client_cert_serial_number"),
        *("tls_verify_status", "conn_trace_id"),
    )
)

_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z? "
_FORMS = (
    (APPLICATION, re.compile(r"\w{1,16} " + _TIME + r"\S+ \S+ \S+ -?[\d.]+ -?[\d.]+ -?[\d.]+ ")),
    (NETWORK, re.compile(r"\w{1,16} \d\.\d " + _TIME + r"(?:\S+ ){11}")),
    (CLASSIC, re.compile(_TIME + r"\S+ \S+:\d+ \S+ -?[\d.]+ -?[\d.]+ -?[\d.]+ ")),
    (CONNECTION, re.compile(_TIME + r"[0-9A-Fa-f.:]+ \d+ \d+ \S+ \S+ (?:-|[\d.]+) ")),
)


def elb_layout(line: str) -> QuotedLayout | None:
    """The layout of a load balancer's line; None where it has none of the forms."""
    return next((layout for layout, form in _FORMS if form.match(line)), None)


S3 = QuotedLayout(
    (
        *("bucket_owner", "bucket", "time", "remote_ip", "requester", "request_id", "operation", "key", "request_uri"),
        *("http_status", "error_code", "bytes_sent", "object_size", "total_time", "turn_around_time", "referrer"),
        *("user_agent", "version_id", "host_id", "signature_version", "cipher_suite", "authentication_type"),
        *("host_header", "tls_version", "access_point_arn", "aclrequired", "source_region"),
    )
)
_S3_FORM = re.compile(r"(?:[0-9a-f]{8,128}|-) \S+ \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] (?:\S+ ){4}")


def s3_layout(line: str) -> QuotedLayout | None:
    """The layout of a line of S3's server access logs; None where it is none."""
    return S3 if _S3_FORM.match(line) else None
