"""Clients of many accounts: the own one directly, the others through a role of a given name."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from shipper.aws import AwsSessions, AwsSettings
from shipper.errors import RetryableError

_MOST_ACCOUNTS = 1_000


class AccountClients:
    """Makes clients for accounts. Safe to use from many threads.

    Args:
        settings: how the own account is reached.
        role_name: the role to assume in every other account; None reaches the own account alone.
        external_id: what those roles ask for.
        key: where the configuration names the role, for messages.
    """

    def __init__(self, settings: AwsSettings, role_name: str | None, external_id: str | None, *, key: str) -> None:
        self._settings = settings
        self._role_name = role_name
        self._external_id = external_id
        self._key = key
        self._own = AwsSessions(settings, threads=1)
        self._own_account: str | None = None
        self._others: dict[str, AwsSessions] = {}
        self._mutex = threading.Lock()

    def client(self, account: str, service: str, *, region: str | None = None, partition: str = "aws") -> Any:
        """Return the boto client of a service in an account. Blocks at its first use: it asks who it is.

        Args:
            region: the settings' own by default.

        Raises:
            RetryableError: the account is another one, and no role is named for it; `paused`.
            botocore's errors: STS does not say who we are.
        """
        return self._sessions(account, partition).client(service, region)

    def forget(self, account: str, service: str, *, region: str | None = None) -> None:
        """Close a client that is not needed for long; see `AwsSessions.forget`."""
        with self._mutex:
            sessions = self._own if account == self._own_account else self._others.get(account)
        if sessions is not None:
            sessions.forget(service, region)

    def _sessions(self, account: str, partition: str) -> AwsSessions:
        with self._mutex:
            if self._own_account is None:
                self._own_account = self._own.client("sts").get_caller_identity()["Account"]
            if account == self._own_account:
                return self._own
            if self._role_name is None:
                raise RetryableError(f"account {account} is another one: set {self._key}", paused=True)
            sessions = self._others.get(account)
            if sessions is None:
                if len(self._others) >= _MOST_ACCOUNTS:
                    self._others.clear()
                role = f"arn:{partition}:iam::{account}:role/{self._role_name}"
                settings = replace(self._settings, role_arn=role, external_id=self._external_id)
                sessions = AwsSessions(settings, threads=1)
                self._others[account] = sessions
            return sessions
