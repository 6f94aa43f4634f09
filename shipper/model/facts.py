"""What enrichment knows of principals, sessions, accounts, resources, addresses, machines and indicators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec


@dataclass(frozen=True, slots=True)
class IamPrincipal:
    """What IAM says of a role or user, apart from its name. Shared: never change it."""

    path: str | None
    description: str | None
    tags: Mapping[str, str]


class Session(msgspec.Struct, frozen=True, gc=False):
    """How temporary credentials came to be.

    Attributes:
        at: when, in seconds since the epoch.
        role: ARN of what they act as.
        caller: ARN (or principal id) of who asked for them; None where the record does not say.
        caller_key: the access key that asked, which may be temporary too.
        person: the caller's name, where the caller is a person.
        source_identity: as the caller gave it.
        address: where the caller was.
    """

    at: float
    role: str | None = None
    caller: str | None = None
    caller_key: str | None = None
    person: str | None = None
    source_identity: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Acted:
    """Who really acts in a session. Shared between records, and compared by identity.

    Attributes:
        chain: ARNs from the first caller to the session's own role.
        person: name of the person at its beginning, None where it is a machine or not known.
        person_id: the person's ARN.
        first_address: where the first caller was.
    """

    chain: tuple[str, ...]
    person: str | None
    person_id: str | None
    source_identity: str | None
    first_address: str | None


@dataclass(frozen=True, slots=True, eq=False)
class AccountFacts:
    """What is known of an AWS account. Shared between records, and compared by identity: never change it.

    Attributes:
        organization: the organisation's id.
        unit: names of the organisational units that it is in, from the root down, with `/` between.
    """

    name: str | None
    organization: str | None
    unit: str | None
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that has tags.

    Attributes:
        kind: `bucket` or `log_group`.
        account: who owns it.
    """

    kind: Literal["bucket", "log_group"]
    account: str
    region: str
    name: str


@dataclass(frozen=True, slots=True)
class AddressFacts:
    """What an address, or a service's name in its place, says by itself. Shared: never change it.

    Attributes:
        cloud: ECS's `cloud` (provider, region, service) of whose it is; None where it is not AWS's.
        internal: it is within one's own networks.
    """

    cloud: Mapping[str, Any] | None
    internal: bool


class NetworkInterface(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A network interface as it was for a while. Shared: never change it.

    Attributes:
        since: from when, seconds since the epoch; 0 where that is not known.
        until: till when; None where it still is so.
        private: its IPv4 addresses in its VPC, the primary one first; an address means something else in another VPC.
        public: addresses that are its own everywhere: public IPv4, IPv6.
        groups: ids of its security groups.
        service: who uses it, such as `nat_gateway`, `load_balancer`, `lambda`, `rds`, `ec2`.
        resource: the service's own name for what it is used for: a load balancer's, a function's, a gateway's id.
        attachment: id of its attachment to the instance.
        ends_with_instance: it is deleted when the instance is.
    """

    id: str
    account: str
    region: str
    since: float = 0.0
    until: float | None = None
    vpc: str | None = None
    subnet: str | None = None
    private: tuple[str, ...] = ()
    public: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    service: str | None = None
    resource: str | None = None
    name: str | None = None
    tags: Mapping[str, str] = {}
    instance: str | None = None
    attachment: str | None = None
    ends_with_instance: bool = False


class Instance(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What an EC2 instance's tags say. Shared: never change it.

    Attributes:
        at: when that was known, seconds since the epoch.
        tags: the chosen ones.
    """

    id: str
    at: float
    name: str | None = None
    tags: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, eq=False)
class InterfaceOwner:
    """Whose an interface or address is at a time, and how long that answer holds.

    Attributes:
        interface: None where none is known.
        instance: None where it is none's, or no more than its id is known.
        since, until: seconds since the epoch, `until` not included.
    """

    interface: NetworkInterface | None
    instance: Instance | None
    since: float
    until: float


class Indicator(msgspec.Struct, frozen=True, gc=False):
    """Something that a list calls bad.

    Attributes:
        type: as ECS's threat.indicator.type: ipv4-addr, ipv6-addr, domain-name, or software for user agents.
        value: as the list has it: an address or network, a domain (which may be a parent of what was looked for), a
            user agent (`*` stands for anything).
        provider: who says so.
    """

    type: str
    value: str
    provider: str
    description: str | None = None
    id: str | None = None
    confidence: str | None = None
    reference: str | None = None
