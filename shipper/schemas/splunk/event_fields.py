"""What look-ups say of a log event's addresses, names and user agent, as Splunk's indexed fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shipper.ports import Lookups
from shipper.schemas.event_values import AGENT, HOSTS, QUESTION, ends_of, others_of, texts_at
from shipper.schemas.splunk.places import members
from shipper.schemas.splunk.threats import flat_threat
from shipper.schemas.splunk.vpc_flow import flat_cloud, flat_geography

_SIDES = {"source": "src", "client": "src", "destination": "dest", "server": "dest"}


class EventFields:
    """Looks up what an ECS document of the same message would. Safe to use from many threads.

    Fields: of who asked `src_country`, `src_asn`, `src_cloud_service`, `src_threat_indicator` … as CloudTrail's have
    them; of who was asked the same with `dest_`; of all other addresses and names with `related_`, several values each;
    of a name that was asked for `query_threat_…`; of a user agent `user_agent_threat_…`.

    Args:
        lookups: geo, addresses and indicators are asked.
    """

    def __init__(self, lookups: Lookups) -> None:
        self._geo, self._addresses, self._indicators = lookups.geo, lookups.addresses, lookups.indicators

    def of(self, said: Mapping[str, Any]) -> bytes:
        """Return the fields as JSON members, with a comma before each; empty where nothing is known.

        Args:
            said: what a message says, as ECS fields.
        """
        fields: dict[str, Any] = {}
        for name, address in ends_of(said).items():
            fields |= self._of_address(address, _SIDES[name])
        related = [self._of_address(address, "related") for address in others_of(said)]
        if self._indicators is not None:
            self._indicators.look()
            asked = list(texts_at(said, QUESTION))
            hosts = (host for host in texts_at(said, HOSTS) if host not in asked)
            related += [flat_threat(self._indicators.domain(host), "related") for host in hosts]
            for name in asked:
                fields |= flat_threat(self._indicators.domain(name), "query")
            for agent in texts_at(said, AGENT):
                fields |= flat_threat(self._indicators.agent(agent), "user_agent")
        return members(fields | _together(related))

    def _of_address(self, address: str, side: str) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        if self._geo is not None and (found := self._geo(address)):
            fields |= flat_geography(found, side)
        if self._addresses is not None and (facts := self._addresses(address)):
            fields |= flat_cloud(facts, side)
        if self._indicators is not None:
            fields |= flat_threat(self._indicators.address(address), side)
        return fields


def event_fields(lookups: Lookups) -> EventFields | None:
    """What looks up; None where nothing is configured that could be."""
    asks = any(one is not None for one in (lookups.geo, lookups.addresses, lookups.indicators))
    return EventFields(lookups) if asks else None


def _together(found: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The values of several by name, each once."""
    values: dict[str, list[Any]] = {}
    for fields in found:
        for name, value in fields.items():
            values.setdefault(name, []).extend(value if isinstance(value, list) else [value])
    return {name: list(dict.fromkeys(each)) for name, each in values.items()}
