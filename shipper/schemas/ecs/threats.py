"""What lists of indicators say of a record, as ECS's `threat`: https://www.elastic.co/docs/reference/ecs/ecs-threat."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from shipper.model import Indicator
from shipper.ports import IndicatorLookup
from shipper.schemas.ecs.addresses import is_address
from shipper.schemas.event_values import AGENT, HOSTS, LONGEST, QUESTION, texts_at

_MOST_ADDRESSES = 65_536
_MOST_AGENTS = 8_192
_PATHS = (
    ("source", "ip"),
    ("client", "ip"),
    ("destination", "ip"),
    ("server", "ip"),
    QUESTION,
    ("dns", "resolved_ip"),
    ("related", "ip"),
    HOSTS,
    AGENT,
)
_NAMES = frozenset(".".join(path) for path in (QUESTION, HOSTS))
MATCH = "indicator_match"


class Threats:
    """Looks each address and user agent up once, until the lists change. Safe to use from many threads."""

    def __init__(self, indicators: IndicatorLookup) -> None:
        self._indicators = indicators
        self._version = indicators.look()
        self._of_address = lru_cache(_MOST_ADDRESSES)(self._address)
        self._of_agent = lru_cache(_MOST_AGENTS)(self._agent)
        self._of_value = lru_cache(_MOST_ADDRESSES)(self._value)

    def look(self) -> bool:
        """Forget what was found, and return true, where the lists have changed; to be called once for each object."""
        version = self._indicators.look()
        if version == self._version:
            return False
        self._version = version
        self._of_address.cache_clear()
        self._of_agent.cache_clear()
        self._of_value.cache_clear()
        return True

    def names(self, address: str | None, agent: str | None) -> bool:
        """Whether a document with these has a `threat`; see `add`."""
        return self._found(address, agent) != (None, None)

    def add(self, fields: dict[str, Any], address: str | None, agent: str | None) -> None:
        """Add `threat` to a document, where something is known.

        Args:
            address: `source.address`: an IP address, or the name of a service or host.
            agent: `user_agent.original`.
        """
        found = self._found(address, agent)
        if found != (None, None):
            fields["threat"] = threat([each for each in found if each is not None])

    def add_to(self, document: dict[str, Any]) -> None:
        """Add `threat` to a document of whatever kind, of its addresses, its names, and its agent: each value once."""
        fields: dict[str, str] = {}
        for path in _PATHS:
            for value in texts_at(document, path):
                fields.setdefault(value, ".".join(path))
        found = [self._of_value(field, value) for value, field in fields.items()]
        if named := [each for each in found if each is not None]:
            document["threat"] = threat(named)

    def _value(self, field: str, value: str) -> dict[str, Any] | None:
        if field == "user_agent.original":
            return self._agent(value)
        find = self._indicators.domain if field in _NAMES else self._indicators.address
        return enrichment(find(value), field, value)

    def _found(self, address: str | None, agent: str | None) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        return (
            self._of_address(address) if address and len(address) <= LONGEST else None,
            self._of_agent(agent) if agent and len(agent) <= LONGEST else None,
        )

    def _address(self, address: str) -> dict[str, Any] | None:
        if is_address(address):
            return enrichment(self._indicators.address(address), "source.ip", address)
        return enrichment(self._indicators.domain(address), "source.address", address)

    def _agent(self, agent: str) -> dict[str, Any] | None:
        return enrichment(self._indicators.agent(agent), "user_agent.original", agent)


def enrichment(found: Indicator | None, field: str, atomic: str) -> dict[str, Any] | None:
    """One of `threat.enrichments`; None where there is none.

    Args:
        field: the document's field that matched.
        atomic: its value.
    """
    if found is None:
        return None
    indicator: dict[str, Any] = {"type": found.type, "name": found.value, "provider": found.provider}
    if found.type == "domain-name":
        indicator["url"] = {"domain": found.value}
    elif found.type != "software" and "/" not in found.value:
        indicator["ip"] = found.value
    more = {"description": found.description, "confidence": found.confidence, "reference": found.reference}
    indicator |= {name: value for name, value in more.items() if value}
    if found.id:
        indicator["id"] = [found.id]
    return {"indicator": indicator, "matched": {"atomic": atomic, "field": field, "type": MATCH}}


def threat(enrichments: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """`threat` of a document: all that matched, and the first indicator by itself, to be found without nesting."""
    return {"indicator": enrichments[0]["indicator"], "enrichments": list(enrichments)}
