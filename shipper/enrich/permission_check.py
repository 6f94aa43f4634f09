"""Tries each call that enrichment makes at AWS once, for `shipper check`; mostly by names that nobody has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import botocore.exceptions

from shipper.aws import AwsSessions, AwsSettings, classify
from shipper.enrich.account_clients import AccountClients
from shipper.errors import RetryableError, UnreadableError
from shipper.model import Problem

_NOBODY = "shipper-check"
_NO_UNIT = "ou-0000-00000000"
_NO_ACCOUNT = "000000000000"
# Answers that only somebody gets who may ask.
_ALLOWED = frozenset(
    (
        *("NoSuchEntity", "NoSuchEntityException", "NoSuchBucket", "NoSuchTagSet", "ResourceNotFoundException"),
        *("OrganizationalUnitNotFoundException", "ChildNotFoundException", "TargetNotFoundException"),
        "AccountNotFoundException",
    )
)
_MOST_ACCOUNTS = 20


class _Account(NamedTuple):
    id: str
    partition: str
    region: str


class PermissionCheck:
    """Tries what one enrichment asks, in the own account and in some others. Used by one thread; raises nothing.

    Args:
        where: the part of the configuration, such as `enrich.iam`.
        settings: how the own account is reached.
        role_name: the role to assume in other accounts; None tries the own account alone.
        external_id: what those roles ask for.
        others: other accounts that the configuration names.
    """

    def __init__(
        self,
        where: str,
        settings: AwsSettings,
        role_name: str | None = None,
        external_id: str | None = None,
        others: Sequence[str] = (),
    ) -> None:
        self._where = where
        self._settings = settings
        self._unusable = False
        self._others = others[:_MOST_ACCOUNTS] if role_name is not None else ()
        self._clients = AccountClients(settings, role_name, external_id, key=f"{where}.role_name")

    def principals(self) -> Iterator[Problem]:
        """Yield what keeps roles and users from being looked up."""
        for client, _ in self._accounts():
            yield from self._tried(partial(client, "iam"), "get_role", RoleName=_NOBODY)
            yield from self._tried(partial(client, "iam"), "get_user", UserName=_NOBODY)

    def interfaces(self, regions: Sequence[str]) -> Iterator[Problem]:
        """Yield what keeps interfaces and instances from being listed.

        Args:
            regions: those that are listed; the settings' own when empty.
        """
        for client, _ in self._accounts():
            for region in regions or (None,):
                for call in ("describe_network_interfaces", "describe_instances"):
                    yield from self._tried(partial(client, "ec2", region), call, MaxResults=5)

    def resources(self, buckets: Sequence[str], *, groups: bool) -> Iterator[Problem]:
        """Yield what keeps tags of the own account's buckets and log groups from being read.

        Args:
            buckets: some that there are, as S3 asks for permission only then.
            groups: whether log groups are looked up.
        """
        for client, about in self._accounts():
            for bucket in buckets:
                yield from self._tried(partial(client, "s3"), "get_bucket_tagging", Bucket=bucket)
            if groups:
                logs = partial(client, "logs")
                arn = f"arn:{about.partition}:logs:{about.region}:{about.id}:log-group:{_NOBODY}"
                yield from self._tried(logs, "list_tags_for_resource", "logs", resourceArn=arn)

    def organization(self) -> Iterator[Problem]:
        """Yield what keeps Organizations from telling of accounts."""
        client = partial(AwsSessions(self._settings, threads=1).client, "organizations")
        account = _NO_ACCOUNT
        calls: dict[str, dict[str, object]] = {
            "list_accounts": {"MaxResults": 1},
            "list_parents": {"ChildId": account},
            "describe_organizational_unit": {"OrganizationalUnitId": _NO_UNIT},
            "list_tags_for_resource": {"ResourceId": account},
        }
        for call, parameters in calls.items():
            yield from self._tried(client, call, "organizations", **parameters)
            if self._unusable:  # no other call gets further
                return

    def _accounts(self) -> Iterator[tuple[Callable[..., Any], _Account]]:
        """How each account's clients are made; none where it is not known who we are, which the sources say."""
        try:
            sts = AwsSessions(self._settings, threads=1).client("sts")
            who, region = sts.get_caller_identity(), sts.meta.region_name
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
            return
        partition = who["Arn"].split(":")[1]
        for account in dict.fromkeys((who["Account"], *self._others)):
            yield partial(self._client, account, partition), _Account(account, partition, region)

    def _client(self, account: str, partition: str, service: str, region: str | None = None) -> Any:
        return self._clients.client(account, service, region=region, partition=partition)

    def _tried(
        self, client: Callable[[], Any], call: str, service: str | None = None, **parameters: object
    ) -> Iterator[Problem]:
        """Make one call.

        Args:
            service: whose permission it is, where several services have calls of one name.
        """
        try:
            getattr(client(), call)(**parameters)
        except botocore.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _ALLOWED:
                yield self._problem(classify(error, service=service))
        except botocore.exceptions.BotoCoreError as error:
            yield self._problem(classify(error))

    def _problem(self, error: RetryableError | UnreadableError) -> Problem:
        denied = error.kind == "forbidden" if isinstance(error, UnreadableError) else error.denied
        otherwise = "allow what `shipper iam-policy` prints" if denied else "look at aws.region and the network"
        hint = error.hint or otherwise
        self._unusable = bool(error.hint)
        return Problem(self._where, str(error), f"{hint}; documents go without it", serious=False)
