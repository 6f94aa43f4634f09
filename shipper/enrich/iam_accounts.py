"""Asks IAM for roles and users, in the own account directly and in others through a role of a given name."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import botocore.exceptions

from shipper.aws import AwsSessions, AwsSettings, classify
from shipper.errors import RetryableError
from shipper.model import IamPrincipal

_MOST_ACCOUNTS = 1_000


class IamAccounts:
    """Implements `iam.Fetch`. Used from one thread.

    Args:
        settings: how the own account is reached.
        role_name: the role to assume in every other account; None asks the own account alone.
        external_id: what those roles ask for.
    """

    def __init__(self, settings: AwsSettings, role_name: str | None, external_id: str | None) -> None:
        self._settings = settings
        self._role_name = role_name
        self._external_id = external_id
        self._own = AwsSessions(settings, threads=1)
        self._own_account: str | None = None
        self._others: dict[str, AwsSessions] = {}
        self._mutex = threading.Lock()

    def __call__(self, arn: str) -> IamPrincipal | None:
        """Look up one role or user; see `iam.Fetch`."""
        _, partition, _, _, account, resource = arn.split(":", 5)
        kind, _, name = resource.partition("/")
        try:
            client = self._client(partition, account)
            answer = client.get_role(RoleName=name) if kind == "role" else client.get_user(UserName=name)
        except botocore.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") in {"NoSuchEntity", "NoSuchEntityException"}:
                return None
            raise classify(error) from error
        except botocore.exceptions.BotoCoreError as error:
            raise classify(error) from error
        found = answer["Role" if kind == "role" else "User"]
        tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags", ())}
        return IamPrincipal(path=found.get("Path"), description=found.get("Description"), tags=tags)

    def _client(self, partition: str, account: str) -> Any:
        with self._mutex:
            if self._own_account is None:
                self._own_account = self._own.client("sts").get_caller_identity()["Account"]
            if account == self._own_account:
                return self._own.client("iam")
            if self._role_name is None:
                raise RetryableError(f"account {account} is another one: set enrich.iam.role_name", paused=True)
            sessions = self._others.get(account)
            if sessions is None:
                if len(self._others) >= _MOST_ACCOUNTS:
                    self._others.clear()
                role = f"arn:{partition}:iam::{account}:role/{self._role_name}"
                sessions = AwsSessions(replace(self._settings, role_arn=role, external_id=self._external_id), threads=1)
                self._others[account] = sessions
            return sessions.client("iam")
