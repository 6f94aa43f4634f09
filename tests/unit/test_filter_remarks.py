"""Fields that no record has: `shipper check` remarks on them, with the nearest name, for every log type."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest

from shipper import cli
from shipper.access_layouts import APPLICATION, CLASSIC, CONNECTION, NETWORK, S3
from shipper.config import Settings, parse
from shipper.config.field_remarks import remarks_of, types_of
from shipper.config.known_fields import FIELDS
from shipper.config.values import LogTypeName, Surroundings
from tests.fakes.cloudtrail import Trail
from tests.unit.test_waf import BLOCKED

WRONG = [
    ("cloudtrail", "eventname", "eventName"),
    ("cloudtrail", "useragent", "userAgent"),
    ("cloudtrail", "event_name", "eventName"),
    ("cloudtrail", "evntName", "eventName"),
    ("cloudtrail", "sourceIpAddress", "sourceIPAddress"),
    ("cloudtrail", "userName", "userIdentity.userName"),
    ("cloudtrail", "userIdentity.username", "userIdentity.userName"),
    ("cloudtrail", "useridentity.type", "userIdentity.type"),
    ("cloudtrail", "userIdentity.sessionContext.sessionIssuer.arm", "userIdentity.sessionContext.sessionIssuer.arn"),
    ("cloudtrail", "requestparameters.bucketName", "requestParameters.bucketName"),
    ("cloudtrail", "requestParameter.bucketName", "requestParameters.bucketName"),
    ("cloudtrail", "source.ip", "sourceIPAddress"),
    ("cloudtrail", "event.action", "eventName"),
    ("cloudtrail", "tlsDetails.tlsversion", "tlsDetails.tlsVersion"),
    ("elb", "http.request", "request"),
    ("elb", "useragent", "user_agent"),
    ("elb", "status", "elb_status_code"),
    ("elb", "client_ip", "client"),
    ("s3access", "remoteip", "remote_ip"),
    ("s3access", "http.response.status_code", "http_status"),
    ("waf", "httprequest.clientIp", "httpRequest.clientIp"),
    ("waf", "clientIp", "httpRequest.clientIp"),
    ("waf", "webAclId", "webaclId"),
    ("waf", "terminatingRuleID", "terminatingRuleId"),
    ("route53_resolver", "queryName", "query_name"),
    ("route53_resolver", "query_nam", "query_name"),
    ("route53_resolver", "srcids.instances", "srcids.instance"),
    ("eks", "objectref.resource", "objectRef.resource"),
    ("eks", "user.name", "user.username"),
    ("eks", "Verb", "verb"),
    ("apigateway", "httpmethod", "httpMethod"),
    ("apigateway", "responseLenght", "responseLength"),
    ("containers", "kubernetes.podname", "kubernetes.pod_name"),
    ("containers", "containerId", "container_id"),
    ("subscription", "eventname", "eventName"),
    ("subscription", "queryname", "query_name"),
    ("vpcflow", "scraddr", "srcaddr"),
]
RIGHT = [
    ("cloudtrail", "requestParameters.ipPermissions.items.ipRanges"),
    ("cloudtrail", "userIdentity.sessionContext.webIdFederationData.attributes.aud"),
    ("cloudtrail", "resources.ARN"),
    ("cloudtrail", "summary.primaryDimension.dimension"),
    ("cloudtrail", "userIdentity"),
    ("elb", "User-Agent"),
    ("vpcflow", "pkt_srcaddr"),
    ("eks", "annotations.authorization.k8s.io"),
    ("eks", "requestObject.spec.containers.image"),
    ("apigateway", "ourOwnName"),
    ("containers", "kubernetes.labels.app"),
    ("containers", "level"),
    ("cloudwatch", "eventname"),
    ("ec2", "anything.at.all"),
    ("subscription", "level"),
    ("subscription", "dstport"),
    ("subscription", "eventName"),
]


def of_type(logs: str, name: str) -> list[tuple[str, str]]:
    return list(remarks_of([name], types_of(logs, "s3")))


@pytest.mark.parametrize(("logs", "name", "near"), WRONG)
def test_a_field_that_no_record_has_is_told_with_the_nearest_name(logs, name, near):
    """In the wrong case, misspelled, without its path, or by its name in documents."""
    ((what, hint),) = of_type(logs, name)
    assert f"'{name}'" in what
    assert f" {near}?" in hint or f"write {near}," in hint


@pytest.mark.parametrize(("logs", "name"), RIGHT)
def test_a_field_that_a_record_may_have_is_not_told(logs, name):
    """Open parts hold anything; so do the messages of applications."""
    assert of_type(logs, name) == []


@pytest.mark.parametrize("logs", ["rds", "route53_public"])
def test_plain_lines_have_no_fields(logs):
    """A rule for them has no effect, and that is told once, not for each field."""
    ((what, _),) = remarks_of(["a", "b"], types_of(logs, "s3"))
    assert "plain lines" in what


def test_a_name_that_is_like_no_other_is_told_without_a_guess():
    """What the names are is said instead."""
    ((_, hint),) = of_type("cloudtrail", "xyzzy")
    assert hint == "fields have the names that AWS gives them in the records"


def test_every_log_type_has_its_fields():
    """A new one cannot be forgotten."""
    assert set(FIELDS) == set(get_args(LogTypeName))


def paths(node: Any, before: str = "") -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from paths(item, before)
    elif isinstance(node, dict):
        for key, value in node.items():
            yield f"{before}{key}"
            yield from paths(value, f"{before}{key}.")


def test_all_fields_of_usual_records_are_known():
    """What a record really has is never remarked on."""
    from datetime import UTC, datetime

    trail = Trail(datetime(2026, 3, 1, tzinfo=UTC))
    for logs, record in (("waf", BLOCKED), ("cloudtrail", trail._record("111122223333", trail.now))):
        found = set(paths(orjson.loads(orjson.dumps(record))))
        assert [name for name in found if of_type(logs, name)] == []
    for logs, layouts in (("elb", (APPLICATION, NETWORK, CLASSIC, CONNECTION)), ("s3access", (S3,))):
        assert [name for layout in layouts for name in layout if of_type(logs, name)] == []


def settings(source: str, sink: str = "") -> Settings:
    text = f"sources: {{logs: {{{source}}}}}\nsinks: {{all: {{type: archive, path: a{sink}}}}}\n"
    return parse(text, name="s.yaml", environ={}, around=Surroundings(folder=Path("/etc")))


BUCKET = "type: s3, bucket: my-logs"
QUEUE = "type: s3_notifications, queue_url: 'https://sqs.eu-west-1.amazonaws.com/111122223333/q', buckets: [my-logs]"
GROUPS = "type: cloudwatch_logs, log_groups: [/a], regions: [eu-west-1]"
EVENTNAME = """filter: 'drop eventname == "x"'"""


@pytest.mark.parametrize(
    ("source", "sink", "place"),
    [
        (f"{BUCKET}, {EVENTNAME}", "", "sources.logs.filter"),
        (f"{BUCKET}, logs: subscription, {EVENTNAME}", "", "sources.logs.filter"),
        (f"{QUEUE}, {EVENTNAME}", "", "sources.logs.filter"),
        (f"{GROUPS}, {EVENTNAME}", "", "sources.logs.filter"),
        (BUCKET, f", {EVENTNAME}", "sinks.all.filter"),
    ],
)
def test_the_remark_stands_at_the_rule_of_each_kind_of_source_and_of_a_sink(source, sink, place):
    """It is no problem: AWS may add a field tomorrow."""
    (remark,) = settings(source, sink).remarks()
    assert (remark.where, remark.serious) == (place, False)
    assert "eventName" in remark.what + remark.hint


def test_a_rule_that_fits_one_of_several_log_types_is_right():
    """A queue's objects, and a sink's sources, are of several."""
    assert settings(f'{QUEUE}, filter: \'drop dstport == 1 or eventName == "x" or query_name == "y"\'').remarks() == []
    assert settings(f"{GROUPS}, logs: vpcflow, format: 'srcaddr our-field', filter: 'our-field == 1'").remarks() == []


def test_check_and_decode_show_the_remark(tmp_path, capfd):
    """With the line of the rule, and exit code 0."""
    file = tmp_path / "shipper.yaml"
    file.write_text(
        f"state: {{path: {tmp_path / 'state'}}}\n"
        f"sources:\n  logs:\n    type: s3\n    bucket: my-logs\n    {EVENTNAME}\n"
        f"sinks: {{all: {{type: archive, path: {tmp_path / 'a'}}}}}\n"
    )
    file.chmod(0o600)
    assert cli.run(["check", "--offline", "-c", str(file)]) == 0
    out = capfd.readouterr().out
    assert "sources.logs.filter: no record of cloudtrail has a field 'eventname'" in out
    assert "(line 6)" in out
    assert "did you mean eventName?" in out
    assert cli.run(["check", "--offline", "--json", "-c", str(file)]) == 0
    assert json.loads(capfd.readouterr().out)["problems"][0]["serious"] is False
    record = tmp_path / "r.json"
    record.write_text('{"Records":[]}')
    assert cli.run(["decode", "--type", "cloudtrail", "--filter", 'drop eventname == "x"', str(record)]) == 0
    assert "remark: no record of cloudtrail has a field 'eventname'" in capfd.readouterr().err
