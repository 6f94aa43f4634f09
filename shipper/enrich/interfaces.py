"""Whose network interfaces and addresses are: listed in the background, kept fresh by CloudTrail, and never forgotten
with the interface itself.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
import structlog

from shipper.enrich.background import Background, Policy, Report
from shipper.enrich.interface_changes import Change, apply
from shipper.enrich.interface_inventory import Inventory, Timeline
from shipper.enrich.memory_file import MemoryFile
from shipper.metrics import Metrics
from shipper.model import Instance, InterfaceOwner, NetworkInterface
from shipper.ports import Stop

Kind = Literal["interfaces", "instances"]

_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z]{2}(-[a-z]{1,12}){1,3}-[0-9]{1,2}")
_OPEN_RANK = 1e12
"""Later than any time: what is still there is kept before all that is gone."""

log = structlog.get_logger(__name__)


class Ec2(Protocol):
    """Lists what an account has in a region. Blocks; called from one thread.

    Raises:
        RetryableError: EC2 cannot be asked now; `paused` where a permission is missing.
    """

    def interfaces(self, account: str, region: str) -> Iterable[NetworkInterface]:
        """Each interface, with all its tags; `since` is when it was attached, 0 where it is not."""
        ...

    def instances(self, account: str, region: str) -> Iterable[Instance]:
        """Each instance, with all its tags."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """What is remembered of whom.

    Attributes:
        accounts, regions: only these are listed; empty for all that records name.
        tags: keys that are kept; `*` for all.
        without_tags: keys that are not.
        across: see `Inventory`.
    """

    accounts: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    without_tags: frozenset[str] = frozenset()
    across: bool = False


class Interfaces:
    """Implements `ports.InterfaceLookup`: answers from memory; EC2 is asked in a thread of its own.

    Args:
        path: the SQLite file that a restart remembers from; None keeps nothing beyond this process.
        policy: `most` interfaces are kept; the listing of each account and region is renewed.
        clock: seconds since the epoch.
        calm_seconds: `version` stays as it is for so long: many changes shall not cost each record its cached answer.
    """

    def __init__(
        self,
        ec2: Ec2,
        path: Path | None,
        metrics: Metrics,
        stop: Stop,
        policy: Policy,
        *,
        choice: Choice,
        clock: Callable[[], float] = time.time,
        calm_seconds: float = 1.0,
    ) -> None:
        self.version = 0
        self._calm_seconds = calm_seconds
        self._told_at = -math.inf
        self._untold = False
        self._ec2 = ec2
        self._choice = choice
        self._clock = clock
        self._known = metrics.interfaces_known
        self._lock = threading.Lock()
        self._inventory = Inventory(policy.most, across=choice.across)
        self._asked: dict[tuple[str, str], float] = {}
        self._files: tuple[MemoryFile[Timeline], MemoryFile[Instance]] | None = None
        if path is not None:
            self._files = (
                MemoryFile(path, "interfaces", Timeline, stop, most=policy.most),
                MemoryFile(path, "instances", Instance, stop, most=policy.most),
            )
            self._restore(*self._files)
        self._listings: Background[tuple[str, str, Kind], bool] = Background(
            "interfaces",
            self._list,
            Report(lambda outcome: metrics.interface_listings.labels(outcome).inc(), lambda _: None),
            stop,
            policy=policy,
            owner=lambda key: key,
            complain=_complain,
            clock=clock,
        )
        for account in sorted(choice.accounts):
            for region in sorted(choice.regions):
                self.want(account, region)

    def want(self, account: str, region: str) -> None:
        """Have a place's interfaces and instances listed; see `ports.InterfaceLookup`."""
        if self._untold:
            self._tell()
        if (account, region) not in self._asked and not self._allowed(account, region):
            return
        self._listings.get((account, region, "interfaces"))
        self._listings.get((account, region, "instances"))

    def interface(self, interface: str, at: float) -> InterfaceOwner:
        """An interface as it was at a time; see `ports.InterfaceLookup`."""
        with self._lock:
            return self._inventory.interface(interface, at)

    def address(self, address: str, network: str | None, at: float) -> InterfaceOwner:
        """The interface that had an address at a time; see `ports.InterfaceLookup`."""
        with self._lock:
            return self._inventory.address(address, network, at)

    def learn(self, event: str, account: str, region: str, parts: tuple[Mapping[str, Any], ...], at: float) -> None:
        """Note a change that passes by in CloudTrail; see `ports.InterfaceLookup`."""
        asked, answered = parts
        with self._lock:
            changed = apply(event, Change(account, region, asked, answered, at, self._chosen), self._inventory)
            self._changed(changed)

    def close(self) -> None:
        """Write what is not written yet."""
        for file in self._files or ():
            file.close()

    def waiting(self) -> int:
        """How many listings are still to be made."""
        return self._listings.waiting()

    def _allowed(self, account: str, region: str) -> bool:
        accounts, regions = self._choice.accounts, self._choice.regions
        known = _ACCOUNT.fullmatch(account) and _REGION.fullmatch(region)
        return bool(known) and (not accounts or account in accounts) and (not regions or region in regions)

    def _list(self, key: tuple[str, str, Kind]) -> bool:
        account, region, kind = key
        asked_at = self._clock()
        if kind == "instances":
            for instance in self._ec2.instances(account, region):
                tags = self._chosen(instance.tags)
                with self._lock:
                    if self._inventory.tagged(Instance(instance.id, asked_at, instance.name, tags)):
                        self._changed({instance.id})
            return True
        # All pages first: half a listing would say that the other half is gone.
        found = list(self._ec2.interfaces(account, region))
        before = self._asked.get((account, region), 0.0)
        for one in found:
            chosen = msgspec.structs.replace(one, tags=self._chosen(one.tags))
            with self._lock:
                if self._inventory.seen(chosen, asked_at, before):
                    self._changed({one.id})
        with self._lock:
            self._changed(self._inventory.unseen(account, region, (one.id for one in found), asked_at))
            self._asked[account, region] = asked_at
        return True

    def _changed(self, names: Iterable[str]) -> None:
        """Have what changed written, and earlier answers forgotten. Called with the lock held."""
        inventory = self._inventory
        for name in names:
            self._untold = True
            if self._files is None:
                continue
            if (timeline := inventory.timelines.get(name)) is not None:
                until = timeline.last.until
                self._files[0].put(name, _OPEN_RANK if until is None else until, timeline)
            elif (instance := inventory.instances.get(name)) is not None:
                self._files[1].put(name, instance.at, instance)
        self._known.set(len(inventory.timelines))
        if self._untold:
            self._tell()

    def _tell(self) -> None:
        """Have earlier answers forgotten, unless that was done just now: then the next change or payload does it."""
        now = time.monotonic()
        if now - self._told_at >= self._calm_seconds:
            self._told_at, self._untold = now, False
            self.version += 1

    def _restore(self, timelines: MemoryFile[Timeline], instances: MemoryFile[Instance]) -> None:
        for name, timeline in timelines.load():
            self._inventory.restore(name, timeline)
        for _, instance in instances.load():
            self._inventory.tagged(instance)
        self._known.set(len(self._inventory.timelines))

    def _chosen(self, tags: Mapping[str, str]) -> dict[str, str]:
        wanted, unwanted = self._choice.tags, self._choice.without_tags
        return {key: value for key, value in tags.items() if ("*" in wanted or key in wanted) and key not in unwanted}


def _complain(listing: tuple[str, str, str], why: str) -> None:
    """Tell a failure's cause once for each account, region and kind of listing."""
    account, region, kind = listing
    log.warning(
        "EC2 cannot be asked, flow logs go out without names", account=account, region=region, missing=kind, why=why
    )
