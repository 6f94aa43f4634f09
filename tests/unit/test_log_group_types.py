"""`logs: auto`: what a log group holds."""

from __future__ import annotations

import pytest

from shipper.build import LOG_TYPES
from shipper.build.event_types import GroupTypes
from shipper.build.filter_patterns import type_of_patterns
from shipper.build.log_group_types import TAG, LogGroupTypes
from shipper.build.log_writers import Found, Written
from shipper.errors import RetryableError
from shipper.flow_layouts import V2
from shipper.sources.cloudwatch_groups import LogGroup


def group(name: str) -> LogGroup:
    return LogGroup(f"arn:{name}", "123456789012", "us-east-1", name, "STANDARD", 0.0)


def types(
    written: dict[str, Found] | None = None,
    tags: dict[str, str] | None = None,
    named: dict[str, str] | None = None,
    *,
    foreign: bool = False,
) -> LogGroupTypes:
    return LogGroupTypes(
        frozenset(LOG_TYPES),
        written=lambda _: Written(written or {}),
        tags=lambda _: tags or {},
        named=GroupTypes(named),
        foreign=foreign,
    )


@pytest.mark.parametrize("name", ["audit", "my-cloudtrail", "VPC_logs", "dns-resolver-queries", "/aws/rds/x", "mixed"])
def test_a_group_that_nothing_vouches_for_holds_plain_events(name):
    """Whatever its name reminds of: an application may choose it, and write into it."""
    assert types()(group(name)) == ("cloudwatch", None)


@pytest.mark.parametrize(
    ("named", "logs"),
    [
        ({"/my/trail": "cloudtrail"}, "cloudtrail"),
        ({"/my/*": "vpcflow", "/my/trail": "cloudtrail"}, "vpcflow"),
        ({"123456789012:/my/*": "cloudtrail"}, "cloudtrail"),
        ({"444455556666:/my/*": "cloudtrail"}, "cloudwatch"),
        ({"/my/trai": "cloudtrail"}, "cloudwatch"),
    ],
)
def test_the_configuration_names_types(named, logs):
    """By a name or a glob, the first that fits, of any account or of one."""
    assert types(named=named)(group("/my/trail")) == (logs, None)


def test_the_configuration_counts_most():
    """More than a tag, what a service writes, and AWS's names."""
    tell = types({"aws-waf-logs-a": ("cloudtrail", None)}, {TAG: "rds"}, {"aws-waf-logs-a": "cloudwatch"})
    assert tell(group("aws-waf-logs-a")) == ("cloudwatch", None)


def test_what_a_service_says_counts():
    """By ARN, or by name where the service knows no more; a flow log's fields come with it."""
    layout = ("srcaddr", "dstaddr", "action")
    assert types({"anything": ("vpcflow", layout)})(group("anything")) == ("vpcflow", layout)
    assert types({"arn:trail": ("cloudtrail", None)})(group("trail")) == ("cloudtrail", None)


def test_a_group_of_the_same_name_in_another_account_is_another():
    """A linked account's group has not the fields that a flow log writes to the own one."""
    arn = "arn:aws:logs:us-east-1:{}:log-group:net"
    own, linked = (
        LogGroup(arn.format(account), account, "us-east-1", "net", "STANDARD", 0.0)
        for account in ("123456789012", "444455556666")
    )
    tell = types({own.arn: ("vpcflow", ("srcaddr", "dstaddr"))})
    assert tell(own) == ("vpcflow", ("srcaddr", "dstaddr"))
    assert tell(linked) == ("cloudwatch", None)
    by_name = types({"net": ("vpcflow", None)}, foreign=True)
    assert by_name(linked) == ("cloudwatch", None), "where other accounts are read, a name alone tells nothing"


def test_half_an_answer_is_not_kept_for_an_hour():
    """A flow log of other fields than the usual ones, whose service was throttled, is told a minute later."""
    layout = tuple(reversed(V2))
    answers = [Written({}, whole=False), Written({"net": ("vpcflow", layout)})]
    now = [0.0]
    tell = LogGroupTypes(
        frozenset(LOG_TYPES),
        written=lambda _: answers.pop(0),
        tags=lambda _: {},
        monotonic=lambda: now[0],
    )
    assert tell(group("net")) == ("cloudwatch", None)
    now[0] = 59.0
    assert tell(group("net")) == ("cloudwatch", None)
    now[0] = 61.0
    assert tell(group("net")) == ("vpcflow", layout)
    now[0] = 3600.0
    assert tell(group("net")) == ("vpcflow", layout), "a whole answer is kept"
    answers.append(Written({}, whole=False))
    now[0] = 3662.0
    assert tell(group("net")) == ("vpcflow", layout), "until there is another whole one"


def test_a_groups_tag_counts_most():
    """The fields of a flow log are still AWS's to say; a tag that names no type counts for nothing."""
    layout = ("srcaddr", "dstaddr", "action")
    assert types({"x": ("cloudtrail", None)}, {TAG: "rds"})(group("x")) == ("rds", None)
    assert types({"x": ("vpcflow", layout)}, {TAG: "vpcflow"})(group("x")) == ("vpcflow", layout)
    assert types({}, {TAG: "cloudtrial"})(group("x")) == ("cloudwatch", None)


@pytest.mark.parametrize(
    ("name", "logs"),
    [
        ("/aws/rds/instance/db-1/error", "rds"),
        ("/aws/eks/prod/cluster", "eks"),
        ("/aws/containerinsights/prod/application", "containers"),
        ("/aws/containerinsights/prod/performance", "cloudwatch"),
        ("aws-cloudtrail-logs-123456789012-1a2b3c4d", "cloudtrail"),
        ("CloudTrail/DefaultLogGroup", "cloudtrail"),
        ("CloudTrail/logs", "cloudtrail"),
        ("aws-controltower/CloudTrailLogs", "cloudtrail"),
        ("aws-waf-logs-shop", "waf"),
        ("/aws/route53/example.com", "route53_public"),
        ("/aws/apigateway/shop", "apigateway"),
    ],
)
def test_names_that_aws_gives_vouch(name, logs):
    """A database's lines have no form of their own that would tell them."""
    assert types()(group(name)) == (logs, None)


def test_a_refused_look_holds_nothing_up():
    """Without the permission to read tags, what else vouches counts."""

    def refused(_: LogGroup) -> dict[str, str]:
        raise RetryableError("logs:ListTagsForResource is needed", paused=True)

    trail: dict[str, Found] = {"audit": ("cloudtrail", None)}
    tell = LogGroupTypes(frozenset(LOG_TYPES), written=lambda _: Written(trail), tags=refused)
    assert [tell(group(name))[0] for name in ("audit", "x")] == ["cloudtrail", "cloudwatch"]


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
    ("pattern", "tag", "told"),
    [
        ("[srcaddr, dstaddr, dstport, action]", "vpcflow", ("vpcflow", ("srcaddr", "dstaddr", "dstport", "action"))),
        (AWS_EXAMPLE, "vpcflow", ("vpcflow", V2)),
        (AWS_EXAMPLE, "cloudtrail", ("cloudtrail", None)),
        ("{ $.eventName = X }", "vpcflow", ("vpcflow", None)),
        (AWS_EXAMPLE, None, ("cloudwatch", None)),
        ("{ $.eventName = X }", None, ("cloudwatch", None)),
    ],
)
def test_a_subscription_names_fields_of_flow_logs_and_no_type(pattern, tag, told):
    """A pattern is what someone expected; it vouches for nothing that is written."""
    tell = LogGroupTypes(
        frozenset(LOG_TYPES),
        written=lambda _: Written({}),
        tags=lambda _: {TAG: tag} if tag else {},
        patterns=lambda _: [pattern],
    )
    assert tell(group("net")) == told


def test_subscriptions_are_asked_for_once_an_hour_and_only_of_flow_logs_without_fields():
    """Each question costs a call; a refused one holds nothing up."""
    asked: list[str] = []
    now = 0.0

    def patterns(of: LogGroup) -> list[str]:
        asked.append(of.name)
        raise RetryableError("logs:DescribeSubscriptionFilters is needed", paused=True)

    tell = LogGroupTypes(
        frozenset(LOG_TYPES),
        written=lambda _: Written({"told": ("cloudtrail", None), "known": ("vpcflow", V2)}),
        tags=lambda _: {},
        named=GroupTypes({"net": "vpcflow"}),
        patterns=patterns,
        monotonic=lambda: now,
    )
    for name in ("told", "known", "/aws/rds/instance/a/error", "plain", "net", "net"):
        tell(group(name))
    now = 3601.0
    assert tell(group("net")) == ("vpcflow", None)
    assert asked == ["net", "net"]
