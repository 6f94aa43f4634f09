"""`logs: auto`: what a log group holds."""

from __future__ import annotations

import pytest

from shipper.build import LOG_TYPES
from shipper.build.filter_patterns import type_of_patterns
from shipper.build.log_group_types import TAG, LogGroupTypes
from shipper.build.log_writers import Found, Written
from shipper.errors import RetryableError
from shipper.flow_layouts import V2
from shipper.sources.cloudwatch_groups import LogGroup

TRAIL = '{"eventVersion":"1.11","eventSource":"s3.amazonaws.com","eventName":"X","eventID":"e"}'
FLOW = "2 123456789012 eni-1 203.0.113.7 10.0.0.5 51000 22 6 10 840 1772366710 1772366765 REJECT OK"


def group(name: str) -> LogGroup:
    return LogGroup(f"arn:{name}", "123456789012", "us-east-1", name, "STANDARD", 0.0)


def types(
    events: list[str], written: dict[str, Found] | None = None, tags: dict[str, str] | None = None
) -> LogGroupTypes:
    return LogGroupTypes(
        frozenset(LOG_TYPES),
        written=lambda _: Written(written or {}),
        tags=lambda _: tags or {},
        first_events=lambda _: events,
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


def test_a_group_of_the_same_name_in_another_account_is_another():
    """A linked account's group has not the fields that a flow log writes to the own one."""
    arn = "arn:aws:logs:us-east-1:{}:log-group:net"
    own, linked = (
        LogGroup(arn.format(account), account, "us-east-1", "net", "STANDARD", 0.0)
        for account in ("123456789012", "444455556666")
    )
    tell = types([FLOW], {own.arn: ("vpcflow", ("srcaddr", "dstaddr"))})
    assert tell(own) == ("vpcflow", ("srcaddr", "dstaddr"))
    assert tell(linked) == ("vpcflow", None)


def test_half_an_answer_is_not_kept_for_an_hour():
    """A flow log of other fields than the usual ones, whose service was throttled, is told a minute later."""
    layout = tuple(reversed(V2))
    answers = [Written({}, whole=False), Written({"net": ("vpcflow", layout)})]
    now = [0.0]
    tell = LogGroupTypes(
        frozenset(LOG_TYPES),
        written=lambda _: answers.pop(0),
        tags=lambda _: {},
        first_events=lambda _: [FLOW],
        monotonic=lambda: now[0],
    )
    assert tell(group("net")) == ("vpcflow", None)
    now[0] = 59.0
    assert tell(group("net")) == ("vpcflow", None)
    now[0] = 61.0
    assert tell(group("net")) == ("vpcflow", layout)
    now[0] = 3600.0
    assert tell(group("net")) == ("vpcflow", layout), "a whole answer is kept"


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

    tell = LogGroupTypes(frozenset(LOG_TYPES), written=lambda _: Written({}), tags=refused, first_events=events)
    assert [tell(group("audit"))[0] for _ in range(3)] == ["cloudwatch", "cloudtrail", "cloudtrail"]


AWS_EXAMPLE = (
    '[version, account, eni, source, destination, srcport, destport="22", protocol="6", packets, bytes, windowstart, '
    'windowend, action="REJECT", flowlogstatus]'
)


@pytest.mark.parametrize(
    ("patterns", "said"),
    [
        ([AWS_EXAMPLE], ("vpcflow", V2)),
        (
            ["[srcaddr=10.*, dstaddr, dst_port = 22 || dstport = 3389, action]"],
            ("vpcflow", ("srcaddr", "dstaddr", "dstport", "action")),
        ),
        (["[srcaddr, srcaddr, dstaddr, dstport, action]"], ("vpcflow", None)),
        (['[srcaddr, dstaddr, dstport="2,2", action]'], ("vpcflow", ("srcaddr", "dstaddr", "dstport", "action"))),
        (["[..., srcaddr, dstaddr, action=REJECT, log_status]"], ("vpcflow", None)),
        (["[interface-id, srcaddr, dstaddr, dstport, action, mine]"], ("vpcflow", None)),
        (["[ip, user, username, timestamp, request, status_code=4*, bytes]"], None),
        (['{ ($.eventName = "ConsoleLogin") && ($.additionalEventData.MFAUsed != "Yes") }'], ("cloudtrail", None)),
        (["{ $.firewall_rule_action = BLOCK }", ""], ("route53_resolver", None)),
        (["{ $.level = ERROR }"], None),
        ([AWS_EXAMPLE, "{ $.eventName = X }"], None),
        ([AWS_EXAMPLE, "[srcaddr, dstaddr, dstport, action]"], ("vpcflow", None)),
        (["", "ERROR", "%x[0-9]%", "[", "[]", "{"], None),
        ([], None),
    ],
)
def test_a_subscriptions_pattern_names_what_it_was_written_for(patterns, said):
    """Only what all agree in; sloppy names, and those of other lines, say nothing."""
    assert type_of_patterns(patterns) == said


@pytest.mark.parametrize(
    ("pattern", "events", "told"),
    [
        ("[srcaddr, dstaddr, dstport, action]", [], ("vpcflow", ("srcaddr", "dstaddr", "dstport", "action"))),
        (
            "[srcaddr, dstaddr, dstport, action]",
            ["203.0.113.7 10.0.0.5 22 REJECT"],
            ("vpcflow", ("srcaddr", "dstaddr", "dstport", "action")),
        ),
        ("[srcaddr, dstaddr, dstport, action]", ["an application's line"], ("cloudwatch", None)),
        (AWS_EXAMPLE, [FLOW], ("vpcflow", V2)),
        (AWS_EXAMPLE, [TRAIL], ("cloudtrail", None)),
        ("{ $.eventName = X }", [], ("cloudtrail", None)),
        ("{ $.eventName = X }", ["text"], ("cloudwatch", None)),
        ("ERROR", [TRAIL], ("cloudtrail", None)),
    ],
)
def test_events_count_more_than_a_subscription_which_alone_names_fields(pattern, events, told):
    """A pattern is what an operator expected; where there are events they must fit it."""
    tell = LogGroupTypes(
        frozenset(LOG_TYPES),
        written=lambda _: Written({}),
        tags=lambda _: {},
        first_events=lambda _: events,
        patterns=lambda _: [pattern],
    )
    assert tell(group("net")) == told


def test_subscriptions_are_asked_for_once_an_hour_and_only_where_nothing_else_tells():
    """Each question costs a call; a refused one holds nothing up."""
    asked: list[str] = []
    now = 0.0

    def patterns(of: LogGroup) -> list[str]:
        asked.append(of.name)
        raise RetryableError("logs:DescribeSubscriptionFilters is needed", paused=True)

    tell = LogGroupTypes(
        frozenset(LOG_TYPES),
        written=lambda _: Written({"told": ("cloudtrail", None)}),
        tags=lambda _: {},
        first_events=lambda _: [],
        patterns=patterns,
        monotonic=lambda: now,
    )
    for name in ("told", "/aws/rds/instance/a/error", "audit", "audit"):
        tell(group(name))
    now = 3601.0
    assert tell(group("audit")) == ("cloudwatch", None)
    assert asked == ["audit", "audit"]
