"""Tags of S3 buckets and log groups, looked up in the background, across accounts through a role of a given name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import botocore.exceptions
import structlog

from shipper.aws import AwsSettings, classify
from shipper.enrich.account_clients import AccountClients
from shipper.enrich.background import Background, Policy, Report
from shipper.enrich.tag_choice import TagChoice
from shipper.metrics import Metrics
from shipper.model import Resource
from shipper.ports import Stop

Fetch = Callable[[Resource], Mapping[str, str] | None]
"""Asks for a resource's tags; None where it is not there or has none. Blocks.

Raises:
    RetryableError: they cannot be asked for now; `paused` where a permission is missing.
"""

_LOOKUP = "resources"
_NOTHING = frozenset({"NoSuchBucket", "NoSuchTagSet", "NoSuchTagSetError", "ResourceNotFoundException"})
_PARTITIONS = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("us-isob-", "aws-iso-b"), ("us-iso-", "aws-iso"))

log = structlog.get_logger(__name__)


class ResourceTags:
    """Implements `ports.ResourceLookup`: answers from memory, and asks AWS in a thread of its own.

    The first records of a resource go without.

    Args:
        policy: how much is remembered, and how often AWS is asked.
        tags: which tags are kept.
        kinds: the kinds of resources that are looked up.
    """

    def __init__(
        self,
        fetch: Fetch,
        metrics: Metrics,
        stop: Stop,
        policy: Policy,
        tags: TagChoice,
        *,
        kinds: frozenset[str] = frozenset({"bucket", "log_group"}),
    ) -> None:
        self._fetch = fetch
        self._kinds = kinds
        self._tags = tags
        self._known = Background(
            _LOOKUP,
            self._look_up,
            Report(
                lambda outcome: metrics.enrich_lookups.labels(_LOOKUP, outcome).inc(),
                metrics.enrich_known.labels(_LOOKUP).set,
            ),
            stop,
            policy=policy,
            owner=lambda resource: (resource.account, resource.kind),
            complain=_complain,
        )

    def __call__(self, resource: Resource) -> Mapping[str, str] | None:
        """The tags known now; see `ports.ResourceLookup`."""
        return self._known.get(resource) if resource.kind in self._kinds else None

    def _look_up(self, resource: Resource) -> Mapping[str, str] | None:
        found = self._fetch(resource)
        return (self._tags.of(found) or None) if found else None


def _complain(resource: Resource, why: str) -> None:
    """Tell a failure's cause once for each account and kind, not for each resource."""
    log.warning("tags cannot be asked for, documents go without", account=resource.account, kind=resource.kind, why=why)


class ResourceAccounts:
    """Implements `resources.Fetch`. Used from one thread.

    Args:
        settings: how the own account is reached.
        role_name: the role to assume in every other account; None asks the own account alone.
        external_id: what those roles ask for.
    """

    def __init__(self, settings: AwsSettings, role_name: str | None, external_id: str | None) -> None:
        self._clients = AccountClients(settings, role_name, external_id, key="enrich.resources.role_name")

    def __call__(self, resource: Resource) -> Mapping[str, str] | None:
        """Look up one resource; see `resources.Fetch`."""
        region = resource.region
        partition = next((name for start, name in _PARTITIONS if region.startswith(start)), "aws")
        service = "s3" if resource.kind == "bucket" else "logs"
        try:
            client = self._clients.client(resource.account, service, region=region, partition=partition)
            if resource.kind == "bucket":
                answer = client.get_bucket_tagging(Bucket=resource.name, ExpectedBucketOwner=resource.account)
                return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}
            arn = f"arn:{partition}:logs:{region}:{resource.account}:log-group:{resource.name}"
            tags: Mapping[str, str] = client.list_tags_for_resource(resourceArn=arn).get("tags", {})
        except botocore.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") in _NOTHING:
                return None
            raise classify(error, service=service) from error
        except botocore.exceptions.BotoCoreError as error:
            raise classify(error) from error
        return tags or None
