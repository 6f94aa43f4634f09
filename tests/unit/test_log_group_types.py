"""`logs: auto`: what a log group holds."""

from __future__ import annotations

import pytest

from shipper.build.log_group_types import LogGroupTypes
from shipper.errors import RetryableError
from shipper.sources.cloudwatch_groups import LogGroup

TRAIL = '{"eventVersion":"1.11","eventSource":"s3.amazonaws.com","eventName":"X","eventID":"e"}'
FLOW = "2 123456789012 eni-1 203.0.113.7 10.0.0.5 51000 22 6 10 840 1772366710 1772366765 REJECT OK"


def group(name: str) -> LogGroup:
    return LogGroup(f"arn:{name}", "123456789012", "us-east-1", name, "STANDARD", 0.0)


def types(events: list[str], formats: dict[str, str] | None = None) -> LogGroupTypes:
    return LogGroupTypes(lambda _: formats or {}, lambda _: events)


@pytest.mark.parametrize(
    ("name", "events", "logs"),
    [
        ("audit", [TRAIL, TRAIL], "cloudtrail"),
        ("network", [FLOW, FLOW.replace("REJECT OK", "- NODATA")], "vpcflow"),
        ("/aws/lambda/x", ["START RequestId: 1 Version: 1", "text"], "cloudwatch"),
        ("mixed", [TRAIL, "text"], "cloudwatch"),
        ("prose", ["one two three four five six seven eight nine ten eleven twelve thirteen fourteen"], "cloudwatch"),
        ("my-cloudtrail", ["no trail at all"], "cloudwatch"),
        ("aws-cloudtrail-logs-1", [], "cloudtrail"),
        ("VPC_logs", [], "vpcflow"),
        ("/aws/rds/x", [], "cloudwatch"),
    ],
)
def test_events_say_what_a_group_holds_and_its_name_where_there_are_none(name, events, logs):
    """What is there counts for more than what it is called."""
    assert types(events)(group(name)) == (logs, None)


def test_a_flow_logs_own_format_counts_most():
    """DescribeFlowLogs names the group and its fields in their order."""
    found = types([], {"anything": "${srcaddr} ${dstaddr} ${action}"})(group("anything"))
    assert found == ("vpcflow", ("srcaddr", "dstaddr", "action"))


def test_a_refused_look_holds_nothing_up():
    """Without the permission, or while AWS is busy, the name counts for now, and the next look asks again."""
    answers: list[list[str] | Exception] = [RetryableError("busy"), [TRAIL]]

    def events(_: LogGroup) -> list[str]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def refused(_: str) -> dict[str, str]:
        raise RetryableError("ec2:DescribeFlowLogs is needed", paused=True)

    tell = LogGroupTypes(refused, events)
    assert [tell(group("audit"))[0] for _ in range(3)] == ["cloudwatch", "cloudtrail", "cloudtrail"]
