"""Whose network interfaces and addresses were when: listings, restarts, failures and bounds."""

from __future__ import annotations

import sqlite3

import pytest
import structlog

from shipper.errors import RetryableError
from shipper.model import Instance
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


def test_a_listing_names_machine_and_tags(bench):
    """From EC2's listings to an owner with its instance, chosen tags alone; its first question finds nothing."""
    bench.ec2.of_places[PLACE] = [interface("eni-1", since=NOW - 900, instance="i-1", tags={"a": "1", "b": "2"})]
    bench.ec2.machines[PLACE] = [Instance("i-1", 0.0, "web-1", {"Name": "web-1", "team": "web", "b": "3"})]
    found = bench.interfaces(tags=frozenset({"a", "b", "team"}), without_tags=frozenset({"b"}))
    assert found.interface("eni-1", NOW).interface is None
    version = found.version
    bench.listed(found)
    answer = found.interface("eni-1", NOW)
    assert answer.interface is not None
    assert answer.interface.tags == {"a": "1"}
    assert answer.instance == Instance("i-1", NOW, "web-1", {"team": "web"})
    assert found.version != version
    version = found.version
    bench.now += 300
    bench.listed(found)
    assert found.version == version  # nothing new: what was answered still holds


def test_an_address_belongs_to_whom_it_belonged_then(bench):
    """A record of 10:00 gets the owner of 10:00, even if another has the address now; answers say for how long."""
    found = bench.interfaces()
    bench.ec2.of_places[PLACE] = [interface("eni-old", since=NOW - 7_200, instance="i-old")]
    bench.listed(found)
    bench.now = NOW + 3_600
    bench.ec2.of_places[PLACE] = [interface("eni-new", since=NOW + 1_800, instance="i-new")]
    bench.listed(found)
    assert owner(found, NOW) == "eni-old"
    assert owner(found, NOW + 1_700) == "eni-old"
    assert owner(found, NOW + 1_800) == "eni-new"
    assert owner(found, NOW - 7_201) is None
    answer = found.address("10.0.0.5", "vpc-1", NOW)
    assert (answer.since, answer.until) == (NOW - 7_200, NOW + 1_800)
    gone = found.interface("eni-old", NOW + 90_000).interface
    assert gone is not None
    assert gone.instance == "i-old"  # what was known of it last
    assert gone.until == NOW + 3_600


def test_the_same_address_is_another_in_another_network(bench):
    """Only the VPC's own interface counts, unless networks may be looked across and one alone has it."""
    there = [interface("eni-1"), interface("eni-2", vpc="vpc-2"), interface("eni-3", private=("10.9.0.1",))]
    bench.ec2.of_places[PLACE] = [
        *there,
        interface("eni-4", vpc="vpc-2", private=(), public=("198.51.100.7", "2001:db8::1")),
    ]
    found, across = bench.interfaces(), bench.interfaces(across=True)
    for each in (found, across):
        bench.listed(each)
        assert owner(each, NOW) == "eni-1"
        assert owner(each, NOW, network="vpc-2") == "eni-2"
        assert owner(each, NOW, "198.51.100.7", "vpc-1") == "eni-4"
        assert owner(each, NOW, "2001:db8::1", None) == "eni-4"
        assert owner(each, NOW, network="vpc-3") is None  # two have it
    assert owner(found, NOW, "10.9.0.1", "vpc-2") is None
    assert owner(across, NOW, "10.9.0.1", "vpc-2") == "eni-3"


def test_a_detachable_interface_was_there_before_its_machine(bench):
    """Before it was attached it has no instance; a change of machine is dated by EC2's own attach time."""
    found = bench.interfaces()
    bench.ec2.of_places[PLACE] = [interface("eni-1", since=NOW - 600, instance="i-1", ends_with_instance=False)]
    bench.listed(found)
    before, after = (found.interface("eni-1", at).interface for at in (NOW - 601, NOW - 600))
    assert (before and before.instance, after and after.instance) == (None, "i-1")
    bench.now += 300
    bench.ec2.of_places[PLACE] = [interface("eni-1", since=NOW + 100, instance="i-2", ends_with_instance=False)]
    bench.listed(found)
    machines = [found.interface("eni-1", at).interface for at in (NOW + 99, NOW + 100)]
    assert [machine.instance for machine in machines if machine] == ["i-1", "i-2"]
    assert owner(found, NOW - 10_000) == "eni-1"


@pytest.mark.parametrize(("paused", "outcome"), [(True, "denied"), (False, "failed")])
def test_a_refused_listing_leaves_the_other(bench, paused, outcome):
    """Denied or throttled instances cost names alone; the cause is logged once, and the counter rises each time."""
    bench.ec2.of_places[PLACE] = [interface("eni-1", since=NOW, instance="i-1")]
    bench.ec2.failures["instances"] = RetryableError("needs ec2:DescribeInstances", paused=paused)
    found = bench.interfaces()
    with structlog.testing.capture_logs() as logged:
        bench.listed(found)
        for number in range(50):
            learn(found, "RunInstances", NOW + number, None, launched(f"i-{number}", f"eni-{number}", "10.0.1.1"))
            found.want(*PLACE)
    assert bench.outcomes(outcome) == 1
    assert [(entry["missing"], entry["why"]) for entry in logged] == [("instances", "needs ec2:DescribeInstances")]
    assert owner(found, NOW) == "eni-1"


def test_half_a_listing_ends_nothing(bench):
    """A failure on a later page leaves all as it was."""
    bench.ec2.of_places[PLACE] = [interface("eni-1"), interface("eni-2", private=("10.0.0.6",))]
    found = bench.interfaces()
    bench.listed(found)
    bench.now += 300
    bench.ec2.failures["interfaces"] = RetryableError("throttled")
    bench.listed(found)
    known = found.interface("eni-2", NOW).interface
    assert known is not None
    assert known.until is None


def test_only_places_of_aws_are_asked(bench):
    """What is no account or region, or not chosen, is never asked for; what is chosen is listed without a record."""
    found = bench.interfaces(accounts=frozenset({ACCOUNT}), regions=frozenset({REGION, "us-east-1"}))
    for account, region in (
        ("1", REGION),
        (ACCOUNT, "../x"),
        ("444455556666", REGION),
        (ACCOUNT, "eu-west-2"),
        ("", ""),
    ):
        found.want(account, region)
    bench.listed(found)
    assert set(bench.ec2.asked) == {
        (ACCOUNT, region, kind) for region in (REGION, "us-east-1") for kind in ("interfaces", "instances")
    }


def test_nothing_waits_for_ec2(bench):
    """While EC2 does not answer, questions are answered from memory at once."""
    bench.ec2.gate.clear()
    bench.ec2.of_places[PLACE] = [interface("eni-1")]
    found = bench.interfaces()
    found.want(*PLACE)
    assert owner(found, NOW) is None
    assert found.waiting() == 2
    bench.ec2.gate.set()
    bench.listed(found)
    assert owner(found, NOW) == "eni-1"


def test_a_restart_remembers(bench, tmp_path):
    """Owners of interfaces long gone, machines' names and times are there before EC2 is asked."""
    path = tmp_path / "interfaces.sqlite"
    first = bench.interfaces(path)
    learn(first, "RunInstances", NOW, None, launched("i-1", "eni-1", "10.0.0.5"))
    learn(first, "TerminateInstances", NOW + 60, {"instancesSet": items({"instanceId": "i-1"})})
    first.close()
    bench.ec2.gate.clear()
    second = bench.interfaces(path)
    answer = second.address("10.0.0.5", "vpc-1", NOW + 30)
    assert answer.interface is not None
    assert (answer.interface.since, answer.interface.until) == (NOW, NOW + 60)
    assert answer.instance == Instance("i-1", NOW, "name of i-1", {"Name": "name of i-1", "team": "web"})


def test_a_damaged_file_costs_only_the_memory(bench, tmp_path):
    """It is logged, and the inventory begins anew."""
    path = tmp_path / "interfaces.sqlite"
    path.write_bytes(b"no database at all, but long enough to be read as one" * 100)
    with structlog.testing.capture_logs() as logged:
        found = bench.interfaces(path)
    assert {entry["event"] for entry in logged} == {
        "interfaces of earlier runs cannot be read",
        "instances of earlier runs cannot be read",
    }
    learn(found, "RunInstances", NOW, None, launched("i-1", "eni-1", "10.0.0.5"))
    found.close()
    assert owner(found, NOW) == "eni-1"


def test_what_is_gone_makes_room_first(bench, tmp_path):
    """Beyond the bound, in memory and in the file, those still there stay longest."""
    path = tmp_path / "interfaces.sqlite"
    found = bench.interfaces(path, most=20)
    learn(found, "CreateNetworkInterface", NOW, None, {"networkInterface": made("eni-first", "10.0.0.5")})
    for number in range(100):
        name = f"eni-{number}"
        learn(found, "CreateNetworkInterface", NOW, None, {"networkInterface": made(name, f"10.1.0.{number}")})
        learn(found, "DeleteNetworkInterface", NOW + number, {"networkInterfaceId": name})
    assert bench.metrics.registry.get_sample_value("shipper_interfaces_known") == 20
    assert owner(found, NOW) == "eni-first"
    assert owner(found, NOW, "10.1.0.1") is None
    found.close()
    with sqlite3.connect(path) as connection:
        kept = {name for (name,) in connection.execute("select key from interfaces")}
    connection.close()
    assert len(kept) == 20
    assert "eni-first" in kept
