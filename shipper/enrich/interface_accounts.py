"""Asks EC2 for all network interfaces and instances of an account and region, a page at a time.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkInterfaces.html and API_DescribeInstances.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from ipaddress import IPv4Network
from typing import Any

import botocore.exceptions

from shipper.aws import AwsSettings, classify
from shipper.enrich.account_clients import AccountClients
from shipper.enrich.interface_services import service_of
from shipper.errors import RetryableError
from shipper.model import Instance, NetworkInterface
from shipper.ports import Stop

_SMALLEST_PREFIX = 28


class InterfaceAccounts:
    """Implements `interfaces.Ec2`. Used from one thread.

    Args:
        settings: how the own account is reached.
        role_name: the role to assume in every other account; None asks the own account alone.
        external_id: what those roles ask for.
        pause: seconds between two pages.
        page: most items of a page, 5 to 1,000.
    """

    def __init__(
        self,
        settings: AwsSettings,
        role_name: str | None,
        external_id: str | None,
        *,
        stop: Stop,
        pause: float,
        page: int = 1_000,
    ) -> None:
        self._clients = AccountClients(settings, role_name, external_id, key="enrich.interfaces.role_name")
        self._stop = stop
        self._pause = pause
        self._page = page

    def interfaces(self, account: str, region: str) -> Iterator[NetworkInterface]:
        """Yield each interface, with all its tags, `since` being when it was attached (0: it is not). Blocks.

        Raises:
            RetryableError: EC2 cannot be asked now; `paused` where a permission is missing.
        """
        for found in self._pages("describe_network_interfaces", "NetworkInterfaces", account, region):
            yield _interface(found, account, region)

    def instances(self, account: str, region: str) -> Iterator[Instance]:
        """Yield each instance with all its tags; see `interfaces`."""
        for reservation in self._pages("describe_instances", "Reservations", account, region):
            for found in reservation.get("Instances", ()):
                tags = _tags(found.get("Tags", ()))
                yield Instance(found["InstanceId"], 0.0, tags.get("Name"), tags)

    def _pages(self, call: str, name: str, account: str, region: str) -> Iterator[Any]:
        token: dict[str, str] = {}
        try:
            client = self._clients.client(account, "ec2", region=region, partition=_partition(region))
            while True:
                answer = getattr(client, call)(MaxResults=self._page, **token)
                yield from answer.get(name, ())
                if not answer.get("NextToken"):
                    return
                token = {"NextToken": answer["NextToken"]}
                if self._stop.rest(self._pause):
                    raise RetryableError("stopped")
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            raise classify(error) from error
        finally:
            self._clients.forget(account, "ec2", region=region)


def _interface(found: Mapping[str, Any], account: str, region: str) -> NetworkInterface:
    tags = _tags(found.get("TagSet", ()))
    attachment = found.get("Attachment") or {}
    instance = attachment.get("InstanceId") or None
    attached = attachment.get("AttachTime")
    service, resource = service_of(
        found.get("InterfaceType"),
        found.get("RequesterId"),
        found.get("Description"),
        tags,
        attached=instance is not None,
    )
    entries = found.get("PrivateIpAddresses") or [found]
    public = [entry["Association"]["PublicIp"] for entry in entries if entry.get("Association", {}).get("PublicIp")]
    public += [entry["Ipv6Address"] for entry in found.get("Ipv6Addresses", ())]
    return NetworkInterface(
        id=found["NetworkInterfaceId"],
        account=found.get("OwnerId") or account,
        region=region,
        since=attached.timestamp() if isinstance(attached, datetime) else 0.0,
        vpc=found.get("VpcId"),
        subnet=found.get("SubnetId"),
        private=tuple(dict.fromkeys(_private(found, entries))),
        public=tuple(dict.fromkeys(public)),
        groups=tuple(group["GroupId"] for group in found.get("Groups", ())),
        service=service,
        resource=resource,
        name=tags.get("Name"),
        tags=tags,
        instance=instance,
        attachment=attachment.get("AttachmentId"),
        ends_with_instance=attachment.get("DeleteOnTermination") is True,
    )


def _private(found: Mapping[str, Any], entries: list[Mapping[str, Any]]) -> Iterator[str]:
    ordered = sorted(entries, key=lambda entry: not entry.get("Primary", False))
    yield from (entry["PrivateIpAddress"] for entry in ordered if entry.get("PrivateIpAddress"))
    # Container networking hands whole prefixes of 16 addresses to an interface.
    for entry in found.get("Ipv4Prefixes", ()):
        network = IPv4Network(entry["Ipv4Prefix"])
        if network.prefixlen >= _SMALLEST_PREFIX:
            yield from (str(address) for address in network)


def _tags(found: Any) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in found}


def _partition(region: str) -> str:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html"""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"
