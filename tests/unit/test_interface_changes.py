"""What CloudTrail and descriptions tell of network interfaces and instances."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from shipper.enrich.interface_changes import HANDLERS
from shipper.enrich.interface_services import service_of
from shipper.model import Instance, Origin, Record
from shipper.schemas.ecs.cloudtrail import CloudTrailEcs
from shipper.schemas.interface_changes import CHANGES
from shipper.schemas.splunk.cloudtrail import CloudTrailSplunk
from tests.fakes.interfaces import (
    ACCOUNT,
    NOW,
    PLACE,
    REGION,
    InterfaceBench,
    interface,
    items,
    launched,
    learn,
    made,
    owner,
)


@pytest.fixture
def bench():
    inventory = InterfaceBench()
    yield inventory
    inventory.ec2.gate.set()
    inventory.stop.request()


def test_launches_and_terminations_are_known_at_once(bench):
    """RunInstances and TerminateInstances in any order, seen twice, before and after the listing."""
    found = bench.interfaces()
    run = ("RunInstances", NOW, None, launched("i-1", "eni-1", "10.0.0.5"))
    end = ("TerminateInstances", NOW + 500, {"instancesSet": items({"instanceId": "i-1"})})
    learn(found, *run)
    answer = found.address("10.0.0.5", "vpc-1", NOW + 100)
    assert answer.instance == Instance("i-1", NOW, "name of i-1", {"Name": "name of i-1", "team": "web"})
    assert owner(found, NOW - 1) is None
    learn(found, *end)
    version = found.version
    learn(found, *run)
    learn(found, *end)
    assert found.version == version
    learn(found, "RunInstances", NOW + 700, None, launched("i-2", "eni-2", "10.0.0.5"))
    assert [owner(found, NOW + at) for at in (499, 699, 700, 90_000)] == ["eni-1", "eni-1", "eni-2", "eni-2"]
    learn(found, "TerminateInstances", NOW + 800, {"instancesSet": items({"instanceId": "i-2"})})
    assert owner(found, NOW + 1_399) == "eni-2"  # its last records are of up to ten minutes later
    assert owner(found, NOW + 1_400) is None


def test_many_changes_cost_cached_answers_once_in_a_while(bench):
    """A stream of changes is told of at most once in so many seconds, and by the next payload at the latest."""
    bench.calm_seconds = 0.2
    found = bench.interfaces()
    began = time.monotonic()
    versions = set()
    for number in range(1_000):
        learn(found, "CreateNetworkInterface", NOW, None, {"networkInterface": made(f"eni-{number}", "10.0.0.5")})
        versions.add(found.version)
    assert len(versions) <= 1 + (time.monotonic() - began) / 0.2 + 1
    version = found.version
    learn(found, "CreateNetworkInterface", NOW, None, {"networkInterface": made("eni-last", "10.0.0.6")})
    deadline = time.monotonic() + 60
    while found.version == version:
        assert time.monotonic() < deadline
        bench.stop.rest(0.01)
        found.want("no account", "")  # as each payload does
    assert owner(found, NOW, "10.0.0.6") == "eni-last"


def test_a_record_newer_than_a_listing_counts_for_more(bench):
    """A listing under way neither ends what was made meanwhile, nor brings back what was deleted."""
    found = bench.interfaces()
    bench.ec2.of_places[PLACE] = [interface("eni-1")]
    bench.listed(found)
    learn(found, "DeleteNetworkInterface", NOW + 10, {"networkInterfaceId": "eni-1"})
    learn(found, "CreateNetworkInterface", NOW + 10, None, {"networkInterface": made("eni-2", "10.0.0.6")})
    bench.listed(found)
    known = found.interface("eni-1", NOW).interface, found.interface("eni-2", NOW).interface
    assert [one.until for one in known if one] == [NOW + 10, None]


def test_late_records_date_what_listings_only_found(bench):
    """Creation and deletion are told exactly, though the listing before noticed them later."""
    found = bench.interfaces()
    bench.ec2.of_places[PLACE] = []
    bench.listed(found)
    bench.now += 300
    bench.ec2.of_places[PLACE] = [interface("eni-1")]
    bench.listed(found)
    assert owner(found, NOW + 1) == "eni-1"
    bench.now += 300
    bench.ec2.of_places[PLACE] = []
    bench.listed(found)
    learn(found, "DeleteNetworkInterface", NOW + 400, {"networkInterfaceId": "eni-1"})
    known = found.interface("eni-1", NOW).interface
    assert known is not None
    assert (known.since, known.until) == (NOW, NOW + 400)


def test_changes_follow_one_another(bench):
    """Attach, detach, addresses and tags: each from its own time on."""
    found = bench.interfaces(tags=frozenset({"team"}))
    tags = items({"key": "team", "value": "a"}, {"key": "x", "value": "y"})
    service = {"description": "RDSNetworkInterface", "requesterId": "amazon-rds"}
    learn(found, "CreateNetworkInterface", NOW, None, {"networkInterface": made("eni-1", "10.0.0.5", tagSet=tags)})
    learn(found, "CreateNetworkInterface", NOW, None, {"networkInterface": made("eni-2", "10.0.0.6", **service)})
    joined = {"networkInterfaceId": "eni-1", "instanceId": "i-1"}
    learn(found, "AttachNetworkInterface", NOW + 10, joined, {"attachmentId": "eni-attach-1"})
    given = {"assignedPrivateIpAddressesSet": {"assignedPrivateIpAddressSetType": [{"privateIpAddress": "10.0.0.7"}]}}
    learn(found, "AssignPrivateIpAddresses", NOW + 20, {"networkInterfaceId": "eni-1"}, given)
    learn(
        found,
        "CreateTags",
        NOW + 30,
        {
            "resourcesSet": items({"resourceId": "eni-1"}),
            "tagSet": items({"key": "team", "value": "b"}, {"key": "Name", "value": "called"}),
        },
    )
    taken = {"networkInterfaceId": "eni-1", "privateIpAddressesSet": items({"privateIpAddress": "10.0.0.7"})}
    learn(found, "UnassignPrivateIpAddresses", NOW + 40, taken)
    learn(found, "DetachNetworkInterface", NOW + 50, {"attachmentId": "eni-attach-1"})
    learn(
        found,
        "DeleteTags",
        NOW + 60,
        {"resourcesSet": items({"resourceId": "eni-1"}), "tagSet": items({"key": "team"}, {"key": "Name"})},
    )
    seen = []
    for at in range(0, 70, 10):
        one = found.interface("eni-1", NOW + at).interface
        assert one is not None
        seen.append((one.instance, len(one.private), one.tags.get("team"), one.name, one.service))
    assert seen == [
        (None, 1, "a", None, None),
        ("i-1", 1, "a", None, "ec2"),
        ("i-1", 2, "a", None, "ec2"),
        ("i-1", 2, "b", "called", "ec2"),
        ("i-1", 1, "b", "called", "ec2"),
        (None, 1, "b", "called", None),
        (None, 1, None, None, None),
    ]
    assert owner(found, NOW + 25, "10.0.0.7") == "eni-1"
    other = found.interface("eni-2", NOW).interface
    assert other is not None
    assert (other.service, other.tags) == ("rds", {})


def test_names_of_machines_change(bench):
    """CreateTags and DeleteTags of an instance; an older one changes nothing."""
    found = bench.interfaces()
    learn(found, "RunInstances", NOW, None, launched("i-1", "eni-1", "10.0.0.5"))

    def name() -> str | None:
        instance: Instance | None = found.interface("eni-1", NOW).instance
        assert instance is not None
        return instance.name

    of = {"resourcesSet": items({"resourceId": "i-1"}, {"resourceId": "vol-1"})}
    learn(found, "CreateTags", NOW + 9, of | {"tagSet": items({"key": "Name", "value": "new"})})
    assert name() == "new"
    learn(found, "CreateTags", NOW + 5, of | {"tagSet": items({"key": "Name", "value": "older"})})
    assert name() == "new"
    learn(found, "DeleteTags", NOW + 10, of | {"tagSet": items({"key": "Name"})})
    assert name() is None


@pytest.mark.parametrize("event", sorted(CHANGES))
def test_odd_records_change_nothing(bench, event):
    """Whatever a record holds, nothing is raised, and nothing of it is believed."""
    found = bench.interfaces()
    odd: Any
    for odd in (
        None,
        5,
        "x",
        [],
        [5],
        {"items": 5},
        {"items": [5, {"networkInterfaceId": 7, "instanceId": []}]},
        {"a": {}},
    ):
        names = ("networkInterface", "networkInterfaceId", "instancesSet", "resourcesSet", "tagSet", "attachmentId")
        parts = dict.fromkeys((*names, "instanceId", "privateIpAddressesSet", "assignedPrivateIpAddressesSet"), odd)
        learn(found, event, NOW, parts, parts)
    assert found.version == 0


@pytest.mark.parametrize("splunk", [False, True])
def test_records_of_either_kind_of_sink_are_learned_from(bench, splunk):
    """Successful calls of EC2 alone, whichever documents are made of them."""
    found = bench.interfaces()
    schema = (
        CloudTrailSplunk("", "", None, interfaces=found) if splunk else CloudTrailEcs("default", None, interfaces=found)
    )
    encode = schema.encoder(Origin("s3://a/b", "a", "b"))
    fields = {
        "eventTime": "2026-01-05T12:00:01Z",
        "eventSource": "ec2.amazonaws.com",
        "eventName": "RunInstances",
        "awsRegion": REGION,
        "recipientAccountId": ACCOUNT,
        "eventID": "1",
        "responseElements": launched("i-1", "eni-1", "10.0.0.5"),
    }
    for other in (
        {"errorCode": "Client.UnauthorizedOperation"},
        {"eventSource": "x.amazonaws.com"},
        {"awsRegion": None},
    ):
        assert encode(Record(json.dumps(fields | other).encode(), 0)) is not None
        assert found.interface("eni-1", NOW).interface is None
    assert encode(Record(json.dumps(fields).encode(), 0)) is not None
    known = found.interface("eni-1", NOW).interface
    assert known is not None
    at = datetime(2026, 1, 5, 12, 0, 1, tzinfo=UTC).timestamp()
    assert (known.since, known.instance, known.account, known.region) == (at, "i-1", ACCOUNT, REGION)


def test_both_sides_know_the_same_calls():
    """What schemas hand on is what is understood."""
    assert set(HANDLERS) == CHANGES


@pytest.mark.parametrize(
    ("made_by", "description", "tags", "attached", "expected"),
    [
        (("interface", "amazon-elb"), "ELB app/front/0123456789abcdef", {}, False, ("load_balancer", "front")),
        (("network_load_balancer", None), "ELB net/inner/0123456789abcdef", {}, False, ("load_balancer", "inner")),
        (("interface", "amazon-elb"), "ELB classic-one", {}, False, ("load_balancer", "classic-one")),
        (("nat_gateway", None), "Interface for NAT Gateway nat-0ab", {}, False, ("nat_gateway", "nat-0ab")),
        (("natGateway", None), "", {}, False, ("nat_gateway", None)),
        (
            ("lambda", None),
            "AWS Lambda VPC ENI-pay-in-30bb1fd5-e726-4d80-9ff2-52fd62cd548c",
            {},
            False,
            ("lambda", "pay-in"),
        ),
        (("lambda", None), "AWS Lambda VPC ENI-pay-in", {}, False, ("lambda", "pay-in")),
        (("interface", "amazon-rds"), "RDSNetworkInterface", {}, False, ("rds", None)),
        (("interface", None), "EFS mount target for fs-0ab (fsmt-0cd)", {}, False, ("efs", "fs-0ab")),
        (("vpc_endpoint", None), "VPC Endpoint Interface vpce-0ab", {}, False, ("vpc_endpoint", "vpce-0ab")),
        (("interface", None), "Amazon EKS prod", {}, False, ("eks", "prod")),
        (("branch", None), "aws-k8s-branch-eni", {"eks:cluster-name": "prod"}, False, ("eks_pod", "prod")),
        (("interface", None), "aws-K8S-i-0ab", {"cluster.k8s.amazonaws.com/name": "prod"}, True, ("eks_node", "prod")),
        (("interface", None), "", {"eks:cluster-name": "prod"}, True, ("eks_node", "prod")),
        (("interface", None), "arn:aws:ecs:eu-west-1:111122223333:attachment/0ab", {}, False, ("ecs", "0ab")),
        (
            ("interface", None),
            "arn:aws:ecs:eu-west-1:111122223333:attachment/0ab",
            {"aws:ecs:serviceName": "api"},
            False,
            ("ecs", "api"),
        ),
        (
            ("transit_gateway", None),
            "Network Interface for Transit Gateway Attachment tgw-attach-0ab",
            {},
            False,
            ("transit_gateway", "tgw-attach-0ab"),
        ),
        (("interface", None), "Primary network interface", {}, True, ("ec2", None)),
        (("interface", "AIDAX"), "mine", {}, False, (None, None)),
        ((None, None), None, {}, False, (None, None)),
    ],
)
def test_services_are_told_by_what_they_write(made_by, description, tags, attached, expected):
    """Type, requester, description and tags say for whom an interface works."""
    kind, requester = made_by
    assert service_of(kind, requester, description, tags, attached=attached) == expected
