"""Network interfaces over HTTP from an emulator: two accounts, several pages, machines with names and tags."""

from __future__ import annotations

from typing import Any

import pytest

from shipper.aws import AwsSessions
from shipper.enrich.interface_accounts import InterfaceAccounts
from shipper.errors import RetryableError
from shipper.model import NetworkInterface
from shipper.ports import Stop
from tests.parts import moto
from tests.parts.moto import Moto

OWN, OTHER, REGION = "123456789012", "444455556666", "us-east-1"
IMAGE = "ami-12c6146b"
"""One of those that the emulator has."""


def launch(client: Any, name: str, **tags: str) -> dict[str, Any]:
    """One instance with a name; return it as EC2 tells of it."""
    marks = [{"Key": key, "Value": value} for key, value in {"Name": name, **tags}.items()]
    tagged = [{"ResourceType": "instance", "Tags": marks}]
    (made,) = client.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, TagSpecifications=tagged)["Instances"]
    answer = client.describe_instances(InstanceIds=[made["InstanceId"]])
    found: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
    return found


def accounts(emulator: Moto, role: str | None = "shipper-enrich", **changes: Any) -> InterfaceAccounts:
    return InterfaceAccounts(emulator.settings(**changes), role, None, stop=Stop(), pause=0.0, page=5)


@pytest.fixture(scope="module")
def emulator():
    with pytest.MonkeyPatch.context() as patch:
        moto.set_credentials(patch)
        with moto.running() as running:
            yield running


def by_id(found: InterfaceAccounts, account: str) -> dict[str, NetworkInterface]:
    return {one.id: one for one in found.interfaces(account, REGION)}


def test_machines_and_services_are_found_in_both_accounts(emulator):
    """Addresses, networks, groups, machines and what works for a service, each in its own account."""
    own = emulator.client("ec2")
    other = AwsSessions(emulator.settings(role_arn=f"arn:aws:iam::{OTHER}:role/shipper-enrich")).client("ec2")
    web, theirs = launch(own, "web-1", team="payments"), launch(other, "db-1")
    subnet = web["SubnetId"]
    made = own.create_network_interface(SubnetId=subnet, Description="Interface for NAT Gateway nat-0a1b2c3d")
    gateway = made["NetworkInterface"]
    found = accounts(emulator)
    here, there = by_id(found, OWN), by_id(found, OTHER)
    mine = web["NetworkInterfaces"][0]
    one = here[mine["NetworkInterfaceId"]]
    assert (one.account, one.region, one.vpc, one.subnet) == (OWN, REGION, web["VpcId"], subnet)
    assert one.private[0] == web["PrivateIpAddress"]
    assert (one.instance, one.service) == (web["InstanceId"], "ec2")
    assert one.groups == tuple(group["GroupId"] for group in mine["Groups"])
    nat = here[gateway["NetworkInterfaceId"]]
    assert (nat.service, nat.resource, nat.instance) == ("nat_gateway", "nat-0a1b2c3d", None)
    assert nat.private == (gateway["PrivateIpAddress"],)
    assert [one.instance for one in there.values() if one.instance] == [theirs["InstanceId"]]
    names = {one.id: (one.name, dict(one.tags)) for one in found.instances(OWN, REGION)}
    assert names == {web["InstanceId"]: ("web-1", {"Name": "web-1", "team": "payments"})}
    assert [one.name for one in found.instances(OTHER, REGION)] == ["db-1"]


def test_no_client_is_kept(emulator):
    """A hundred accounts in ten regions would take a gigabyte."""
    found = accounts(emulator)
    for account in (OWN, OTHER):
        list(found.instances(account, REGION))
        list(found.interfaces(account, REGION))
    held = [found._clients._own, *found._clients._others.values()]
    assert len(held) == 2
    assert not [key for sessions in held for key in sessions._clients if key[0] == "ec2"]


def test_pages_are_followed(emulator):
    """More instances than a page holds."""
    client = emulator.client("ec2")
    before = len(list(accounts(emulator).instances(OWN, REGION)))
    for _ in range(12):
        client.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1)
    found = accounts(emulator)
    assert len({one.id for one in found.instances(OWN, REGION)}) == before + 12


def test_other_accounts_need_a_role(emulator):
    """The failure says which key is missing."""
    with pytest.raises(RetryableError, match=r"enrich\.interfaces\.role_name") as caught:
        list(accounts(emulator, None).interfaces(OTHER, REGION))
    assert caught.value.paused


def test_a_server_that_is_not_there_is_a_failure_to_try_again(emulator):
    """Unreachable ends nothing."""
    with pytest.raises(RetryableError) as caught:
        list(accounts(emulator, endpoint_url="http://127.0.0.1:9").interfaces(OWN, REGION))
    assert not caught.value.paused
