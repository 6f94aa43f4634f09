"""What is known of accounts, regions and log groups, as ECS fields: written once, and again when more is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from shipper.model import AccountFacts, LogEvent, Resource
from shipper.ports import AccountLookup, AddressLookup, Lookups, ResourceLookup
from shipper.schemas.account_parts import AccountParts
from shipper.schemas.ecs.addresses import address_fields
from shipper.schemas.ecs.threats import Threats
from shipper.schemas.event_values import ends_of, others_of

_CLOUDS = {"source": "origin", "client": "origin", "destination": "target", "server": "target"}


class Place(NamedTuple):
    """What documents of an account and region carry. Shared: never change it.

    Attributes:
        account: ECS's `cloud.account`; None where nothing is known beside its id.
        aws: members of `aws`.
        objects: whole top-level objects.
    """

    account: dict[str, str] | None
    aws: Mapping[str, Any]
    objects: Mapping[str, Any]


class Places:
    """Writes what documents carry of their account and region. Safe to use from many threads.

    Args:
        accounts: None to leave out names, units and tags of accounts.
        regions: names of regions by their ids; empty to leave them out.
        asked_seconds: how long an answer is used before `accounts` is asked again.
    """

    def __init__(
        self, accounts: AccountLookup | None, regions: Mapping[str, str], *, asked_seconds: float = 1.0
    ) -> None:
        self._accounts = accounts
        self._regions = regions
        self.find = AccountParts(accounts, self._written, asked_seconds=asked_seconds).find

    @property
    def version(self) -> int:
        """Another number when earlier answers may be others now."""
        return self._accounts.version if self._accounts is not None else 0

    def add(self, document: dict[str, Any]) -> None:
        """Add what is known to a document, whose `cloud` and `aws` are there."""
        cloud = document["cloud"]
        account = cloud.get("account")
        named, aws, objects = self.find(
            account.get("id", "") if isinstance(account, dict) else "", cloud.get("region", "")
        )
        if named is not None:
            cloud["account"] = named
        if aws:
            document["aws"].update(aws)
        if objects:
            document.update(objects)

    def _written(self, account: str, region: str, facts: AccountFacts | None) -> Place:
        aws: dict[str, Any] = {}
        objects: dict[str, Any] = {}
        named: dict[str, str] | None = None
        if facts is not None:
            if facts.name:
                named = {"id": account, "name": facts.name}
            more = {"organizational_unit": facts.unit, "tags": facts.tags}
            if more := {name: value for name, value in more.items() if value}:
                aws["account"] = orjson.Fragment(orjson.dumps(more))
            if facts.organization:
                objects["organization"] = {"id": facts.organization}
        if name := self._regions.get(region):
            aws["region_name"] = name
        return Place(named, aws, objects)


def places_of(lookups: Lookups) -> Places | None:
    """What writes places; None where nothing of them is configured."""
    if lookups.accounts is None and not lookups.regions:
        return None
    return Places(lookups.accounts, lookups.regions or {})


class EventPlaces:
    """Adds to the documents of log events what is known of their place and addresses. Safe to use from many threads."""

    def __init__(self, lookups: Lookups) -> None:
        self._places = places_of(lookups)
        self._resources = lookups.resources
        self._geo, self._addresses = lookups.geo, lookups.addresses
        self._threats = Threats(lookups.indicators) if lookups.indicators is not None else None

    def __call__(self, document: dict[str, Any], event: LogEvent | None) -> None:
        """Add it; `cloud` and `aws` are there."""
        if self._places is not None:
            self._places.add(document)
        if self._resources is not None and event is not None and "cloudwatch" in document["aws"]:
            tags = log_group_tags(self._resources, event)
            if tags:
                document["aws"]["cloudwatch"]["log_group_tags"] = tags
        if self._addresses is not None:
            _add_clouds(self._addresses, document)
        if self._geo is not None or self._addresses is not None:
            known = [address_fields(other, self._geo, self._addresses) for other in others_of(document)]
            if known := [fields for fields in known if fields]:
                document["aws"]["addresses"] = known
        if self._threats is not None:
            self._threats.look()
            self._threats.add_to(document)


def event_places(lookups: Lookups) -> EventPlaces | None:
    """What adds to log events; None where nothing of it is configured."""
    asked = (lookups.accounts, lookups.resources, lookups.geo, lookups.addresses, lookups.indicators)
    return EventPlaces(lookups) if lookups.regions or any(one is not None for one in asked) else None


def log_group_tags(resources: ResourceLookup, event: LogEvent) -> Mapping[str, str] | None:
    """The tags of an event's log group, as far as they are known."""
    stream = event.stream
    if not stream.account or not stream.region:
        return None
    return resources(Resource("log_group", stream.account, stream.region, stream.group))


def _add_clouds(addresses: AddressLookup, document: dict[str, Any]) -> None:
    """Say whose the ends are: `cloud.origin` of who asks, `cloud.target` of who is asked."""
    for side, address in ends_of(document).items():
        facts = addresses(address)
        if facts is not None and facts.cloud is not None:
            document["cloud"][_CLOUDS[side]] = facts.cloud
