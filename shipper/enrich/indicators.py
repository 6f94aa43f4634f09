"""Addresses, networks, domains and user agents that somebody calls bad, from files that may be replaced."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from socket import AF_INET, inet_pton

import msgspec
import structlog

from shipper.enrich.indicator_files import Source, entries
from shipper.enrich.indicator_gathering import Gathered, narrow_key
from shipper.enrich.indicator_tables import MOST_DETAILS, NONE, Hashes, Networks, packed_address
from shipper.errors import ConfigError
from shipper.model import Indicator

_MOST_ENTRIES = 20_000_000
_LONGEST = 4_096

Finder = Callable[[str], Indicator | None]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ListState:
    """What `shipper check` tells of one list.

    Attributes:
        found: indicators that are looked for.
        skipped: lines or objects of other kinds.
    """

    source: Source
    found: int
    skipped: int


class Indicators:
    """Implements `ports.IndicatorLookup` over some lists. Safe to use from many threads.

    Of several lists that name the same thing the first counts; of networks the smallest.

    Files that are replaced are read again within `look_seconds`, in a thread of its own; all lists change at once.
    Where one cannot be read, or has nothing usable any more, the old ones stay in use, and that is logged.

    Args:
        look_seconds: how often the files are looked at.
        reloads: told whether replaced files could be read.
        known: told how many indicators there are.

    Attributes:
        version: another number after each replacement, for those that keep answers.
        address, domain, agent: see `ports.IndicatorLookup`; others after each replacement.

    Raises:
        ConfigError: a list cannot be read, or holds none of what is looked for.
    """

    address: Finder
    domain: Finder
    agent: Finder

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        look_seconds: float = 30.0,
        reloads: Callable[[bool], None] = lambda _: None,
        known: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.version = 0
        self._sources = tuple(sources)
        self._look_seconds = look_seconds
        self._reloads = reloads
        self._known = known
        self._mutex = threading.Lock()
        self._seen = self._stamps()
        self._use(_Lists(self._sources))
        self._look_at = time.monotonic() + look_seconds

    def look(self) -> int:
        """Return the version, and see to it that replaced files are read, which does not wait for it."""
        if time.monotonic() > self._look_at and self._mutex.acquire(blocking=False):
            try:
                self._look_at = time.monotonic() + self._look_seconds
                stamps = self._stamps()
                if stamps != self._seen:
                    self._seen = stamps
                    threading.Thread(target=self.reload, name="indicators", daemon=True).start()
            finally:
                self._mutex.release()
        return self.version

    def reload(self) -> None:
        """Read all lists again; the old ones serve meanwhile, and stay where one is broken."""
        try:
            fresh = _Lists(self._sources, renewed=True)
        except ConfigError as error:
            log.error("a list of indicators cannot be read, the old ones stay in use", why=str(error), hint=error.hint)  # noqa: TRY400 - no traceback wanted
            self._reloads(False)
            return
        self._use(fresh)
        self.version += 1
        log.info("lists of indicators were replaced", indicators=fresh.count)
        self._reloads(True)

    def _use(self, lists: _Lists) -> None:
        self._states = lists.states
        self.address, self.domain, self.agent = lists.addresses(), lists.domains(), lists.agents()
        self._known(lists.count)

    def describe(self) -> list[ListState]:
        """What each list holds, for `shipper check`."""
        return self._states

    def _stamps(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(source) for source in self._sources)


class _Lists:
    """Some lists as tables.

    Args:
        renewed: they replace others: a list without anything is a download that failed.
    """

    def __init__(self, sources: Sequence[Source], *, renewed: bool = False) -> None:
        gathered = Gathered()
        self.states = [_read(source, gathered, renewed=renewed) for source in sources]
        self.count = sum(state.found for state in self.states)
        gathered.details.finish()
        self._details, self._providers = gathered.details, tuple(gathered.providers)
        self._networks = Networks(32, _emptied(gathered.networks)).finder()
        self._has_wide = bool(gathered.wide_networks)
        self._wide = Networks(64, _emptied(gathered.wide_networks)).finder()
        self._narrow = Hashes(_emptied(gathered.narrow_networks)).finder()
        self._narrow_lengths = sorted(gathered.narrow_lengths, reverse=True)
        self._domains = Hashes(_emptied(gathered.domains)).finder()
        self._dots = frozenset(gathered.dots)
        self._agents = Hashes(_emptied(gathered.agents)).finder()
        self._wild_agents = gathered.wild_agents

    def addresses(self) -> Finder:
        """Return what finds addresses."""
        find, other, number_of = self._networks, self._ipv6, int.from_bytes

        def address(text: str) -> Indicator | None:
            if ":" in text:
                return other(text)
            try:
                found = find(number_of(inet_pton(AF_INET, text), "big"))
            except (OSError, ValueError):  # ValueError: a NUL, or what UTF-8 cannot write
                return None
            return self._indicator(found, "ipv4-addr", text) if found else None

        return address

    def _ipv6(self, text: str) -> Indicator | None:
        packed = packed_address(text)
        if packed is None:
            return None
        if len(packed) == 4:
            found = self._networks(int.from_bytes(packed))
            return self._indicator(found, "ipv4-addr", text) if found else None
        found = NONE
        for length in self._narrow_lengths:
            found = self._narrow(packed if length == 128 else narrow_key(packed, length))
            if found:
                break
        if not found and self._has_wide:
            found = self._wide(int.from_bytes(packed[:8]))
        return self._indicator(found, "ipv6-addr", text) if found else None

    def domains(self) -> Finder:
        """Return what finds domains, or a parent of them."""
        find, known = self._domains, self._dots
        most = max(known, default=-1)

        def domain(name: str) -> Indicator | None:
            if len(name) > _LONGEST:
                return None
            rest = name.lower().rstrip(".")
            dots = rest.count(".")
            if dots > most:  # longer than all that are known
                rest = rest.split(".", dots - most)[-1]
                dots = most
            while dots > 0:
                if dots in known and (found := find(rest)):
                    return self._indicator(found, "domain-name", rest)
                rest = rest[rest.find(".") + 1 :]
                dots -= 1
            return None

        return domain

    def agents(self) -> Finder:
        """Return what finds user agents."""
        find, wild_agents = self._agents, self._wild_agents

        def agent(text: str) -> Indicator | None:
            if len(text) > _LONGEST:
                return None
            lower = text.lower()
            found = find(lower) or next((detail for wild, detail in wild_agents if wild.match(lower)), NONE)
            return self._indicator(found, "software", text) if found else None

        return agent

    def _indicator(self, number: int, kind: str, value: str) -> Indicator:
        told = self._details.get(number)
        if not told.startswith(b"{"):
            provider, _, known = told.partition(b" ")
            return Indicator(type=kind, value=known.decode() or value, provider=self._providers[int(provider)])
        detail = msgspec.json.decode(told)
        return Indicator(type=kind, value=detail.pop("value", None) or value, **detail)


def _read(source: Source, gathered: Gathered, *, renewed: bool) -> ListState:
    found = skipped = 0
    for entry in entries(source):
        if entry is None:
            skipped += 1
            continue
        found += 1
        if found > min(_MOST_ENTRIES, MOST_DETAILS):
            raise ConfigError(f"{source.path}: more than {_MOST_ENTRIES:,} indicators", "leave some out")
        gathered.add(entry, source.provider)
    if not found and (skipped or renewed):
        raise ConfigError(f"{source.path}: nothing in it is an indicator", "download the list again")
    return ListState(source, found, skipped)


def _emptied(numbers: list[int]) -> list[int]:
    """The same numbers, and the list that held them is given up: tables are built one after another."""
    taken = numbers[:]
    numbers.clear()
    return taken


def _stamp(source: Source) -> tuple[int, int, int] | None:
    """What tells one file of a name from the next."""
    try:
        status = source.path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
