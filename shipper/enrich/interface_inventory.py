"""Every network interface that was heard of, as it was from when till when; addresses lead to them."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from shipper.model import Instance, InterfaceOwner, NetworkInterface

_MOST_VERSIONS = 32
_NEWBORN_SECONDS = 60.0
"""EC2's listings may leave out for a while what was just made (eventual consistency)."""
_LINGER_SECONDS = 600.0
"""The longest aggregation interval of flow logs: records may begin so long after their interface is gone."""
_MOST_AGED = 1_000


class Timeline(msgspec.Struct, gc=False):
    """One interface's versions, oldest first; each begins where or after the one before ends."""

    versions: tuple[NetworkInterface, ...]

    @property
    def last(self) -> NetworkInterface:
        """How the interface is now, or was at its end."""
        return self.versions[-1]


class Inventory:
    """Remembers interfaces and instances. Not safe to use from many threads.

    Args:
        most: interfaces remembered, and instances; those gone go first.
        across: private addresses of other networks count too, where only one interface has them.
    """

    def __init__(self, most: int, *, across: bool) -> None:
        self._most = most
        self._across = across
        self.timelines: OrderedDict[str, Timeline] = OrderedDict()
        self.instances: OrderedDict[str, Instance] = OrderedDict()
        # By address, instance id and attachment id: the interfaces that have or had it.
        self._by: dict[str, list[str]] = {}

    def interface(self, name: str, at: float) -> InterfaceOwner:
        """An interface as it was at a time; its first or last version where it was not there then."""
        timeline = self.timelines.get(name)
        if timeline is None:
            return InterfaceOwner(None, None, -math.inf, math.inf)
        chosen, since, until = timeline.versions[0], -math.inf, math.inf
        for version in timeline.versions[1:]:
            if version.since > at:
                until = version.since
                break
            chosen, since = version, version.since
        return InterfaceOwner(chosen, self.instances.get(chosen.instance or ""), since, until)

    def address(self, address: str, network: str | None, at: float) -> InterfaceOwner:
        """The interface that had an address in a network at a time, or had it a few minutes before."""
        since, until = -math.inf, math.inf
        found: list[NetworkInterface] = []
        strange: list[NetworkInterface] = []
        for version in self._with(address):
            own = address in version.public or (network is not None and version.vpc == network)
            if not own and not self._across:
                continue
            end = math.inf if version.until is None else version.until
            for edge in (version.since, end, end + _LINGER_SECONDS):
                if edge <= at:
                    since = max(since, edge)
                else:
                    until = min(until, edge)
            if version.since <= at < end + _LINGER_SECONDS:
                (found if own else strange).append(version)
        if not found and len({version.id for version in strange}) == 1:
            found = strange
        if not found:
            return InterfaceOwner(None, None, since, until)
        there = max(found, key=lambda version: (version.until is None or version.until > at, version.since))
        return InterfaceOwner(there, self.instances.get(there.instance or ""), since, until)

    def _with(self, address: str) -> Iterator[NetworkInterface]:
        for name in self._by.get(address, ()):
            for version in self.timelines[name].versions:
                if address in version.private or address in version.public:
                    yield version

    def of(self, key: str) -> list[NetworkInterface]:
        """The interfaces, as they are now, that have or had an instance's or attachment's id."""
        return [self.timelines[name].last for name in self._by.get(key, ())]

    def seen(self, found: NetworkInterface, asked_at: float, before: float) -> bool:
        """Note an interface that EC2 listed; true where that is news.

        Args:
            found: `since` is when it was attached, 0 where it is not.
            asked_at: when it was asked for.
            before: when it was asked for the time before; 0 for never.
        """
        known = self.timelines.get(found.id)
        if known is None:
            self._set(found.id, _first(found, before))
            return True
        last = known.last
        if last.since > asked_at or (last.until is not None and last.until > asked_at):
            return False  # a record that passed by knows better
        if _same(last, found):
            if last.until is None:
                return False
            self._set(found.id, (*known.versions[:-1], msgspec.structs.replace(last, until=None)))
            return True
        attached = found.instance != last.instance and found.since > last.since
        self._follow(known, msgspec.structs.replace(found, since=found.since if attached else asked_at, until=None))
        return True

    def unseen(self, account: str, region: str, present: Iterable[str], asked_at: float) -> list[str]:
        """End the interfaces of a place that EC2 did not list; return their ids."""
        there = set(present)
        gone = [
            name
            for name, timeline in self.timelines.items()
            if name not in there
            and (last := timeline.last).until is None
            and last.since < asked_at - _NEWBORN_SECONDS
            and (last.account, last.region) == (account, region)
        ]
        for name in gone:
            self.end(name, asked_at)
        return gone

    def begin(self, made: NetworkInterface, at: float) -> bool:
        """Note that an interface was made; true where that is news."""
        known = self.timelines.get(made.id)
        if known is None:
            self._set(made.id, (msgspec.structs.replace(made, since=at),))
            return True
        first = known.versions[0]
        later = known.versions[1].since if len(known.versions) > 1 else math.inf
        if (first.since == 0.0 and at < later) or at < first.since:
            self._set(made.id, (msgspec.structs.replace(first, since=at), *known.versions[1:]))
            return True
        return False

    def end(self, name: str, at: float) -> bool:
        """Note that an interface was deleted; true where that is news."""
        known = self.timelines.get(name)
        if known is None or at < known.last.since or (known.last.until is not None and known.last.until <= at):
            return False
        self._set(name, (*known.versions[:-1], msgspec.structs.replace(known.last, until=at)))
        return True

    def change(self, name: str, at: float, changes: Mapping[str, Any]) -> bool:
        """Note that an interface became another; true where that is news. Later news count for more."""
        known = self.timelines.get(name)
        if known is None or known.last.until is not None or at < known.last.since:
            return False
        changed = msgspec.structs.replace(known.last, **changes)
        if changed == known.last:
            return False
        self._follow(known, msgspec.structs.replace(changed, since=at))
        return True

    def tagged(self, instance: Instance) -> bool:
        """Note an instance's tags; true where that is news."""
        known = self.instances.get(instance.id)
        if known is not None and known.at > instance.at:
            return False
        self.instances[instance.id] = instance
        while len(self.instances) > self._most:
            self.instances.popitem(last=False)
        return known is None or (known.name, known.tags) != (instance.name, instance.tags)

    def restore(self, name: str, timeline: Timeline) -> None:
        """Put back what an earlier run remembered."""
        self._set(name, timeline.versions)

    def _follow(self, known: Timeline, new: NetworkInterface) -> None:
        last = known.last
        end = new.since if last.until is None else min(last.until, new.since)
        versions = (*known.versions[:-1], msgspec.structs.replace(last, until=end), new)
        self._set(new.id, versions[-_MOST_VERSIONS:])

    def _set(self, name: str, versions: tuple[NetworkInterface, ...]) -> None:
        if not versions:
            return
        before = self.timelines.get(name)
        self._forget_keys(name, before)
        self.timelines[name] = Timeline(versions)
        for key in _keys(versions):
            self._by.setdefault(key, []).append(name)
        if before is None and len(self.timelines) > self._most:
            self._make_room()

    def _make_room(self) -> None:
        """Forget the interface that was heard of first among those gone; any where none of many is gone."""
        oldest = None
        for index, (name, timeline) in enumerate(self.timelines.items()):
            oldest = oldest or name
            if timeline.last.until is not None:
                oldest = name
                break
            if index >= _MOST_AGED:
                break
        if oldest is not None:
            self._forget_keys(oldest, self.timelines.pop(oldest))

    def _forget_keys(self, name: str, timeline: Timeline | None) -> None:
        for key in _keys(timeline.versions) if timeline is not None else ():
            names = self._by[key]
            names.remove(name)
            if not names:
                del self._by[key]


def _first(found: NetworkInterface, before: float) -> tuple[NetworkInterface, ...]:
    """An interface's history as its first listing tells it.

    One that is attached to an instance for its life, or to a service, was made when it was attached; any other may
    have been there without.
    """
    if found.since and (found.ends_with_instance or found.instance is None):
        return (found,)
    if not found.since:
        return (msgspec.structs.replace(found, since=before),)
    if found.since <= before:
        return (found,)
    alone = msgspec.structs.replace(
        found, since=before, until=found.since, instance=None, attachment=None, service=None, resource=None
    )
    return (alone, found)


def _same(one: NetworkInterface, other: NetworkInterface) -> bool:
    return msgspec.structs.replace(one, since=0.0, until=None) == msgspec.structs.replace(other, since=0.0, until=None)


def _keys(versions: Iterable[NetworkInterface]) -> set[str]:
    keys = {address for version in versions for address in (*version.private, *version.public)}
    return keys | {key for version in versions for key in (version.instance, version.attachment) if key}
