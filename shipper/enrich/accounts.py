"""Names, organisational units and tags of AWS accounts: from Organizations in the background, or from a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from shipper.counting import counted
from shipper.enrich.account_files import read_accounts
from shipper.enrich.background import Background, Policy, Report
from shipper.enrich.tag_choice import TagChoice
from shipper.enrich.watched import Watched
from shipper.metrics import Metrics
from shipper.model import AccountFacts
from shipper.ports import Stop

Fetch = Callable[[str], AccountFacts | None]
"""Asks Organizations for an account by its id; None where it has none of that id. Blocks.

Raises:
    RetryableError: it cannot be asked now; `paused` where a permission is missing.
"""

_LOOKUP = "accounts"
_ID_DIGITS = 12

log = structlog.get_logger(__name__)


class Accounts:
    """Implements `ports.AccountLookup`: answers from memory, and asks Organizations in a thread of its own.

    The first records of an account go without.

    Args:
        policy: how much is remembered, and how often Organizations is asked.
        tags: which tags are kept.
    """

    def __init__(self, fetch: Fetch, metrics: Metrics, stop: Stop, policy: Policy, tags: TagChoice) -> None:
        self._fetch = fetch
        self._tags = tags
        self._metrics = metrics
        self.version = 0
        self._known = Background(
            _LOOKUP,
            self._look_up,
            Report(self._count, metrics.enrich_known.labels(_LOOKUP).set),
            stop,
            policy=policy,
            owner=lambda _: "",
            complain=lambda _, why: log.warning(
                "Organizations cannot be asked, documents go without names of accounts", why=why
            ),
        )

    def __call__(self, account: str) -> AccountFacts | None:
        """What is known of an account now; see `ports.AccountLookup`."""
        return self._known.get(account) if len(account) == _ID_DIGITS and account.isdecimal() else None

    def _count(self, outcome: str) -> None:
        self._metrics.enrich_lookups.labels(_LOOKUP, outcome).inc()
        if outcome == "found":
            self.version += 1

    def _look_up(self, account: str) -> AccountFacts | None:
        found = self._fetch(account)
        if found is None:
            return None
        return AccountFacts(found.name, found.organization, found.unit, self._tags.of(found.tags))


class AccountsFile:
    """Implements `ports.AccountLookup` over a file, which may be replaced while it is used.

    Args:
        tags: which tags are kept.
        look_seconds: how often the file is looked at.
        told: told whether a replaced file could be read.

    Raises:
        ConfigError: the file is missing, or does not list accounts.
    """

    def __init__(
        self,
        path: Path,
        tags: TagChoice,
        *,
        look_seconds: float = 30.0,
        told: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._path = path
        self._file = Watched(
            [path],
            lambda: read_accounts(path, tags),
            "the file of accounts",
            look_seconds=look_seconds,
            told=told,
            describe=lambda accounts: counted(len(accounts), "account"),
        )

    def __call__(self, account: str) -> AccountFacts | None:
        """See `ports.AccountLookup`."""
        return self._file.now().get(account)

    @property
    def version(self) -> int:
        """See `ports.AccountLookup`."""
        self._file.now()
        return self._file.version

    def describe(self) -> str:
        """How many accounts the file has, for `shipper check`."""
        return f"{self._path}: {len(self._file.now())} accounts"
