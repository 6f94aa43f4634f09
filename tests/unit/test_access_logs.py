"""Access logs in S3: what their lines become, for both kinds of sinks, and how filters and objects take them."""

from __future__ import annotations

import gzip
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.access_layouts import elb_layout
from shipper.build import LOG_TYPES
from shipper.filters import read_filter, values_of
from shipper.model import Document, Origin, Payload, ReadLimits, Record, Rejected, S3Object
from shipper.ports import Lookups
from shipper.schemas.ecs.urls import url_fields
from shipper.sources.s3_allowed import Allowed
from tests.unit.test_log_event_types import flat, holds

KEY = "AWSLogs/111122223333/elasticloadbalancing/eu-west-1/2026/01/15/x.log.gz"
ORIGIN = Origin(f"s3://logs/{KEY}", "logs", KEY, "111122223333", "eu-west-1")
GEO = {"geo": {"country_name": "Utopia"}, "as": {"number": 64500}}
APPLICATION = (
    "https 2026-01-15T10:00:01.123987Z app/shop/0123456789abcdef 203.0.113.7:40001 10.0.0.7:8443 0.001 0.250 0.000 502 "
    '502 1034 57 "POST https://shop.example:443/a%20b/pay.php?id=7#top HTTP/2.0" "Agent \\x22x\\x22 "quoted"one" '
    "ECDHE-RSA-AES128-GCM-SHA256 TLSv1.3 arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/web/0a "
    '"Root=1-0-a" "shop.example" "arn:aws:acm:eu-west-1:111122223333:certificate/c" 5 2026-01-15T10:00:00.870000Z '
    '"waf,forward" "-" "-" "10.0.0.7:8443 10.0.0.8:8443" "502 200" "Ambiguous" "DuplicateContentLength" TID_1'
)
UNANSWERED = (
    "http 2026-01-15T10:00:02.5Z app/shop/0123456789abcdef 2001:db8::7:40002 - -1 -1 -1 - - 0 0 "
    '"- http://shop.example:80- -" "-" - - - "-" "-" "-" - 2026-01-15T10:00:02.000000Z "-" "-" "-" "-" "-" "-" "-"'
)
NETWORK = (
    "tls 2.0 2026-01-15T10:00:03 net/front/0123456789abcdef 0123456789abcdef 203.0.113.7:40003 10.0.0.7:443 5 2 98 246 "
    "- arn:aws:acm:eu-west-1:111122223333:certificate/c - ECDHE-RSA-AES128-SHA tlsv12 - front.example h2 - "
    '"h2","http/1.1" 2026-01-15T10:00:01'
)
CLASSIC = (
    "2026-01-15T10:00:04.000073Z old 203.0.113.7:40004 10.0.0.7:80 0.000073 0.001048 0.000057 200 200 0 29 "
    '"GET http://old.example:80/ HTTP/1.1" "curl/8.5.0" - -'
)
CLASSIC_TCP = (
    "2026-01-15T10:00:05.000073Z old 203.0.113.7:40005 10.0.0.7:80 0.001 0.000028 0.000041 - - 82 305 "
    '"- - - " "-" ECDHE-ECDSA-AES128-GCM-SHA256 TLSv1.2'
)
CONNECTION = (
    "2026-01-15T10:00:06.514108Z 203.0.113.7 40006 443 TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256 4.036 "
    '"CN=a.example,O=One, Two" NotBefore=2025-01-01T00:00:00Z;NotAfter=2027-01-01T00:00:00Z FEF2 '
    "Failed:ClientCertUntrusted TID_2"
)
LINES = (APPLICATION, UNANSWERED, NETWORK, CLASSIC, CLASSIC_TCP, CONNECTION)
OWNER = "0123456789abcdef" * 4
REFUSED = (
    f"{OWNER} lake [15/Jan/2026:11:00:07 +0100] 203.0.113.7 arn:aws:iam::111122223333:user/ann@a.example 7F8E9D "
    'REST.GET.OBJECT a%2520b/c.parquet "GET /a%20b/c.parquet?versionId=v1 HTTP/1.1" 403 AccessDenied 243 1000 1 - '
    '"https://a.example/" "aws-cli/2.15.0 Python/3.11.6" v1 aGVsbG8= SigV4 TLS_AES_128_GCM_SHA256 AuthHeader '
    "lake.s3.dualstack.eu-west-1.amazonaws.com TLSv1.3 arn:aws:s3:eu-west-1:111122223333:accesspoint/one Yes us-east-1"
)
EXPIRED = (
    f"{OWNER} lake [15/Jan/2026:10:00:08 +0000] - AmazonS3 7F8E9E S3.EXPIRE.OBJECT old.txt - - - - 20 - - - - - aGk= "
    "- - - - -"
)
S3_LINES = (REFUSED, EXPIRED)


def records(name: str, data: bytes) -> list[Record | Rejected]:
    return list(LOG_TYPES[name].format(ReadLimits(record_bytes=4096)).records(Payload(ORIGIN, iter([data]))))


def document(name: str, line: str, *, splunk: bool = False) -> Document:
    (record,) = records(name, line.encode())
    assert isinstance(record, Record)
    lookups = Lookups(geo=lambda _: GEO)
    log_type = LOG_TYPES[name]
    schema = log_type.splunk("i", "h", lookups) if splunk else log_type.ecs("default", lookups)
    made = schema.encoder(ORIGIN)(record)
    assert made is not None
    return made


def body(name: str, line: str) -> dict[str, Any]:
    made: dict[str, Any] = orjson.loads(document(name, line).body)
    assert made["event"]["original"] == line
    assert made["cloud"]["account"]["id"] == "111122223333"
    return made


def test_a_request_to_an_application_load_balancer_has_elastics_fields():
    """Times are cut to milliseconds, escapes of the path are read, and what a client sent may hold quotes."""
    holds(
        body("elb", APPLICATION),
        {
            "@timestamp": "2026-01-15T10:00:01.123Z",
            "aws.elb.action_executed": ["waf", "forward"],
            "aws.elb.backend.http.response.status_code": 502,
            "aws.elb.backend.ip": "10.0.0.7",
            "aws.elb.backend.port": "8443",
            "aws.elb.backend_processing_time.sec": 0.25,
            "aws.elb.chosen_cert.arn": "arn:aws:acm:eu-west-1:111122223333:certificate/c",
            "aws.elb.classification_reason": "DuplicateContentLength",
            "aws.elb.conn_trace_id": "TID_1",
            "aws.elb.error.reason": None,
            "aws.elb.matched_rule_priority": "5",
            "aws.elb.protocol": "http",
            "aws.elb.target_port": ["10.0.0.7:8443", "10.0.0.8:8443"],
            "aws.elb.target_status_code": ["502", "200"],
            "aws.elb.type": "https",
            "cloud.region": "eu-west-1",
            "destination.domain": "shop.example",
            "event.category": ["web"],
            "event.end": "2026-01-15T10:00:01.123Z",
            "event.outcome": "failure",
            "event.start": "2026-01-15T10:00:00.870Z",
            "http.request.body.bytes": 1034,
            "http.request.method": "POST",
            "http.response.body.bytes": 57,
            "http.response.status_code": 502,
            "http.version": "2.0",
            "related.ip": ["203.0.113.7"],
            "source.as.number": 64500,
            "source.geo.country_name": "Utopia",
            "source.ip": "203.0.113.7",
            "source.port": 40001,
            "tls.cipher": "ECDHE-RSA-AES128-GCM-SHA256",
            "tls.version": "1.3",
            "tls.version_protocol": "tls",
            "trace.id": "Root=1-0-a",
            "url.domain": "shop.example",
            "url.extension": "php",
            "url.fragment": "top",
            "url.path": "/a b/pay.php",
            "url.port": 443,
            "url.query": "id=7",
            "url.scheme": "https",
            "user_agent.original": 'Agent \\x22x\\x22 "quoted"one',
        },
    )


def test_a_request_that_reached_nothing_has_what_is_known_of_it():
    """Neither status nor target, an address that is no URL, a client of IPv6; dashes that Elastic keeps."""
    made = body("elb", UNANSWERED)
    expected = {"source.ip": "2001:db8::7", "source.port": 40002, "aws.elb.protocol": "http", "trace.id": "-"}
    holds(made, expected | {"aws.elb.target_group.arn": "-", "user_agent.original": "-"})
    assert made["url"] == {"original": "http://shop.example:80-"}
    assert "outcome" not in made["event"]
    assert not {"backend", "request_processing_time", "matched_rule_priority", "classification"} & set(
        made["aws"]["elb"]
    )


def test_connections_to_load_balancers_are_network_events():
    """Of a Network and a Classic Load Balancer, and the handshakes that an Application Load Balancer logs."""
    shared = {"event.category": ["network"], "aws.elb.protocol": "tcp", "tls.version_protocol": "tls", "http": None}
    holds(
        body("elb", NETWORK),
        shared
        | {
            "@timestamp": "2026-01-15T10:00:03.000Z",
            "aws.elb.alpn_client_preference_list": 'h2","http/1.1',
            "aws.elb.alpn_fe_protocol": "h2",
            "aws.elb.connection_time.ms": 5.0,
            "aws.elb.listener": "0123456789abcdef",
            "aws.elb.tls_connection_creation_time": "2026-01-15T10:00:01.000Z",
            "destination.bytes": 246,
            "destination.domain": "front.example",
            "source.bytes": 98,
            "tls.version": "1.2",
        },
    )
    holds(body("elb", CLASSIC_TCP), shared | {"source.bytes": 82, "destination.bytes": 305, "tls.version": "1.2"})
    holds(
        body("elb", CONNECTION),
        shared
        | {
            "aws.elb.leaf_client_cert_not_after": "2027-01-01T00:00:00.000Z",
            "aws.elb.leaf_client_cert_subject": "CN=a.example,O=One, Two",
            "aws.elb.tls_error_code": "ClientCertUntrusted",
            "aws.elb.tls_handshake_latency": 4.036,
            "aws.elb.tls_verify_status": "Failed",
            "client.geo.country_name": "Utopia",
            "client.ip": "203.0.113.7",
            "client.port": 40006,
        },
    )


def test_a_classic_load_balancers_request_has_no_type():
    """The form is told by its fields."""
    holds(body("elb", CLASSIC), {"aws.elb.type": None, "http.response.status_code": 200, "url.path": "/"})


def test_a_refused_request_to_s3_has_elastics_fields():
    """With the client's geography twice, as the integration has it, and the region that the host says."""
    holds(
        body("s3access", REFUSED),
        {
            "@timestamp": "2026-01-15T10:00:07.000Z",
            "aws.s3access.access_point_arn": "arn:aws:s3:eu-west-1:111122223333:accesspoint/one",
            "aws.s3access.aclrequired": "Yes",
            "aws.s3access.bucket_owner": OWNER,
            "aws.s3access.bytes_sent": 243,
            "aws.s3access.key": "a%2520b/c.parquet",
            "aws.s3access.object_size": 1000,
            "aws.s3access.referrer": "https://a.example/",
            "aws.s3access.request_uri": "GET /a%20b/c.parquet?versionId=v1 HTTP/1.1",
            "aws.s3access.source_region": "us-east-1",
            "aws.s3access.time": None,
            "aws.s3access.version_id": "v1",
            "client.as.number": 64500,
            "client.geo.country_name": "Utopia",
            "client.ip": "203.0.113.7",
            "client.user.id": "arn:aws:iam::111122223333:user/ann@a.example",
            "cloud.region": "eu-west-1",
            "event.action": "REST.GET.OBJECT",
            "event.code": "AccessDenied",
            "event.duration": 1_000_000,
            "event.id": "7F8E9D",
            "event.outcome": "failure",
            "geo.country_name": "Utopia",
            "http.request.method": "GET",
            "http.request.referrer": "https://a.example/",
            "http.response.body.bytes": 243,
            "http.response.status_code": 403,
            "http.version": "1.1",
            "related.ip": ["203.0.113.7"],
            "tls.cipher": "TLS_AES_128_GCM_SHA256",
            "tls.version": "1.3",
            "url.extension": "parquet",
            "url.original": "/a%20b/c.parquet?versionId=v1",
            "url.path": "/a b/c.parquet",
            "url.query": "versionId=v1",
            "user_agent.name": "aws-cli",
        },
    )


def test_what_s3_does_itself_has_no_request():
    """Such as an expiration: no address, no status, no program."""
    made = body("s3access", EXPIRED)
    holds(made, {"client.user.id": "AmazonS3", "aws.s3access.object_size": 20, "event.outcome": "success"})
    assert not {"http", "url", "user_agent", "tls", "geo"} & set(made)
    assert (made["client"], made["related"]) == ({"user": {"id": "AmazonS3"}}, {"user": [OWNER, "AmazonS3"]})


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("lake.s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ("s3-us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("one-111122223333.s3-accesspoint.ap-southeast-2.amazonaws.com", "ap-southeast-2"),
        ("lake.s3.amazonaws.com", None),
        ("files.example", None),
    ],
)
def test_a_hosts_name_tells_the_region(host, region):
    """Where it does; else what the object's key says is left to stand."""
    found = body("s3access", REFUSED.replace("lake.s3.dualstack.eu-west-1.amazonaws.com", host))
    assert found["cloud"]["region"] == (region or ORIGIN.region)


def test_an_address_that_is_none_is_kept_as_text():
    """A field for addresses takes nothing else."""
    made = body("s3access", REFUSED.replace("203.0.113.7", "unknown"))
    assert (made["client"]["address"], "ip" in made["client"], "geo" in made) == ("unknown", False, False)
    assert "remote_ip" not in made["aws"]["s3access"]


@pytest.mark.parametrize("name", ["elb", "s3access"])
@pytest.mark.parametrize("line", ["Enable AccessLog for ELB: old at 2026-01-15T10:00:00Z", '"', "[", "http 2026 x"])
def test_a_line_of_another_form_is_shipped_as_it_is(name, line):
    """With its text as the message."""
    assert body(name, line)["message"] == line


SOURCETYPES = {"elb": "aws:elb:accesslogs", "s3access": "aws:s3:accesslogs"}


@pytest.mark.parametrize(("name", "line"), [*(("elb", line) for line in LINES), *(("s3access", x) for x in S3_LINES)])
def test_splunk_gets_the_line_with_its_own_time_under_the_same_id(name, line):
    """As the Splunk Add-on for AWS names it."""
    made = document(name, line, splunk=True)
    envelope = orjson.loads(made.body)
    assert (envelope["event"], envelope["sourcetype"]) == (line, SOURCETYPES[name])
    ecs = document(name, line)
    assert (made.time_ms, made.id) == (ecs.time_ms, ecs.id)
    assert envelope["time"] == ecs.time_ms / 1000


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("elb_status_code >= 500", [APPLICATION]),
        ('drop client startswith "203.0.113.7:"', [UNANSWERED, CONNECTION]),
        ('user_agent contains "quoted" or leaf_client_cert_subject contains "One, Two"', [APPLICATION, CONNECTION]),
        ("ssl_protocol == null", [UNANSWERED, CLASSIC]),
    ],
)
def test_filters_know_the_fields_of_quoted_lines(rule, kept):
    """By their names, whatever spaces are within the quotes."""
    keeps = read_filter(rule).on_records()
    found = [each for each in records("elb", "\n".join(LINES).encode()) if isinstance(each, Record)]
    assert [each.raw.decode() for each in found if keeps(each)] == kept
    assert values_of(found[0], ["request", "trace_id"])["trace_id"] == "Root=1-0-a"


def test_objects_may_be_compressed_and_have_blank_and_overlong_lines():
    """Positions are line numbers; a line that is too long is rejected, the others go on."""
    data = f"\n\r\n{CLASSIC}\r\n" + "x" * 5000 + f"\n{NETWORK}"
    first, second, third = records("elb", gzip.compress(data.encode()))
    assert (first, first.position) == (Record(CLASSIC.encode(), 3, elb_layout(CLASSIC)), 3)
    assert isinstance(second, Rejected)
    assert (third.raw.decode(), third.position) == (NETWORK, 5)


def test_a_filter_knows_the_fields_of_s3s_lines():
    """By the integration's names."""
    keeps = read_filter(
        'operation startswith "REST." and http_status == 403 and request_uri contains " HTTP/"'
    ).on_records()
    kept = [keeps(each) for each in records("s3access", "\n".join(S3_LINES).encode()) if isinstance(each, Record)]
    assert kept == [True, False]


@given(
    st.sampled_from(["elb", "s3access"]),
    st.text(max_size=400)
    | st.lists(st.sampled_from([*APPLICATION.split(" "), *REFUSED.split(" "), '"', "[", "-"]), max_size=60),
    st.integers(0, 300),
)
def test_any_line_makes_a_document(name, given_line, cut):
    """Whatever stands in it, and wherever it is cut off."""
    line = given_line if isinstance(given_line, str) else " ".join(given_line)
    line = {"elb": APPLICATION, "s3access": REFUSED}[name][:cut] + line
    encode = LOG_TYPES[name].ecs("default", Lookups()).encoder(ORIGIN)
    made = encode(Record(line.encode("utf-8", "replace"), 1))
    assert made is not None
    assert orjson.loads(made.body)["event"]["original"] == line.encode("utf-8", "replace").decode()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("/a/b.tar.gz?x=%2F#f", {"path": "/a/b.tar.gz", "query": "x=/", "fragment": "f", "extension": "gz"}),
        ("/a b%2F", {"path": "/a b%2F"}),
        ("https://user:secret@[2001:db8::1]:8443", {"scheme": "https", "domain": "[2001:db8::1]", "port": 8443}),
        ("http://h:99999/", {"scheme": "http", "domain": "h", "path": "/"}),
        ("http://h:8x/", {}),
        ("//h", {"domain": "h"}),
        ("", {}),
    ],
)
def test_urls_are_taken_apart_as_elasticsearch_does(text, parts):
    """Escapes are read where the whole is clean; what is no URL has its text alone."""
    assert flat(url_fields(text)) == {"original": text, **parts}


@pytest.mark.parametrize(
    ("key", "logs"),
    [
        (KEY, "elb"),
        ("AWSLogs/111122223333/WAFLogs/eu-west-1/acl/2026/01/15/10/00/1_waflogs_x_20260115T1000Z_a.log.gz", "waf"),
        ("2026-01-15-10-00-00-0123456789ABCDEF", None),
    ],
)
def test_a_queues_keys_tell_the_type_where_they_have_a_layout(key, logs):
    """S3's own access logs have names of the operator's choice, which tell none: their source says it."""
    item = S3Object("logs", key, size=1, last_modified=0.0, etag="e")
    assert Allowed((("logs", ""),), None, frozenset(LOG_TYPES)).logs_of(item)[0] == logs
    assert Allowed((("logs", ""),), "s3access", frozenset(LOG_TYPES)).logs_of(item)[0] == (None if logs else "s3access")
