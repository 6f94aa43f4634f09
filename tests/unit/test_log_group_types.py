"""`logs: auto`: what a log group holds."""

from __future__ import annotations

import pytest

from shipper.build import LOG_TYPES
from shipper.build.log_group_types import TAG, LogGroupTypes
from shipper.build.log_writers import Found
from shipper.errors import RetryableError
from shipper.sources.cloudwatch_groups import LogGroup

TRAIL = '{"eventVersion":"1.11","eventSource":"s3.amazonaws.com","eventName":"X","eventID":"e"}'
FLOW = "2 123456789012 eni-1 203.0.113.7 10.0.0.5 51000 22 6 10 840 1772366710 1772366765 REJECT OK"


def group(name: str) -> LogGroup:
    return LogGroup(f"arn:{name}", "123456789012", "us-east-1", name, "STANDARD", 0.0)


def types(
    events: list[str], written: dict[str, Found] | None = None, tags: dict[str, str] | None = None
) -> LogGroupTypes:
    return LogGroupTypes(
        frozenset(LOG_TYPES), written=lambda _: written or {}, tags=lambda _: tags or {}, first_events=lambda _: events
    )


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


def test_what_a_service_says_counts_more_than_events():
    """By ARN, or by name where the service knows no more; a flow log's fields come with it."""
    layout = ("srcaddr", "dstaddr", "action")
    assert types([TRAIL], {"anything": ("vpcflow", layout)})(group("anything")) == ("vpcflow", layout)
    assert types([FLOW], {"arn:trail": ("cloudtrail", None)})(group("trail")) == ("cloudtrail", None)


def test_a_groups_tag_counts_most():
    """The fields of a flow log are still AWS's to say; a tag that names no type counts for nothing."""
    layout = ("srcaddr", "dstaddr", "action")
    assert types([FLOW], {"x": ("cloudtrail", None)}, {TAG: "rds"})(group("x")) == ("rds", None)
    assert types([], {"x": ("vpcflow", layout)}, {TAG: "vpcflow"})(group("x")) == ("vpcflow", layout)
    assert types([TRAIL], {}, {TAG: "cloudtrial"})(group("x")) == ("cloudtrail", None)


@pytest.mark.parametrize(
    ("name", "logs"),
    [
        ("/aws/rds/instance/db-1/error", "rds"),
        ("/aws/eks/prod/cluster", "eks"),
        ("/aws/containerinsights/prod/application", "containers"),
        ("/aws/containerinsights/prod/performance", "cloudwatch"),
        ("dns-resolver-queries", "route53_resolver"),
        ("/aws/route53/example.com", "route53_public"),
        ("/aws/apigateway/shop", "apigateway"),
    ],
)
def test_names_that_aws_gives_need_no_events(name, logs):
    """A database's lines have no form of their own that would tell them."""
    assert types([])(group(name)) == (logs, None)


def test_a_refused_look_holds_nothing_up():
    """Without the permission, or while AWS is busy, the name counts for now, and the next look asks again."""
    answers: list[list[str] | Exception] = [RetryableError("busy"), [TRAIL]]

    def events(_: LogGroup) -> list[str]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def refused(_: LogGroup) -> dict[str, str]:
        raise RetryableError("logs:ListTagsForResource is needed", paused=True)

    tell = LogGroupTypes(frozenset(LOG_TYPES), written=lambda _: {}, tags=refused, first_events=events)
    assert [tell(group("audit"))[0] for _ in range(3)] == ["cloudwatch", "cloudtrail", "cloudtrail"]
