"""Keeps what was written of an account and region, for the many records that share them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from shipper.model import AccountFacts
from shipper.ports import AccountLookup

Part = TypeVar("Part")

_MOST = 8_192


class AccountParts(Generic[Part]):
    """Writes once for each account and region, and again when more is known. Safe to use from many threads.

    Args:
        accounts: None to write of regions alone.
        write: (account id, region, what is known of the account) → what is kept; "" for an unknown account or region.
        asked_seconds: how long an answer is used before the look-up is asked again.
    """

    def __init__(
        self,
        accounts: AccountLookup | None,
        write: Callable[[str, str, AccountFacts | None], Part],
        *,
        asked_seconds: float = 1.0,
    ) -> None:
        self._accounts = accounts
        self._write = write
        self._asked_seconds = asked_seconds
        self._known: dict[tuple[str, str], tuple[float, int, AccountFacts | None, Part]] = {}

    def find(self, account: str, region: str) -> Part:
        """What is known now: asked at most `asked_seconds` ago, and nothing has become known since."""
        known = self._known.get((account, region))
        now = time.monotonic()
        version = self._accounts.version if self._accounts is not None else 0
        if known is not None and now < known[0] and known[1] == version:
            return known[3]
        facts = self._accounts(account) if self._accounts is not None and account else None
        part = known[3] if known is not None and known[2] is facts else self._write(account, region, facts)
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[account, region] = now + self._asked_seconds, version, facts, part
        return part
