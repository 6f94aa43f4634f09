"""What is written of accounts is renewed as soon as more is known."""

from __future__ import annotations

from shipper.model import AccountFacts
from shipper.schemas.account_parts import AccountParts


class Accounts:
    """A look-up that learns one name."""

    def __init__(self) -> None:
        self.version = 0
        self.facts: AccountFacts | None = None

    def __call__(self, account: str) -> AccountFacts | None:
        assert account == "111122223333"
        return self.facts


def test_a_name_shows_at_once_however_short_ago_it_was_asked_for() -> None:
    """What reads the parts keeps them for long, and asks again only when the version rises: it must not get the old."""
    accounts = Accounts()
    parts = AccountParts(accounts, lambda _account, _region, facts: facts, asked_seconds=3600.0)
    assert parts.find("111122223333", "eu-west-1") is None
    known = AccountFacts("prod", None, None, {})
    accounts.facts, accounts.version = known, 1
    assert parts.find("111122223333", "eu-west-1") is known
