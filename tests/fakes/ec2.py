"""What EC2 lists, held in memory: places, interfaces and instances, and failures on demand."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import TypeVar

from shipper.model import Instance, NetworkInterface

Item = TypeVar("Item")


class FakeEc2:
    """Implements `interfaces.Ec2`; `gate` holds listings back while it is cleared.

    Attributes:
        failures: by kind of listing, what it raises after its first item.
    """

    def __init__(self) -> None:
        self.of_places: dict[tuple[str, str], list[NetworkInterface]] = {}
        self.machines: dict[tuple[str, str], list[Instance]] = {}
        self.failures: dict[str, Exception] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.gate = threading.Event()
        self.gate.set()

    def interfaces(self, account: str, region: str) -> Iterator[NetworkInterface]:
        return self._listing("interfaces", self.of_places, account, region)

    def instances(self, account: str, region: str) -> Iterator[Instance]:
        return self._listing("instances", self.machines, account, region)

    def _listing(
        self, kind: str, held: Mapping[tuple[str, str], list[Item]], account: str, region: str
    ) -> Iterator[Item]:
        self.gate.wait(60)
        self.asked.append((account, region, kind))
        for number, item in enumerate(held.get((account, region), [])):
            if number and kind in self.failures:
                break
            yield item
        if kind in self.failures:
            raise self.failures[kind]
