"""Log types of log groups: Route 53, API Gateway, databases, containers and EKS, as documents and by their look."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipper.build import LOG_TYPES
from shipper.build.event_types import GroupTypes
from shipper.model import Document, LogEvent, LogStream, Origin, Payload, ReadLimits, Record
from shipper.ports import Lookups

TIME = 1_767_323_045_678
ACCOUNT = "123456789012"
GEO = {"geo": {"country_name": "Utopia"}}

RESOLVER = {
    "version": "1.100000",
    "account_id": "111122223333",
    "region": "eu-west-1",
    "vpc_id": "vpc-01",
    "query_timestamp": "2026-01-02T03:04:06Z",
    "query_name": "www.example.com.",
    "query_type": "A",
    "query_class": "IN",
    "rcode": "NOERROR",
    "answers": [
        {"Rdata": "web.example.net.", "Type": "CNAME", "Class": "IN"},
        {"Rdata": "203.0.113.9", "Type": "A", "Class": "IN"},
    ],
    "srcaddr": "10.0.0.7",
    "srcport": "48701",
    "transport": "UDP",
    "srcids": {"instance": "i-01", "resolver_endpoint": "rslvr-in-1"},
    "firewall_rule_action": "ALERT",
    "firewall_rule_group_id": "rslvr-frg-1",
    "firewall_domain_list_id": "rslvr-fdl-1",
}
PUBLIC = "1.0 2026-01-02T03:04:06.130Z Z123412341234 example.com AAAA NXDOMAIN UDP FRA6 2001:db8::1 203.0.113.0/24"
ACCESS = {
    "requestId": "48752d0f-c99d-4cfa-a5a7-f3c6834d19e5",
    "ip": "203.0.113.7",
    "caller": "-",
    "user": "ann",
    "requestTime": "02/Jan/2026:03:04:05 +0000",
    "httpMethod": "GET",
    "resourcePath": "/pets",
    "status": "503",
    "protocol": "HTTP/1.1",
    "responseLength": "184",
    "responseLatency": "12",
    "integrationLatency": 9,
    "myOwn": {"deep": [1]},
}
AUDIT = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "level": "Metadata",
    "auditID": "a1",
    "stage": "ResponseComplete",
    "requestURI": "/api/v1/namespaces/shop/secrets/db",
    "verb": "get",
    "user": {"username": "kubernetes-admin", "uid": "u1", "groups": ["system:masters"], "extra": {"arn": ["x"]}},
    "sourceIPs": ["203.0.113.7", "not one"],
    "userAgent": "kubectl/v1.30",
    "objectRef": {"resource": "secrets", "namespace": "shop", "name": "db", "apiVersion": "v1"},
    "responseStatus": {"metadata": {}, "code": 403, "status": "Failure"},
    "requestReceivedTimestamp": "2026-01-02T03:04:05.196323Z",
    "stageTimestamp": "yesterday",
    "annotations": {"authorization.k8s.io/decision": "forbid"},
}
POD = {
    "time": "2026-01-02T03:04:05Z",
    "stream": "stderr",
    "_p": "F",
    "log": '{"level":"ERROR","msg":"no"}\n',
    "kubernetes": {
        "pod_name": "web-1",
        "namespace_name": "shop",
        "pod_id": "p1",
        "pod_ip": "no address",
        "host": "ip-10-0-0-1",
        "container_name": "web",
        "docker_id": "d1",
        "container_image": "registry:5000/shop/web:1.2",
        "labels": {"app.kubernetes.io/name": "web"},
    },
}
TASK = {
    "container_id": "c1-1",
    "container_name": "/ecs-shop-3-web-aa",
    "ecs_cluster": "arn:aws:ecs:us-east-1:123456789012:cluster/prod",
    "ecs_task_arn": "arn:aws:ecs:us-east-1:123456789012:task/prod/c1",
    "ecs_task_definition": "shop:3",
    "ec2_instance_id": "i-09",
    "log": "Listening on port 80",
    "source": "stdout",
}
POSTGRES = "2026-01-02 03:04:05 UTC:203.0.113.7(52834):ann@shop:[20175]:"
SLOW = """# Time: 2026-01-02T03:04:05.000123Z
# User@Host: ann[ann] @ web.internal [10.0.0.7]  Id:    58
# Query_time: 2.000123  Lock_time: 0.000100 Rows_sent: 1  Rows_examined: 40
use shop;
SET timestamp=1767323045;
select sleep(2);"""


def made(name: str, message: str, group: str = "g", stream: str = "s", lookups: Lookups | None = None) -> Document:
    event = LogEvent("3" * 56, TIME, LogStream(ACCOUNT, "us-east-1", group, stream), TIME)
    encode = LOG_TYPES[name].ecs("default", lookups or Lookups()).encoder(Origin("arn"))
    document = encode(Record(message.encode(), 1, None, event))
    assert document is not None
    dataset = orjson.loads(document.body)["data_stream"]["dataset"]
    assert document.index == f"logs-{dataset}-default"
    assert dataset == LOG_TYPES[name].dataset or (name, dataset) == ("eks", "kubernetes.audit_logs")
    return document


def body(name: str, message: str | dict[str, Any], group: str = "g", stream: str = "s") -> dict[str, Any]:
    text = message if isinstance(message, str) else orjson.dumps(message).decode()
    found: dict[str, Any] = orjson.loads(made(name, text, group, stream, Lookups(geo=lambda _: GEO)).body)
    assert found["event"]["original"] == text
    return found


def flat(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {path: value}
    return {k: v for name, item in value.items() for k, v in flat(item, f"{path}.{name}" if path else name).items()}


def holds(document: dict[str, Any], expected: dict[str, Any]) -> None:
    found = flat(document)
    assert {name: found.get(name) for name in expected} == expected


def test_a_resolvers_query_has_question_answers_and_who_asked():
    """As Elastic's integration lays them out; the query's own account, region and time count."""
    document = body("route53_resolver", RESOLVER)
    holds(
        document,
        {
            "@timestamp": "2026-01-02T03:04:06.000Z",
            "dns.question.name": "www.example.com",
            "dns.question.type": "A",
            "dns.question.class": "IN",
            "dns.response_code": "NOERROR",
            "dns.question.registered_domain": "example.com",
            "dns.question.top_level_domain": "com",
            "dns.question.subdomain": "www",
            "dns.resolved_ip": ["203.0.113.9"],
            "event.outcome": "success",
            "event.category": ["network"],
            "network.transport": "udp",
            "network.iana_number": "17",
            "network.type": "ipv4",
            "source.ip": "10.0.0.7",
            "source.port": 48701,
            "source.geo.country_name": "Utopia",
            "related.ip": ["10.0.0.7", "203.0.113.9"],
            "related.hosts": ["www.example.com", "web.example.net"],
            "cloud.account.id": "111122223333",
            "cloud.region": "eu-west-1",
            "cloud.instance.id": "i-01",
            "aws.vpc_id": "vpc-01",
            "aws.route53.firewall.action": "ALERT",
            "aws.route53.firewall.rule_group.id": "rslvr-frg-1",
            "aws.route53.resolver.endpoint.id": "rslvr-in-1",
        },
    )
    assert document["dns"]["answers"][0] == {
        "class": "IN",
        "type": "CNAME",
        "data": "web.example.net",
        "name": "web.example.net",
    }


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("8.0.0.10.in-addr.arpa.", "10.0.0.8"),
        ("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "2001:db8::1"),
        ("x.0.0.10.in-addr.arpa", None),
        ("10.in-addr.arpa", None),
    ],
)
def test_a_reverse_query_is_about_an_address(name, address):
    """The address is among the related ones; a name that stands for none is no harm."""
    found = body("route53_resolver", RESOLVER | {"query_name": name, "query_type": "PTR", "answers": []})
    assert found["related"] == {"ip": ["10.0.0.7", *([address] if address else [])]}


@pytest.mark.parametrize(
    ("name", "registered", "top", "sub"),
    [
        ("example.com.", "example.com", "com", None),
        ("WWW.Books.Example.CO.UK.", "example.co.uk", "co.uk", "WWW.Books"),
        ("a.b.example.co.uk", "example.co.uk", "co.uk", "a.b"),
        ("com.", None, "com", None),
        ("global.ssl.fastly.net", None, "global.ssl.fastly.net", None),
        ("1.www.global.ssl.fastly.net", "www.global.ssl.fastly.net", "global.ssl.fastly.net", "1"),
        ("d111111abcdef8.cloudfront.net", "d111111abcdef8.cloudfront.net", "cloudfront.net", None),
        ("logs.bucket.s3.amazonaws.com", "bucket.s3.amazonaws.com", "s3.amazonaws.com", "logs"),
        ("www.city.kawasaki.jp", "city.kawasaki.jp", "kawasaki.jp", "www"),
        ("www.xn--bcher-kva.xn--p1ai", "xn--bcher-kva.xn--p1ai", "xn--p1ai", "www"),
        ("db.prod.internal", None, None, None),
        ("foo.bar.baz", None, None, None),
        ("$", None, None, None),
        (".", None, None, None),
        ("a..com", None, None, None),
        ("8.0.0.10.in-addr.arpa.", None, None, None),
        (f"{'a.' * 130}com", None, None, None),
    ],
)
def test_a_query_says_which_domain_it_is_in(name, registered, top, sub):
    """By the list of public suffixes; a name that ends in none says nothing, and is no harm."""
    question = body("route53_resolver", RESOLVER | {"query_name": name})["dns"].get("question", {})
    found = [question.get(part) for part in ("registered_domain", "top_level_domain", "subdomain")]
    assert found == [registered, top, sub]


def test_resolver_logs_in_s3_have_their_own_times_and_stable_ids():
    """For both kinds of documents, whenever they are read."""
    line = orjson.dumps(RESOLVER)
    folder, name = "vpcdnsquerylogs/vpc-01/2026/01/02", "vpc-01_vpcdnsquerylogs_111122223333_20260102T0300Z_a.log.gz"
    key = f"AWSLogs/111122223333/{folder}/{name}"
    origin = Origin(f"s3://b/{key}", "b", key, "111122223333")
    log_type = LOG_TYPES["route53_resolver"]
    (record,) = log_type.format(ReadLimits()).records(Payload(origin, iter([line + b"\n"])))
    assert isinstance(record, Record)
    for schema in (log_type.ecs("default", Lookups()), log_type.splunk("", "", Lookups())):
        documents = [schema.encoder(origin)(record) for _ in range(2)]
        assert [d.time_ms for d in documents if d] == [1_767_323_046_000] * 2
        assert len({d.id for d in documents if d}) == 1


def test_a_public_zones_query_is_told_by_its_place():
    """Zone, edge location, resolver and client subnet."""
    holds(
        body("route53_public", PUBLIC),
        {
            "@timestamp": "2026-01-02T03:04:06.130Z",
            "dns.question.name": "example.com",
            "dns.response_code": "NXDOMAIN",
            "event.outcome": "failure",
            "source.ip": "2001:db8::1",
            "network.type": "ipv6",
            "aws.route53.hosted_zone_id": "Z123412341234",
            "aws.route53.edge_location": "FRA6",
            "aws.route53.edns_client_subnet": "203.0.113.0/24",
        },
    )


def test_an_api_gateways_access_log_has_elastics_names_and_numbers():
    """Its own keys are one flattened field, whatever an operator calls them."""
    document = body("apigateway", ACCESS)
    holds(
        document,
        {
            "aws.apigateway.http_method": "GET",
            "aws.apigateway.caller": "-",
            "aws.apigateway.status": 503,
            "aws.apigateway.response_length": 184,
            "aws.apigateway.request_time": "2026-01-02T03:04:05.000Z",
            "aws.apigateway.integration_latency": 9,
            "event.duration": 12_000_000,
            "event.outcome": "failure",
            "http.response.status_code": 503,
            "http.version": "1.1",
            "source.ip": "203.0.113.7",
            "user.name": "ann",
            "url.path": "/pets",
        },
    )
    assert document["aws"]["cloudwatch"]["fields"]["myOwn"] == {"deep": [1]}


def test_an_api_gateways_lines_may_be_clf_or_execution_logs():
    """The console's CLF template, and the lines of a stage's execution log."""
    clf = '203.0.113.7 - ann [02/Jan/2026:03:04:05 +0000]"GET /pets HTTP/1.1" 200 184 48752d0f'
    holds(body("apigateway", clf), {"http.response.status_code": 200, "aws.apigateway.request_id": "48752d0f"})
    line = "(48752d0f-c99d-4cfa-a5a7-f3c6834d19e5) Method completed with status: 200"
    holds(
        body("apigateway", line),
        {"message": "Method completed with status: 200", "aws.apigateway.request_id": ACCESS["requestId"]},
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "LOG:  duration: 1234.567 ms  statement: select 1",
            {"event.duration": 1_234_567_000, "postgresql.log.query": "select 1", "log.level": "LOG"},
        ),
        (
            "LOG:  duration: 0.5 ms  execute <unnamed>: select\n 2",
            {"postgresql.log.query_step": "execute", "postgresql.log.query": "select\n 2", "event.duration": 500_000},
        ),
        (
            'FATAL:  password authentication failed for user "ann"',
            {"event.outcome": "failure", "message": 'password authentication failed for user "ann"'},
        ),
        (
            'LOG:  AUDIT: SESSION,3,1,READ,SELECT,TABLE,public.t,"select a, b from t",<none>',
            {
                "aws.rds.audit.class": "READ",
                "aws.rds.audit.statement_id": 3,
                "event.action": "SELECT",
                "postgresql.log.query": "select a, b from t",
            },
        ),
    ],
)
def test_postgresqls_lines_say_who_where_and_how_long(line, expected):
    """Under the prefix that RDS gives them, with durations in nanoseconds."""
    document = body("rds", POSTGRES + line, "/aws/rds/instance/db-1/postgresql")
    common = {
        "process.pid": 20175,
        "user.name": "ann",
        "postgresql.log.database": "shop",
        "postgresql.log.client_port": 52834,
        "source.ip": "203.0.113.7",
        "service.type": "postgresql",
        "aws.rds.db_instance.identifier": "db-1",
        "aws.rds.log_type": "postgresql",
    }
    holds(document, common | expected)


@pytest.mark.parametrize(
    ("line", "log", "expected"),
    [
        (
            SLOW,
            "slowquery",
            {
                "event.duration": 2_000_123_000,
                "mysql.slowlog.lock_time.sec": 0.0001,
                "mysql.slowlog.rows_examined": 40,
                "mysql.slowlog.schema": "shop",
                "mysql.slowlog.query": "select sleep(2);",
                "mysql.thread_id": 58,
                "user.name": "ann",
                "source.ip": "10.0.0.7",
                "source.domain": "web.internal",
            },
        ),
        (
            "20260102 03:04:05,ip-10-1-2-3,ann,10.0.0.7,58,0,FAILED_CONNECT,,,1045",
            "audit",
            {
                "event.outcome": "failure",
                "event.category": ["database", "authentication"],
                "aws.rds.audit.return_code": 1045,
                "source.ip": "10.0.0.7",
                "related.user": ["ann"],
            },
        ),
        (
            "1767323045000000,db-1,ann,10.0.0.7,58,9,QUERY,shop,'select a,\\'b\\' from t',0",
            "audit",
            {"aws.rds.audit.object": "select a,\\'b\\' from t", "event.outcome": "success", "event.action": "query"},
        ),
        (
            "2026-01-02T03:04:05.000123Z\t   58 Query\tselect 1",
            "general",
            {"message": "select 1", "mysql.thread_id": 58, "event.action": "query"},
        ),
        (
            "2026-01-02T03:04:05.000123Z 0 [Warning] [MY-010055] [Server] IP address could not be resolved",
            "error",
            {
                "log.level": "Warning",
                "event.code": "MY-010055",
                "event.provider": "Server",
                "message": "IP address could not be resolved",
            },
        ),
        ("no line of any database", "error", {"message": "no line of any database"}),
    ],
)
def test_mysqls_lines_say_who_where_and_how_long(line, log, expected):
    """Slow queries, the audit plugin, Aurora's own audit, general and error logs."""
    document = body("rds", line, f"/aws/rds/cluster/au-1/{log}")
    holds(document, {"aws.rds.db_cluster.identifier": "au-1", "event.kind": "event"} | expected)


def test_a_pods_line_says_its_container():
    """What Fluent Bit found out; labels are one flattened field; what is no address is left out."""
    document = body("containers", POD, "/aws/containerinsights/prod/application")
    holds(
        document,
        {
            "message": '{"level":"ERROR","msg":"no"}',
            "log.level": "error",
            "stream": "stderr",
            "kubernetes.pod.name": "web-1",
            "kubernetes.namespace": "shop",
            "kubernetes.node.name": "ip-10-0-0-1",
            "kubernetes.pod.ip": None,
            "container.id": "d1",
            "container.image.name": "registry:5000/shop/web",
            "container.image.tag": "1.2",
            "orchestrator.cluster.name": "prod",
        },
    )
    assert document["kubernetes"]["labels"] == {"app.kubernetes.io/name": "web"}


def test_a_tasks_line_says_its_container():
    """FireLens says it in the line, awslogs in the stream's name."""
    holds(
        body("containers", TASK),
        {
            "message": "Listening on port 80",
            "container.id": "c1-1",
            "container.name": "ecs-shop-3-web-aa",
            "aws.ecs.cluster.name": "prod",
            "aws.ecs.task.id": "c1",
            "aws.ecs.task.family": "shop",
            "cloud.instance.id": "i-09",
        },
    )
    stream = "shop/web/" + "0af1" * 8
    holds(
        body("containers", "plain", "/ecs/shop", stream),
        {"message": "plain", "container.name": "web", "aws.ecs.task.id": "0af1" * 8, "orchestrator.type": "ecs"},
    )


def test_a_kubernetes_audit_event_has_elastics_names():
    """Who did what to which object, and whether it was allowed; a time that is none is left out."""
    document = body("eks", AUDIT, "/aws/eks/prod/cluster", "kube-apiserver-audit-a1")
    holds(
        document,
        {
            "data_stream.dataset": "kubernetes.audit_logs",
            "event.dataset": "kubernetes.audit_logs",
            "kubernetes.audit.verb": "get",
            "kubernetes.audit.user.groups": ["system:masters"],
            "kubernetes.audit.objectRef.resource": "secrets",
            "kubernetes.audit.responseStatus.code": 403,
            "kubernetes.audit.sourceIPs": ["203.0.113.7"],
            "kubernetes.audit.annotations.authorization_k8s_io/decision": "forbid",
            "kubernetes.audit.requestReceivedTimestamp": "2026-01-02T03:04:05.196323Z",
            "kubernetes.audit.stageTimestamp": None,
            "event.action": "get",
            "event.outcome": "failure",
            "user.name": "kubernetes-admin",
            "source.geo.country_name": "Utopia",
            "orchestrator.cluster.name": "prod",
            "aws.eks.component": "kube-apiserver-audit",
            "log.level": None,
        },
    )


def test_eks_components_lines_have_levels():
    """Klog's header, and the IAM authenticator's pairs."""
    klog = "W0102 03:04:05.196323      10 reflector.go:123] watch ended"
    holds(
        body("eks", klog, "/aws/eks/prod/cluster", "kube-scheduler-a1"),
        {"message": "watch ended", "log.level": "warning", "log.origin.file.line": 123},
    )
    line = (
        'time="2026-01-02T03:04:05Z" level=info msg="access granted" arn="arn:aws:iam::1:role/a" '
        'client="203.0.113.7:50000" groups="[system:masters]" method=POST uid="u:1" username="admin"'
    )
    holds(
        body("eks", line, "/aws/eks/prod/cluster", "authenticator-a1"),
        {
            "message": "access granted",
            "aws.eks.authenticator.arn": "arn:aws:iam::1:role/a",
            "user.name": "admin",
            "source.ip": "203.0.113.7",
        },
    )


NAMED = [
    ("route53_resolver", "dns", orjson.dumps(RESOLVER).decode(), "cloudwatch"),
    ("route53_public", "zone", PUBLIC, "cloudwatch"),
    ("route53_public", "/aws/route53/example.com", PUBLIC, "route53_public"),
    ("apigateway", "api", orjson.dumps(ACCESS).decode(), "cloudwatch"),
    ("apigateway", "API-Gateway-Execution-Logs_a1/prod", "(1) text", "apigateway"),
    ("containers", "x", orjson.dumps(POD).decode(), "cloudwatch"),
    ("containers", "x", orjson.dumps(TASK).decode(), "cloudwatch"),
    ("containers", "/ecs/shop", "plain", "containers"),
    ("rds", "/aws/rds/instance/db-1/error", "plain", "rds"),
    ("eks", "/aws/eks/prod/cluster", "plain", "eks"),
    ("eks", "audit", orjson.dumps(AUDIT).decode(), "cloudwatch"),
    (None, "/aws/lambda/x", orjson.dumps(RESOLVER).decode(), "cloudwatch"),
    (None, "x", '{"requestId":"1","level":"INFO"}', "cloudwatch"),
    (None, "x", "[1]", "cloudwatch"),
]


def told(group: str, message: str) -> tuple[str, str | None]:
    """An event's log type, and the one that it only looks like."""
    event = LogEvent("0" * 56, TIME, LogStream(ACCOUNT, "", group, "s"))
    return GroupTypes().of_record(Record(message.encode(), 1, None, event))


@pytest.mark.parametrize(("form", "group", "message", "logs"), NAMED)
def test_an_events_type_is_that_of_its_group_and_never_of_its_form(form, group, message, logs):
    """The same for each event, so that an envelope of many groups is taken apart rightly; a form is a hint."""
    assert told(group, message) == (logs, form if logs == "cloudwatch" else None)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
_NAMES = sorted({*RESOLVER, *ACCESS, *AUDIT, *POD, *TASK})
_TYPES = ["route53_resolver", "route53_public", "apigateway", "rds", "containers", "eks"]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(_TYPES), st.dictionaries(st.sampled_from(_NAMES), _JSON, max_size=8))
def test_fields_of_any_type_make_a_document(name, said):
    """What has another type than expected is left out of its field, and stands in the original all the same."""
    message = orjson.dumps({"apiVersion": "audit.k8s.io/v1", "query_name": "x"} | said).decode()
    assert orjson.loads(made(name, message).body)["event"]["original"] == message


@given(st.sampled_from(_TYPES), st.text(max_size=200) | st.from_regex(r"# User@Host: .{0,40}", fullmatch=True))
def test_any_text_makes_a_document(name, message):
    """None is lost for its form."""
    assert orjson.loads(made(name, message, "/aws/rds/instance/d/error").body)["event"]["original"] == message


@pytest.mark.parametrize(
    ("process", "expected"),
    [
        ("dhclient[3000]", {"name": "dhclient[3000]", "pid": 3000}),
        ("ec2net", {"name": "ec2net"}),
        ("odd[1] more", {"name": "odd[1] more"}),
    ],
)
def test_a_system_logs_line_names_its_process(process, expected):
    """With its number, where the line has one; the time is the line's own."""
    found = body("ec2", f"2026-01-02T03:04:05.006Z Jan  2 03:04:05 ip-10-0-0-1 {process}: said")
    assert (found["process"], found["message"], found["aws"]["ec2"]) == (
        expected,
        "said",
        {"ip_address": "ip-10-0-0-1"},
    )
    assert found["@timestamp"] == "2026-01-02T03:04:05.006Z"
