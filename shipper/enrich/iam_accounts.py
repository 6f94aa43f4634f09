"""Asks IAM for roles and users, in the own account directly and in others through a role of a given name."""

from __future__ import annotations

import botocore.exceptions

from shipper.aws import AwsSettings, classify
from shipper.enrich.account_clients import AccountClients
from shipper.model import IamPrincipal


class IamAccounts:
    """Implements `iam.Fetch`. Used from one thread.

    Args:
        settings: how the own account is reached.
        role_name: the role to assume in every other account; None asks the own account alone.
        external_id: what those roles ask for.
    """

    def __init__(self, settings: AwsSettings, role_name: str | None, external_id: str | None) -> None:
        self._clients = AccountClients(settings, role_name, external_id, key="enrich.iam.role_name")

    def __call__(self, arn: str) -> IamPrincipal | None:
        """Look up one role or user; see `iam.Fetch`."""
        _, partition, _, _, account, resource = arn.split(":", 5)
        kind, _, name = resource.partition("/")
        try:
            client = self._clients.client(account, "iam", partition=partition)
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
