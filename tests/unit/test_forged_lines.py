"""What callers write into lines of logs: the line is read as it truly is, or not at all, whatever they imitate."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shipper.access_layouts import APPLICATION, CLASSIC, CONNECTION, NETWORK, S3, elb_line, s3_line
from shipper.build import LOG_TYPES
from shipper.filters import read_filter
from shipper.model import Record
from shipper.ports import Lookups
from shipper.quoted_lines import QuotedLayout
from shipper.schemas.ecs.rds_mysql import audit_record, error_record, slow_query
from shipper.schemas.ecs.rds_postgresql import postgresql_line
from tests.unit.test_access_logs import LINES, ORIGIN, OWNER, S3_LINES, body, document, records
from tests.unit.test_log_event_types import flat, holds

OAI = "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E2ABCDEFGH1234"
S3_TAIL = "- aGk= SigV4 TLS_AES_128_GCM_SHA256 AuthHeader shop.s3.eu-west-1.amazonaws.com TLSv1.3 - - eu-west-1"
FORGED_TAIL = f'" {S3_TAIL} "'
FORGED_STATUS = '" 403 AccessDenied 243 - 8 - "-" "curl'


def s3(
    uri: str = "GET /a HTTP/1.1", referrer: str = "-", agent: str = "curl/8", requester: str = "-", tail: str = S3_TAIL
) -> str:
    head = f"{OWNER} shop [29/Jul/2026:09:14:02 +0000] 203.0.113.7 {requester} 7Q3F0Z1X2C4V5B6N REST.GET.OBJECT a"
    return f'{head} "{uri}" 200 - 8642 8642 31 30 "{referrer}" "{agent}" {tail}'


def classic(url: str = "http://a.example:80/", agent: str = "curl/8") -> str:
    times = "0.000048 0.000504 0.000025"
    return (
        f"2026-01-15T10:00:04.000073Z old 203.0.113.7:40004 10.0.0.7:80 {times} 200 200 0 29 "
        f'"GET {url} HTTP/1.1" "{agent}" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2'
    )


def application(
    url: str = "https://a.example:443/", agent: str = "curl/8", trace: str = "Root=1-0", domain: str = "a.example"
) -> str:
    return (
        "https 2026-01-15T10:00:01.123987Z app/shop/0123456789abcdef 203.0.113.7:40001 10.0.0.7:8443 0.001 0.250 0.000 "
        f'200 200 1034 57 "GET {url} HTTP/2.0" "{agent}" TLS_AES_128_GCM_SHA256 TLSv1.3 '
        f'arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/web/0a "{trace}" "{domain}" '
        '"arn:aws:acm:eu-west-1:111122223333:certificate/c" 5 2026-01-15T10:00:00.870000Z "waf,forward" "-" "-" '
        '"10.0.0.7:8443" "200" "-" "-" TID_1 "-" "-" "-"'
    )


def fields(layout: QuotedLayout, found: Sequence[str] | None) -> dict[str, str]:
    return dict(zip(layout, found or (), strict=False))


def test_a_requester_may_have_spaces():
    """Every bucket behind a CloudFront origin access identity has one."""
    made = body("s3access", s3(requester=OAI, agent="Amazon CloudFront"))
    expected = {
        "client.user.id": OAI,
        "event.action": "REST.GET.OBJECT",
        "event.id": "7Q3F0Z1X2C4V5B6N",
        "event.outcome": "success",
        "http.response.status_code": 200,
        "user_agent.original": "Amazon CloudFront",
        "aws.s3access.bytes_sent": 8642,
        "tags": None,
    }
    holds(made, expected)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (s3(uri='GET /" HTTP/1.1'), {"request_uri": 'GET /" HTTP/1.1', "http_status": "200"}),
        (s3(uri='GET /?q="a b" HTTP/1.1'), {"request_uri": 'GET /?q="a b" HTTP/1.1', "user_agent": "curl/8"}),
        (s3(referrer='foo "bar" baz'), {"referrer": 'foo "bar" baz', "user_agent": "curl/8", "http_status": "200"}),
        (s3(agent='x" 403 AccessDenied'), {"user_agent": 'x" 403 AccessDenied', "http_status": "200"}),
        (s3(agent='"quoted" agent'), {"user_agent": '"quoted" agent', "version_id": "-"}),
        (s3(agent='"'), {"user_agent": '"', "referrer": "-"}),
        (s3(agent=""), {"user_agent": "", "referrer": "-"}),
        (s3(agent="\ufffd\ufffd \t"), {"user_agent": "\ufffd\ufffd \t"}),
        (s3(tail="-"), {"user_agent": "curl/8", "version_id": "-"}),
        (s3(tail=f'{S3_TAIL} more "and more" 7'), {"source_region": "eu-west-1", "http_status": "200"}),
    ],
)
def test_quotes_within_the_fields_of_s3s_lines_shift_nothing(line, expected):
    """Lines of all ages: those without the later fields, and those with fields that are not known yet."""
    found = s3_line(line)
    assert found is not None
    assert {name: fields(*found)[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (classic(agent='\\"research bot\\" by example'), {"user_agent": '\\"research bot\\" by example'}),
        (classic(agent='a" "b'), {"user_agent": 'a" "b', "ssl_protocol": "TLSv1.2"}),
        (classic(url='http://a.example:80/"x'), {"elb_status_code": "200", "user_agent": "curl/8"}),
        (application(agent='x" - -'), {"elb_status_code": "200", "domain_name": "a.example"}),
        (
            application(trace='Root=1";"'),
            {"trace_id": 'Root=1";"', "matched_rule_priority": "5"},
        ),
    ],
)
def test_quotes_within_the_fields_of_load_balancers_lines_shift_nothing(line, expected):
    """Escaped or not: what AWS writes beside them has a shape of its own."""
    found = elb_line(line)
    assert found is not None
    assert {name: fields(*found)[name] for name in expected} == expected


@pytest.mark.parametrize(
    "line",
    [
        s3(uri=f"GET /a HTTP/1.1{FORGED_STATUS}"),
        s3(agent=f"curl{FORGED_TAIL}x"),
        s3(agent='a" "b'),
        s3().replace(" 200 ", " OK "),
        s3().replace("REST.GET.OBJECT", "get"),
        s3().replace("[29/Jul", "29/Jul"),
        s3()[:190],
        s3(agent='a" b', tail="-"),
        f"{OWNER} shop",
    ],
)
def test_a_line_that_may_be_read_in_two_ways_is_not_read(line):
    """Nor one that has not the fields: a document says that it was not, and nothing else of the line."""
    made = body("s3access", line)
    assert (made["message"], made["tags"], made["aws"].keys()) == (line, ["unparsed", "no_time"], {"s3"})
    assert not {"http", "url", "client", "user_agent"} & made.keys()
    assert made["event"].keys() == {"kind", "module", "dataset", "original"}
    (record,) = records("s3access", line.encode())
    assert isinstance(record, Record)
    assert record.layout is None


FRAGMENTS = (
    *('"', " ", '" ', ' "', '" "', "-", "200", "403", "AccessDenied", "HTTP/1.1", "GET /", FORGED_STATUS, FORGED_TAIL),
    *(
        '" "-" "-" - 2026-01-15T10:00:02.000000Z "',
        '" - -',
        "TLSv1.2",
        "arn:aws:x",
        '" 5 ',
        "session-reused",
        "\\",
        "a",
    ),
    *(" 7Q3F0Z1X2C4V5B6N REST.GET.OBJECT x ", "[", "]"),
)
_TEXT = st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join)


@given(_TEXT, _TEXT, _TEXT)
@example("", "", FORGED_TAIL)
def test_no_caller_of_s3_makes_another_line_of_his(uri, referrer, agent):
    """Whatever address, referrer and user agent hold: the true fields or none."""
    uri = f"GET /{uri} HTTP/1.1"
    found = s3_line(s3(uri, referrer, agent, OAI))
    true = fields(S3, S3.apart(s3(requester=OAI))) | {"request_uri": uri, "referrer": referrer, "user_agent": agent}
    assert found is None or fields(*found) == true


@given(_TEXT, _TEXT)
def test_no_caller_of_a_classic_load_balancer_makes_another_line_of_his(url, agent):
    """Whatever address and user agent hold: the true fields or none."""
    found = elb_line(classic(url, agent))
    true = fields(CLASSIC, CLASSIC.apart(classic())) | {"request": f"GET {url} HTTP/1.1", "user_agent": agent}
    assert found is None or (found[0] is CLASSIC and fields(*found) == true)


@given(_TEXT, _TEXT, _TEXT, _TEXT)
def test_no_caller_of_an_application_load_balancer_makes_another_line_of_his(url, agent, trace, domain):
    """Whatever address, user agent, trace header and server name hold: the true fields or none."""
    found = elb_line(application(url, agent, trace, domain))
    true = fields(APPLICATION, APPLICATION.apart(application()))
    true |= {"request": f"GET {url} HTTP/2.0", "user_agent": agent, "trace_id": trace, "domain_name": domain}
    assert found is None or (found[0] is APPLICATION and fields(*found) == true)


@given(_TEXT)
def test_no_certificate_makes_another_line_of_its_connection(subject):
    """Whatever the subject of a client's certificate holds."""
    line = next(line for line in LINES if "NotBefore" in line)
    found = elb_line(line.replace("CN=a.example,O=One, Two", subject))
    true = fields(CONNECTION, CONNECTION.apart(line)) | {"leaf_client_cert_subject": subject}
    assert found is None or (found[0] is CONNECTION and fields(*found) == true)


@pytest.mark.parametrize("line", [*LINES, *S3_LINES, s3(requester=OAI), s3(), classic(), application()])
def test_the_fast_way_to_read_a_line_is_only_faster(line):
    """Lines without quotes within their fields are read alike by both."""
    found = s3_line(line) or elb_line(line)
    assert found is not None
    layout, texts = found
    assert layout.apart_by_words(line) == texts


def _steps(layout: QuotedLayout, line: str) -> int:
    """How many lines of Python are run to read a line."""
    count = 0

    def step(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return step

    before = sys.gettrace()
    sys.settrace(step)
    try:
        layout.apart_by_words(line)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("part", ['"', '" "', '" "-" ', f"{FORGED_TAIL} ", FORGED_STATUS, '" - ', "a "])
@pytest.mark.parametrize(
    ("layout", "line"),
    [(S3, s3(agent="AGENT")), (CLASSIC, classic(agent="AGENT")), (APPLICATION, application(agent="AGENT"))],
)
def test_a_line_twice_as_long_takes_no_more_than_twice_the_steps(layout, line, part):
    """Whatever a caller repeats."""
    once, twice = (_steps(layout, line.replace("AGENT", part * times)) for times in (100, 200))
    assert twice <= 2.1 * once


def test_a_line_of_too_many_words_is_not_read():
    """No server takes so long a header: the line is shipped as it is."""
    assert S3.apart(s3(agent='a" ' * 20_000)) is None
    assert S3.apart(s3(agent="a " * 20_000)) is not None  # without a quote nothing has to be weighed


def test_the_values_of_lines_are_bounded():
    """What a caller writes fills no document beyond measure; the line itself is whole."""
    long = "a" * 50_000
    for name, line in (("s3access", s3(f"GET /{long} HTTP/1.1", long, long)), ("elb", application(long, long, long))):
        made = LOG_TYPES[name].ecs("default", Lookups()).encoder(ORIGIN)(Record(line.encode(), 1))
        assert made is not None
        values = flat(orjson.loads(made.body))
        assert values.pop("event.original") == line
        assert all(len(value) <= 8_191 for value in values.values() if isinstance(value, str))


def test_filters_read_a_line_as_documents_do():
    """A caller cannot make a rule miss his reads by what he writes."""
    keeps = read_filter("drop http_status >= 400").on_records()
    lines = [s3(agent='x" 403 AccessDenied 243 - 8 - "-'), s3(requester=OAI), s3()]
    assert all(keeps(record) for line in lines for record in records("s3access", line.encode()))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["elb", "s3access"])
def test_lines_that_an_export_put_a_time_in_front_of_are_read(name):
    """The line's own time counts, and a filter knows the fields."""
    line = s3() if name == "s3access" else application()
    exported = f"2026-07-29T10:00:00.000Z {line}"
    made, plain = body(name, exported), body(name, line)
    assert made["event"].pop("original") == exported
    plain["event"].pop("original")
    assert made == plain
    assert document(name, exported, splunk=True).time_ms == document(name, line, splunk=True).time_ms
    status = "http_status" if name == "s3access" else "elb_status_code"
    (record,) = records(name, exported.encode())
    assert read_filter(f"{status} == 200").on_records()(record)  # type: ignore[arg-type]


POSTGRES = "2026-01-02 03:04:05 UTC:"
SESSION = "5:00000:2026-01-02 03:00:00 UTC:3/90:0:6957a1b0.e30:"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"{POSTGRES}2001:db8::5(31531):app-user@app-db:[3632]:ERROR:  no", ("2001:db8::5", "app-user", "app-db")),
        (f"{POSTGRES}fe80::1%eth0(1):a@b:[3632]:LOG:  no", ("fe80::1%eth0", "a", "b")),
        (f"{POSTGRES}::ffff:10.0.0.9(1):a@b:[3632]:LOG:  no", ("::ffff:10.0.0.9", "a", "b")),
        (f"{POSTGRES}ip-10-0-0-9.ec2.internal(1):a@b:[1]:LOG:  no", ("ip-10-0-0-9.ec2.internal", "a", "b")),
        (f"{POSTGRES}[local]:rdsadmin@rdsadmin:[1]:LOG:  no", (None, "rdsadmin", "rdsadmin")),
        (f"{POSTGRES}10.0.0.1(1):[unknown]@[unknown]:[1]:LOG:  no", ("10.0.0.1", None, None)),
        (f"{POSTGRES}:@:[25852]:LOG:  no", (None, None, None)),
        (f"{POSTGRES}10.0.0.1(1):svc.user@tenant:a:[3632]:STATEMENT:  no", ("10.0.0.1", "svc.user", "tenant:a")),
        (f"{POSTGRES}10.0.0.1(1):a b@c [d]:[3632]:LOG:  no", ("10.0.0.1", "a b", "c [d]")),
        (f"{POSTGRES}10.0.0.1(1):a@CORP.EXAMPLE@b:[3632]:LOG:  no", ("10.0.0.1", None, None)),
        (f"{POSTGRES}2001:db8::5(1):a@b:[3632]:{SESSION}psqlLOG:  no", ("2001:db8::5", "a", "b")),
        (f"{POSTGRES}10.0.0.1(1):a@b:[3632]:{SESSION}psql:LOG:  no", ("10.0.0.1", "a", "b")),
    ],
)
def test_postgresqls_clients_are_told_from_its_users(line, expected):
    """Addresses have colons, names may have them; which of several `@` parts user and database nobody knows."""
    told = postgresql_line(line)
    assert told is not None
    found = told[1]
    assert tuple(found[name] for name in ("source.address", "user.name", "postgresql.log.database")) == expected
    assert found["message"] == "no"


def test_postgresqls_second_prefix_has_session_and_state():
    """With the error's code and the application, which no mark parts from the level."""
    line = (
        POSTGRES.replace(" UTC", ".123 UTC") + "10.0.47.201(31531):ann@shop:[3632]:" + SESSION.replace("00000", "28P01")
    )
    made = body("rds", f"{line}my appFATAL:  password authentication failed")
    expected = {
        "@timestamp": "2026-01-02T03:04:05.123Z",
        "event.outcome": "failure",
        "log.level": "FATAL",
        "postgresql.log.application_name": "my app",
        "postgresql.log.session_id": "6957a1b0.e30",
        "postgresql.log.session_line_number": 5,
        "postgresql.log.sql_state_code": "28P01",
        "postgresql.log.virtual_transaction_id": "3/90",
        "process.pid": 3632,
        "message": "password authentication failed",
        "tags": None,
    }
    holds(made, expected)


@pytest.mark.parametrize(
    "line",
    [
        f"{POSTGRES}10.0.0.9(1):ann@shop:[1]:LOG:  connection authorized: user=ann @db:[3632]:FATAL:  no",
        f"{POSTGRES}10.0.0.9(1):ann@shop:[1]:{SESSION}LOG:  all is well FATAL:  no",
        f"{POSTGRES}10.0.0.9(1):ann@shop:[1]:{SESSION}LOG",
        f"{POSTGRES}10.0.0.9:ann@shop:[1]:LOG:  no",
        "\tand continues here",
    ],
)
def test_a_name_that_imitates_a_line_of_postgresql_makes_none(line):
    """A user, database or application called like the rest of a line: its message alone is shipped."""
    made = body("rds", line)
    assert (made["message"], made["tags"], "user" in made, "log" in made and "level" in made["log"]) == (
        line,
        ["unparsed", "no_time"],
        False,
        False,
    )


AUDIT = "20260102 03:04:05,ip-10-1-2-3,ann,10.0.0.7,58,9,QUERY,shop,"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"{AUDIT}'select 1 /*',1045,a*/',0", ("select 1 /*',1045,a*/", 0)),
        (f"{AUDIT}'select ',1045,,',0,TCP/IP", ("select ',1045,,", 0)),
        (f"{AUDIT}'select 1',1064", ("select 1", 1064)),
        (AUDIT.replace("QUERY", "READ") + "orders,0", ("orders", 0)),
        ("20260102 03:04:05,h,x,10.0.0.9,5,0,CONNECT,,,0,10.0.0.7,58,0,FAILED_CONNECT,,,1045", None),
        (AUDIT.replace("QUERY", "READ") + "a,b,0,1,2,3", None),
    ],
)
def test_statements_and_names_forge_no_result_in_audit_records(line, expected):
    """A statement ends at the last quote; a user's name with commas makes no other record."""
    told = audit_record(line)
    found = None if told is None else (told[1]["aws.rds.audit.object"], told[1]["aws.rds.audit.return_code"])
    assert found == expected


def test_mariadbs_error_log_pads_hours_with_spaces():
    """As MySQL's does not."""
    assert error_record("2026-01-02  3:04:05 0 [Warning] Aborted") == error_record(
        "2026-01-02 03:04:05 0 [Warning] Aborted"
    )
    holds(
        body("rds", "2026-01-02  3:04:05 0 [Warning] no"), {"@timestamp": "2026-01-02T03:04:05.000Z", "message": "no"}
    )


def test_a_slow_query_begins_with_its_own_head():
    """A head that a statement imitates is none."""
    assert slow_query("# administrator command: x\n# User@Host: root[root] @ [10.0.0.9]\nSET timestamp=1;\nx;") is None
    assert slow_query("# User@Host: ann[ann] @ [10.0.0.9]\nSET timestamp=1;\nx;") is not None


def test_a_network_load_balancers_server_names_shift_nothing():
    """They are words."""
    line = next(line for line in LINES if line.startswith("tls"))
    found = elb_line(line.replace("front.example", 'a"b'))
    assert found is not None
    assert fields(*found)["domain_name"] == 'a"b'
    assert found[0] is NETWORK
