"""Which addresses are AWS's own, of which service and region, and which are within one's own networks.

Ranges: https://docs.aws.amazon.com/vpc/latest/userguide/aws-ip-syntax.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from shipper.counting import counted
from shipper.enrich.prefixes import Address, Prefixes, reach, read_address
from shipper.enrich.watched import Watched, read_bounded
from shipper.errors import ConfigError
from shipper.model import AddressFacts

_MOST_BYTES = 64 << 20
_MOST_ADDRESSES = 65_536
# What CloudTrail writes where a service calls:
# https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
_SERVICE = re.compile(r"([a-z0-9-]{1,63})(?:\.[a-z0-9-]{1,63}){0,4}\.amazonaws\.com(?:\.cn)?")
_AWS_INTERNAL = "AWS Internal"
# Addresses of AWS's services inside every VPC:
# https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html and
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-eni.html ("reserved link-local addresses")
_IN_EVERY_VPC = {
    "169.254.169.254": "ec2-instance-metadata",
    "fd00:ec2::254": "ec2-instance-metadata",
    "169.254.169.253": "route53-resolver",
    "fd00:ec2::253": "route53-resolver",
    "169.254.169.123": "time-sync",
    "fd00:ec2::123": "time-sync",
    "169.254.170.2": "ecs-task-metadata",
    "169.254.170.23": "eks-pod-identity",
    "fd00:ec2::23": "eks-pod-identity",
}


class _Range(msgspec.Struct, gc=False):
    service: str
    region: str
    ip_prefix: str | None = None
    ipv6_prefix: str | None = None


class _File(msgspec.Struct):
    prefixes: list[_Range]
    createDate: str = ""  # noqa: N815 - AWS's name
    ipv6_prefixes: list[_Range] = []


class AwsRanges:
    """AWS's `ip-ranges.json`, read once; never changes.

    Raises:
        ConfigError: the file is missing, or not what AWS publishes.
    """

    def __init__(self, path: Path) -> None:
        content = _read(path)
        ranges = [*content.prefixes, *content.ipv6_prefixes]
        services: dict[str, list[str]] = {}
        regions: dict[str, str] = {}
        for each in ranges:
            prefix = each.ip_prefix or each.ipv6_prefix or ""
            services.setdefault(prefix, []).append(each.service)
            regions[prefix] = each.region
        try:
            self._prefixes = Prefixes((prefix, (names, regions[prefix])) for prefix, names in services.items())
        except ValueError as error:
            raise _no_ranges(path, str(error)) from error
        self.about = f"{path}: {counted(len(ranges), 'range')} of AWS" + (
            f", of {content.createDate}" if content.createDate else ""
        )

    def find(self, address: Address) -> dict[str, Any] | None:
        """ECS's `cloud` of whose address it is; None where it is not AWS's.

        `AMAZON` stands for all services together, and is named where no other is.
        """
        found = self._prefixes.find(address)
        if not found:
            return None
        names = sorted({name.lower() for services, _ in found for name in services})
        names = [name for name in names if name != "amazon"] or names
        cloud: dict[str, Any] = {"provider": "aws"}
        if (region := found[0][1]) != "GLOBAL":
            cloud["region"] = region
        cloud["service"] = {"name": names[0] if len(names) == 1 else names}
        return cloud


class AwsAddresses:
    """Implements `ports.AddressLookup`. Safe to use from many threads; keeps the last 65,536 answers.

    Args:
        ranges: AWS's `ip-ranges.json`; None knows AWS's services by name alone.
        own_networks: networks of one's own beside the private ones, such as a VPC's IPv6 networks.
        look_seconds: how often the file is looked at.
        told: told whether a replaced file could be read.

    Raises:
        ConfigError: the file is missing, or not what AWS publishes.
    """

    def __init__(
        self,
        ranges: Path | None,
        own_networks: Iterable[str] = (),
        *,
        look_seconds: float = 30.0,
        told: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._own = Prefixes((network, True) for network in own_networks)
        self._file = None
        if ranges is not None:
            self._file = Watched(
                [ranges],
                lambda: AwsRanges(ranges),
                "AWS's address ranges",
                look_seconds=look_seconds,
                told=told,
                describe=lambda content: content.about,
            )
        self._answers = lru_cache(_MOST_ADDRESSES)(self._find)

    def __call__(self, address: str) -> AddressFacts | None:
        """See `ports.AddressLookup`."""
        return self._answers(address, self._file.now() if self._file else None)

    def describe(self) -> str | None:
        """What AWS's file is, for `shipper check`; None where there is none."""
        return self._file.now().about if self._file else None

    def _find(self, text: str, ranges: AwsRanges | None) -> AddressFacts | None:
        address = read_address(text)
        if address is None:
            return _service(text)
        kind = reach(address)
        if kind == "public" and not self._own.find(address):
            return AddressFacts(ranges.find(address) if ranges else None, internal=False)
        service = _IN_EVERY_VPC.get(str(address))
        cloud = {"provider": "aws", "service": {"name": service}} if service else None
        return AddressFacts(cloud, internal=True)


def _service(text: str) -> AddressFacts | None:
    """What a name says that stands in an address's place."""
    if text == _AWS_INTERNAL:
        return AddressFacts({"provider": "aws"}, internal=False)
    found = _SERVICE.fullmatch(text)
    return AddressFacts({"provider": "aws", "service": {"name": found[1]}}, internal=False) if found else None


def _read(path: Path) -> _File:
    data = read_bounded(path, _MOST_BYTES, _no_ranges)
    try:
        content = msgspec.json.decode(data, type=_File)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _no_ranges(path, str(error)) from error
    if not content.prefixes and not content.ipv6_prefixes:
        raise _no_ranges(path, "it has no ranges")
    return content


def _no_ranges(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path}: not AWS's ip-ranges.json: {why}", "download https://ip-ranges.amazonaws.com/ip-ranges.json"
    )
