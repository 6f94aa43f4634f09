"""Takes out of what lookups answer what redaction takes out of records: tags, names and descriptions of resources.

Indicators and geography are left as they are: their lists are the operator's, and they name what the record has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Generic, Literal, TypeVar

from msgspec.structs import replace as replace_fields

from shipper.model import AccountFacts, IamPrincipal, Instance, InterfaceOwner, NetworkInterface, Resource
from shipper.ports import AccountLookup, InterfaceLookup, PrincipalLookup, ResourceLookup

RedactValue = Callable[[str, str], str]
"""(name, value) → the value without what must not be seen; the same object if there is nothing."""

_MAX_KEPT = 65_536

T = TypeVar("T")


class _Kept(Generic[T]):
    """Answers that are cleaned already, by the identity of what the lookup answered: it is the same until it changes.

    Safe to use from many threads: at worst one answer is cleaned twice.
    """

    def __init__(self, clean: Callable[[T], T]) -> None:
        self._clean = clean
        self._kept: dict[int, tuple[T, T]] = {}

    def of(self, answer: T) -> T:
        """Return the cleaned answer, the same object for the same answer."""
        kept = self._kept.get(id(answer))
        if kept is not None and kept[0] is answer:
            return kept[1]
        if len(self._kept) >= _MAX_KEPT:
            self._kept.clear()
        cleaned = self._clean(answer)
        self._kept[id(answer)] = (answer, cleaned)
        return cleaned


def _tags(tags: Mapping[str, str], redact: RedactValue) -> Mapping[str, str]:
    cleaned = {key: redact(key, value) for key, value in tags.items()}
    return cleaned if cleaned != tags else tags


def _text(name: str, text: str | None, redact: RedactValue) -> str | None:
    return redact(name, text) if text else text


class RedactedAccounts:
    """Implements `ports.AccountLookup`."""

    def __init__(self, lookup: AccountLookup, redact: RedactValue) -> None:
        self._lookup = lookup
        self._kept: _Kept[AccountFacts] = _Kept(
            lambda facts: replace(
                facts,
                name=_text("account", facts.name, redact),
                unit=_text("unit", facts.unit, redact),
                tags=_tags(facts.tags, redact),
            )
        )

    @property
    def version(self) -> int:
        """Return the lookup's own."""
        return self._lookup.version

    def __call__(self, account: str) -> AccountFacts | None:
        """See `ports.AccountLookup`."""
        facts = self._lookup(account)
        return None if facts is None else self._kept.of(facts)


class RedactedResources:
    """Implements `ports.ResourceLookup`."""

    def __init__(self, lookup: ResourceLookup, redact: RedactValue) -> None:
        self._lookup = lookup
        self._kept: _Kept[Mapping[str, str]] = _Kept(lambda tags: _tags(tags, redact))

    def __call__(self, resource: Resource) -> Mapping[str, str] | None:
        """See `ports.ResourceLookup`."""
        tags = self._lookup(resource)
        return None if tags is None else self._kept.of(tags)


class RedactedPrincipals:
    """Implements `ports.PrincipalLookup`."""

    def __init__(self, lookup: PrincipalLookup, redact: RedactValue) -> None:
        self._lookup = lookup
        self._kept: _Kept[IamPrincipal] = _Kept(
            lambda principal: replace(
                principal,
                description=_text("description", principal.description, redact),
                tags=_tags(principal.tags, redact),
            )
        )

    def __call__(self, arn: str) -> IamPrincipal | None:
        """See `ports.PrincipalLookup`."""
        principal = self._lookup(arn)
        return None if principal is None else self._kept.of(principal)

    def learn(
        self,
        arn: str,
        change: Mapping[str, Any],
        kind: Literal["create", "tag", "untag", "describe", "delete"],
        at: float,
    ) -> None:
        """See `ports.PrincipalLookup`."""
        self._lookup.learn(arn, change, kind, at)


class RedactedInterfaces:
    """Implements `ports.InterfaceLookup`."""

    def __init__(self, lookup: InterfaceLookup, redact: RedactValue) -> None:
        self._lookup = lookup

        def interface(facts: NetworkInterface) -> NetworkInterface:
            return replace_fields(facts, name=_text("name", facts.name, redact), tags=_tags(facts.tags, redact))

        def instance(facts: Instance) -> Instance:
            return replace_fields(facts, name=_text("name", facts.name, redact), tags=_tags(facts.tags, redact))

        self._kept: _Kept[InterfaceOwner] = _Kept(
            lambda owner: replace(
                owner,
                interface=None if owner.interface is None else interface(owner.interface),
                instance=None if owner.instance is None else instance(owner.instance),
            )
        )

    @property
    def version(self) -> int:
        """Return the lookup's own."""
        return self._lookup.version

    def want(self, account: str, region: str) -> None:
        """See `ports.InterfaceLookup`."""
        self._lookup.want(account, region)

    def interface(self, interface: str, at: float) -> InterfaceOwner:
        """See `ports.InterfaceLookup`."""
        return self._kept.of(self._lookup.interface(interface, at))

    def address(self, address: str, network: str | None, at: float) -> InterfaceOwner:
        """See `ports.InterfaceLookup`."""
        return self._kept.of(self._lookup.address(address, network, at))

    def learn(self, event: str, account: str, region: str, parts: tuple[Mapping[str, Any], ...], at: float) -> None:
        """See `ports.InterfaceLookup`."""
        self._lookup.learn(event, account, region, parts, at)

    def close(self) -> None:
        """See `ports.InterfaceLookup`."""
        self._lookup.close()
