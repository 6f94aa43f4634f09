"""An inventory of interfaces over a fake EC2, and CloudTrail's parts that change it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from shipper.enrich.background import Policy
from shipper.enrich.interfaces import Choice, Interfaces
from shipper.metrics import Metrics
from shipper.model import NetworkInterface
from shipper.ports import Stop
from tests.fakes.ec2 import FakeEc2

ACCOUNT, REGION = "111122223333", "eu-west-1"
PLACE = (ACCOUNT, REGION)
NOW = 1_800_000_000.0


def interface(interface_id: str, **fields: Any) -> NetworkInterface:
    values: dict[str, Any] = {
        "vpc": "vpc-1",
        "private": ("10.0.0.5",),
        "ends_with_instance": "instance" in fields,
    } | fields
    return NetworkInterface(id=interface_id, account=ACCOUNT, region=REGION, **values)


@dataclass
class InterfaceBench:
    """An inventory over a fake EC2, and a clock that tests move."""

    ec2: FakeEc2 = field(default_factory=FakeEc2)
    metrics: Metrics = field(default_factory=Metrics)
    stop: Stop = field(default_factory=Stop)
    now: float = NOW
    calm_seconds: float = 0.0

    def interfaces(self, path=None, *, most: int = 1_000, **choice: Any) -> Interfaces:
        values: dict[str, Any] = {"tags": frozenset({"*"})} | choice
        policy = Policy(most=most, refresh_seconds=0.0, requests_per_second=10_000)
        return Interfaces(
            self.ec2,
            path,
            self.metrics,
            self.stop,
            policy,
            choice=Choice(**values),
            clock=lambda: self.now,
            calm_seconds=self.calm_seconds,
        )

    def listed(self, found: Interfaces) -> None:
        """List the place once more, wholly."""
        before = self.outcomes()
        found.want(*PLACE)
        deadline = time.monotonic() + 60
        while self.outcomes() < before + 2 or found.waiting():
            assert time.monotonic() < deadline
            self.stop.rest(0.001)

    def outcomes(self, *names: str) -> float:
        names = names or ("found", "absent", "denied", "failed")
        value = self.metrics.registry.get_sample_value
        return sum(value("shipper_interface_listings_total", {"outcome": name}) or 0.0 for name in names)


def owner(found: Interfaces, at: float, address: str = "10.0.0.5", network: str | None = "vpc-1") -> str | None:
    answer = found.address(address, network, at).interface
    return answer.id if answer is not None else None


def items(*values: dict[str, Any]) -> dict[str, Any]:
    return {"items": list(values)}


def made(name: str, address: str, **fields: Any) -> dict[str, Any]:
    """An interface as CloudTrail's answers have it."""
    addresses = {"item": [{"privateIpAddress": address, "primary": True}]}
    shown = {"networkInterfaceId": name, "vpcId": "vpc-1", "subnetId": "subnet-1", "ownerId": ACCOUNT}
    return shown | {"privateIpAddress": address, "privateIpAddressesSet": addresses, "groupSet": {}} | fields


def launched(instance: str, name: str, address: str) -> dict[str, Any]:
    joined = {"attachmentId": f"eni-attach-{name}", "deviceIndex": 0, "deleteOnTermination": True}
    tags = items({"key": "Name", "value": f"name of {instance}"}, {"key": "team", "value": "web"})
    inner = items(made(name, address, attachment=joined))
    return {"instancesSet": items({"instanceId": instance, "tagSet": tags, "networkInterfaceSet": inner})}


def learn(found: Interfaces, event: str, at: float, asked: Any = None, answered: Any = None) -> None:
    found.learn(event, *PLACE, (asked or {}, answered or {}), at)
