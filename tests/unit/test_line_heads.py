"""What stands in front of messages: times of syslog and of exports, heads of container runtimes; Lambda's reports."""

from __future__ import annotations

import gzip
from datetime import datetime
from typing import Any

import orjson
import pytest

from shipper.build import LOG_TYPES
from shipper.exported_lines import is_exported, parted
from shipper.flow_layouts import EXPORT_TIME, V2, layout_from_log_format
from shipper.formats.vpc_flow import VpcFlowFormat
from shipper.model import Origin, Payload, ReadLimits, Record, Rejected
from shipper.ports import Encoder, Lookups
from shipper.schemas.ecs.syslog import system_line
from shipper.schemas.ecs.vpc_flow import VpcFlowEcs
from tests.unit.test_log_event_types import ACCESS, PUBLIC, RESOLVER, SLOW, body, holds

EVENT_TIME = "2026-01-02T03:04:05.678Z"
EXPORT = "2026-07-29T10:00:00.123Z"
ORIGIN = Origin("s3://logs/exported/a1/000000.gz", "logs", "exported/a1/000000.gz")


def stored(name: str, line: str, *, splunk: bool = False) -> dict[str, Any]:
    """The document of a line in an object: the way from bytes to the sink's body."""
    log_type = LOG_TYPES[name]
    (record,) = log_type.format(ReadLimits()).records(Payload(ORIGIN, iter([gzip.compress(f"{line}\n".encode())])))
    assert isinstance(record, Record)
    schema = log_type.splunk("", "", Lookups()) if splunk else log_type.ecs("default", Lookups())
    made = schema.encoder(ORIGIN)(record)
    assert made is not None
    found: dict[str, Any] = orjson.loads(made.body)
    return found


@pytest.mark.parametrize(
    ("line", "time", "process", "pid", "host"),
    [
        ("Sep  7 15:04:42 ip-10-48-40-111 systemd[1]: done: all", EVENT_TIME, "systemd[1]", 1, "ip-10-48-40-111"),
        ("Sep 17 15:04:42 kernel: done: all", EVENT_TIME, "kernel", None, None),
        ("Sep  7 15:04:42 2001:db8::5 sshd: done: all", EVENT_TIME, "sshd", None, "2001:db8::5"),
        ("2026-01-02T04:04:06.123456+01:00 ip-1 sshd[8]: done: all", "2026-01-02T03:04:06.123Z", "sshd[8]", 8, "ip-1"),
        ("2026-01-02T03:04:06+00:00 ip-1 a.b@c: done: all", "2026-01-02T03:04:06.000Z", "a.b@c", None, "ip-1"),
        ("2026-01-02T03:04:06.5Z Jan  2 03:04:06 ip-1 su: done: all", "2026-01-02T03:04:06.500Z", "su", None, "ip-1"),
        ("2026-01-02T03:04:06.500Z ip-1 su: done: all", "2026-01-02T03:04:06.500Z", "su", None, "ip-1"),
        (
            "2026-01-02T03:04:07.000Z 2026-01-02T03:04:06.5+00:00 ip-1 su[2]: done: all",
            "2026-01-02T03:04:06.500Z",
            "su[2]",
            2,
            "ip-1",
        ),
    ],
)
def test_system_logs_have_times_of_two_kinds(line, time, process, pid, host):
    """Syslog's own names no year, so CloudWatch's time counts; that of RFC 3339 is the line's own."""
    made = body("ec2", line)
    expected = {"@timestamp": time, "process.name": process, "process.pid": pid, "aws.ec2.ip_address": host}
    holds(made, expected | {"message": "done: all", "tags": None})


@pytest.mark.parametrize(
    "line", ["ip-1 su: done", "Sep  7 15:04:42 ip-1 no process", "{}", "Sep  7 15:04:42", "x" * 9000]
)
def test_a_line_of_no_system_log_is_marked(line):
    """With its text as the message, and nothing else of it."""
    made = body("ec2", line)
    assert (made["message"], made["tags"], "process" in made) == (line, ["unparsed"], False)
    assert system_line(line) is None


def test_an_applications_line_is_no_system_log():
    """A time and words with a colon may be anything: in other groups only syslog's own time makes a process."""
    assert "process" not in body("cloudwatch", "2026-01-02T03:04:05Z INFO main: started")
    holds(body("cloudwatch", "Sep  7 15:04:42 ip-1 su[2]: done"), {"process.pid": 2, "tags": None})


REQUEST = "4725a167-21a7-5731-99c2-c3d0e3dfd770"
REPORT = f"REPORT RequestId: {REQUEST}\tDuration: 5.00 ms\tBilled Duration: 6 ms\tMemory Size: 128 MB"


@pytest.mark.parametrize(
    ("message", "status", "outcome", "error"),
    [
        (f"{REPORT}\tStatus: timeout", "timeout", "failure", None),
        (f"{REPORT}\tStatus: error\tError Type: Runtime.ExitError", "error", "failure", "Runtime.ExitError"),
        (f"{REPORT}\tMax Memory Used: 64 MB\t\n", None, None, None),
        (f"2018-08-26T02:13:13.948Z {REQUEST} Task timed out after 30.02 seconds\n\n", "timeout", "failure", None),
        (
            {"type": "platform.report", "record": {"requestId": REQUEST, "status": "timeout"}},
            "timeout",
            "failure",
            None,
        ),
        (
            {"type": "platform.report", "record": {"requestId": REQUEST, "status": "success"}},
            "success",
            "success",
            None,
        ),
        (
            {"type": "platform.runtimeDone", "record": {"requestId": REQUEST, "status": "failure", "errorType": "A.B"}},
            "failure",
            "failure",
            "A.B",
        ),
        ({"type": "platform.report", "record": {"requestId": REQUEST, "status": {"a": 1}}}, None, None, None),
    ],
)
def test_lambdas_reports_say_how_an_invocation_ended(message, status, outcome, error):
    """As text, as a structured log, and where a function was stopped; only where the line says it."""
    expected = {"aws.lambda.status": status, "event.outcome": outcome, "aws.lambda.request_id": REQUEST}
    holds(body("cloudwatch", message), expected | {"error.type": error, "faas.execution": REQUEST})


def test_an_initialization_that_failed_says_so():
    """It is of no request."""
    line = "INIT_REPORT Init Duration: 10010.30 ms\tPhase: init\tStatus: timeout"
    expected = {"aws.lambda.line": "INIT_REPORT", "aws.lambda.init_duration_ms": 10010.3, "event.outcome": "failure"}
    holds(body("cloudwatch", line), expected | {"faas.execution": None})
    said = {
        "type": "platform.initReport",
        "record": {"status": "error", "errorType": "X", "metrics": {"durationMs": 2}},
    }
    holds(
        body("cloudwatch", said), {"aws.lambda.line": "INIT_REPORT", "error.type": "X", "aws.lambda.duration_ms": 2.0}
    )


def test_a_structured_log_in_an_object_has_its_own_time():
    """CloudWatch is not there to say it."""
    said = {"time": "2026-06-25T23:59:41.096Z", "type": "platform.start", "record": {"requestId": REQUEST}}
    assert stored("cloudwatch", orjson.dumps(said).decode())["@timestamp"] == said["time"]


@pytest.mark.parametrize(
    ("line", "message", "stream", "flags", "level"),
    [
        ('2022-06-29T14:30:21.815462921Z stdout F {"level":"INFO"}', '{"level":"INFO"}', "stdout", None, "info"),
        ("2022-06-29T14:30:21Z stderr P the first half ", "the first half ", "stderr", ["partial"], None),
        ("2022-06-29T14:30:21.8+02:00 stderr F:tag ", "", "stderr", None, None),
        ('{"log":"said\\n","stream":"stderr","time":"2022-06-29T14:30:21.8Z"}', "said", "stderr", None, None),
        ('{"log":"half","stream":"stderr","time":"2022-06-29T14:30:21.8Z"}', "half", "stderr", ["partial"], None),
        ('{"log":"said","more":1}', '{"log":"said","more":1}', None, None, None),
        ("2022-06-29T14:30:21Z stdout X said", "2022-06-29T14:30:21Z stdout X said", None, None, None),
        ("stdout F said", "stdout F said", None, None, None),
    ],
)
def test_heads_of_container_runtimes_are_taken_off(line, message, stream, flags, level):
    """Those of CRI and of Docker's JSON, within what a collector wrote."""
    made = body("containers", {"log": line, "kubernetes": {"pod_name": "web-1"}})
    expected = {"message": message, "stream": stream, "log.flags": flags, "log.level": level, "@timestamp": EVENT_TIME}
    holds(made, expected | {"kubernetes.pod.name": "web-1"})


def test_heads_of_container_runtimes_are_taken_off_where_no_collector_wrote():
    """The whole message is the runtime's; in an object its time is the line's."""
    line = '2022-06-29T14:30:21.815Z stdout F {"level":"WARN"}'
    holds(body("containers", line), {"message": '{"level":"WARN"}', "stream": "stdout", "log.level": "warn"})
    assert stored("containers", line)["@timestamp"] == "2022-06-29T14:30:21.815Z"
    assert stored("containers", f"{EXPORT} {line}")["@timestamp"] == EXPORT
    docker = '{"log":"said\\n","stream":"stderr","time":"2022-06-29T14:30:21.8Z"}'
    holds(stored("containers", docker), {"message": "said", "@timestamp": "2022-06-29T14:30:21.800Z"})


POSTGRES = "2026-01-02 03:04:05 UTC:2001:db8::5(31531):ann@shop:[3632]:LOG:  said"
EXPORTS: dict[str, tuple[str, dict[str, Any]]] = {
    "rds": (POSTGRES, {"source.ip": "2001:db8::5", "message": "said", "@timestamp": EXPORT}),
    "containers": (
        '{"log":"2022-06-29T14:30:21Z stdout F said","kubernetes":{"pod_name":"web-1"}}',
        {"message": "said", "kubernetes.pod.name": "web-1", "@timestamp": EXPORT},
    ),
    "apigateway": (
        orjson.dumps(ACCESS).decode(),
        {"http.response.status_code": 503, "source.ip": "203.0.113.7", "@timestamp": EXPORT},
    ),
    "route53_resolver": (
        orjson.dumps(RESOLVER).decode(),
        {"dns.question.name": "www.example.com", "@timestamp": "2026-01-02T03:04:06.000Z"},
    ),
    "route53_public": (PUBLIC, {"dns.question.name": "example.com", "@timestamp": "2026-01-02T03:04:06.130Z"}),
    "eks": (
        "W0102 03:04:05.196323      10 reflector.go:123] watch ended",
        {"message": "watch ended", "log.level": "warning", "@timestamp": EXPORT},
    ),
    "waf": (
        '{"timestamp":1767323046130,"webaclId":"a","terminatingRuleId":"r","action":"BLOCK","httpRequest":{}}',
        {"event.action": "BLOCK", "@timestamp": "2026-01-02T03:04:06.130Z"},
    ),
    "ec2": (
        "Sep  7 15:04:42 ip-1 su[2]: said",
        {"message": "said", "process.pid": 2, "@timestamp": EXPORT},
    ),
    "cloudwatch": (f"{REPORT}\tStatus: timeout", {"event.outcome": "failure", "@timestamp": EXPORT}),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_lines_that_cloudwatch_logs_exported_are_read_behind_their_time(name):
    """As the type's own; the time in front is the event's, and counts as that would. The text stays whole."""
    message, expected = EXPORTS[name]
    made = stored(name, f"{EXPORT} {message}")
    holds(made, expected | {"tags": None, "event.original": f"{EXPORT} {message}"})
    envelope = stored(name, f"{EXPORT} {message}", splunk=True)
    assert (envelope["event"], envelope["time"]) == (f"{EXPORT} {message}", at(expected["@timestamp"]))


def at(text: str) -> float:
    """ISO 8601 as seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize("name", ["rds", "apigateway", "route53_public", "route53_resolver", "waf", "elb", "s3access"])
def test_an_exported_line_of_another_form_is_whole_in_the_message(name):
    """And marked; its time is that of the export where the type knows no better."""
    made = stored(name, f"{EXPORT} what is this")
    assert (made["message"], made["tags"], made["@timestamp"]) == (f"{EXPORT} what is this", ["unparsed"], EXPORT)
    assert stored(name, f"{EXPORT} what is this", splunk=True)["time"] == at(EXPORT)


def test_other_logs_of_databases_have_no_form_to_miss():
    """What Oracle's listener or a proxy writes is text, and nothing is wrong with it."""
    assert "tags" not in body("rds", "TNS-12505", "/aws/rds/instance/db-1/listener")
    assert body("rds", "TNS-12505", "/aws/rds/instance/db-1/postgresql")["tags"] == ["unparsed"]
    assert "tags" not in body("rds", SLOW, "/aws/rds/instance/db-1/slowquery")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (f"{EXPORT} said", (EXPORT, "said")),
        (f"{EXPORT} ", (EXPORT, "")),
        ("2026-07-29T10:00:00Z said", ("", "2026-07-29T10:00:00Z said")),
        (f"{EXPORT}\tsaid", ("", f"{EXPORT}\tsaid")),
        (f"{EXPORT} stdout F said", ("", f"{EXPORT} stdout F said")),
        (f"said {EXPORT} said", ("", f"said {EXPORT} said")),
    ],
)
def test_the_time_of_an_export_has_one_form(line, found):
    """With milliseconds, in UTC, and a space behind."""
    assert parted(line) == found
    assert is_exported(line.encode()) == bool(found[0])


FLOW = "2 111122223333 eni-1 203.0.113.9 10.0.0.5 54321 22 6 1 60 1767323045 1767323075 ACCEPT OK"


def flow_records(*lines: str, fields: tuple[str, ...] | None = None) -> list[Record]:
    payload = Payload(ORIGIN, iter(["\n".join(lines).encode()]))
    return [found for found in VpcFlowFormat(ReadLimits(), fields).records(payload) if isinstance(found, Record)]


def flow(encode: Encoder, record: Record) -> dict[str, Any]:
    made = encode(record)
    assert made is not None
    found: dict[str, Any] = orjson.loads(made.body)
    return found


@pytest.mark.parametrize("native", [True, False])
def test_flow_logs_that_cloudwatch_logs_exported_are_the_same_flows(native):
    """Of any documented format, mixed with others, and of a format that the source names."""
    encode = VpcFlowEcs("default", None, native=native).encoder(ORIGIN)
    exported, plain = (flow(encode, record) for record in flow_records(f"{EXPORT} {FLOW}", FLOW))
    assert exported["event"].pop("original") == f"{EXPORT} {FLOW}"
    assert plain["event"].pop("original") == FLOW
    assert exported == plain
    own = layout_from_log_format("${dstaddr} ${srcaddr} ${action}")
    (record,) = flow_records(f"{EXPORT} 10.0.0.5 203.0.113.9 REJECT", fields=own)
    assert record.layout == (EXPORT_TIME, *own)
    assert flow(encode, record)["source"]["ip"] == "203.0.113.9"


def test_an_exported_flow_log_of_no_known_format_is_no_record():
    """As without the time in front: fields are told by their number."""
    payload = Payload(ORIGIN, iter([f"{EXPORT} {FLOW} more".encode()]))
    (found,) = VpcFlowFormat(ReadLimits()).records(payload)
    assert isinstance(found, Rejected)
    first, second = flow_records(f"{EXPORT} {FLOW}", f"{EXPORT} {FLOW}")
    assert first.layout is second.layout
    assert first.layout == (EXPORT_TIME, *V2)


def test_an_exported_flow_that_says_no_time_has_that_of_the_export():
    """It is CloudWatch's own, so that nothing is marked; alike for both kinds of sinks."""
    line = f"{EXPORT} i-1 eni-1 203.0.113.9 10.0.0.5 203.0.113.9 10.0.0.5"
    made, envelope = stored("vpcflow", line), stored("vpcflow", line, splunk=True)
    assert (made["@timestamp"], "tags" in made) == (EXPORT, False)
    assert (envelope["time"], "shipper_tags" in envelope["fields"]) == (at(EXPORT), False)
    assert (envelope["event"]["@timestamp"], envelope["event"]["src_ip"]) == (EXPORT, "203.0.113.9")
    untimed = line.replace(EXPORT, "9999-99-99T10:00:00.000Z")
    assert stored("vpcflow", untimed)["tags"] == stored("vpcflow", untimed, splunk=True)["fields"]["shipper_tags"]


def test_splunk_gets_an_exported_flow_as_aws_wrote_it():
    """Its add-on knows the time in front; the envelope's time is the flow's own."""
    envelope = stored("vpcflow", f"{EXPORT} {FLOW}", splunk=True)
    assert (envelope["event"], envelope["time"]) == (f"{EXPORT} {FLOW}", 1767323045.0)
