"""What is known of accounts, regions, buckets and log groups, as Splunk's indexed fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from shipper.model import AccountFacts, LogEvent, Resource
from shipper.ports import Lookups, ResourceLookup
from shipper.schemas.account_parts import AccountParts
from shipper.schemas.resources import TagParts, bucket_of

# What may stand in a field's name: https://docs.splunk.com/Documentation/Splunk/latest/Knowledge/Aboutfields
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]+")


class FlatPlaces:
    """Writes the fields of an account and region once, and again when more is known. Safe to use from many threads.

    Fields: `account_name`, `organizational_unit`, `organization_id`, `account_tag_KEY`, `region_name`; of a log group
    `log_group_tag_KEY`; of a bucket that a call was for `bucket_name` and `bucket_tag_KEY`.
    """

    def __init__(self, lookups: Lookups) -> None:
        self._regions: Mapping[str, str] = lookups.regions or {}
        self._resources: ResourceLookup | None = lookups.resources
        self._tagged = TagParts()
        self._parts = AccountParts(lookups.accounts, self._written)

    def find(self, account: str, region: str) -> bytes:
        """An account's and region's fields as JSON members, with a comma before each; "" for unknown ones."""
        return self._parts.find(account, region)

    def _written(self, _: str, region: str, facts: AccountFacts | None) -> bytes:
        fields: dict[str, Any] = {}
        if facts is not None:
            named = {
                "account_name": facts.name,
                "organizational_unit": facts.unit,
                "organization_id": facts.organization,
            }
            fields |= {name: value for name, value in named.items() if value}
            fields |= _tag_fields("account_tag_", facts.tags)
        if name := self._regions.get(region):
            fields["region_name"] = name
        return members(fields)

    def of_event(self, event: LogEvent) -> bytes:
        """The same for an event of a log group, with the group's tags."""
        stream = event.stream
        written = self.find(stream.account, stream.region)
        if self._resources is not None and stream.account and stream.region:
            group = Resource("log_group", stream.account, stream.region, stream.group)
            if tags := self._resources(group):
                written += self._tagged.find(group, tags, lambda: members(_tag_fields("log_group_tag_", tags)))
        return written

    def of_bucket(self, raw: bytes) -> bytes:
        """The bucket that a CloudTrail record of S3 is about, and its tags."""
        bucket = bucket_of(raw) if self._resources is not None else None
        tags = self._resources(bucket) if bucket is not None and self._resources is not None else None
        if bucket is None or not tags:
            return b""
        named = {"bucket_name": bucket.name}
        return self._tagged.find(bucket, tags, lambda: members(named | _tag_fields("bucket_tag_", tags)))


def flat_places_of(lookups: Lookups) -> FlatPlaces | None:
    """What writes places; None where nothing of them is configured."""
    asks = lookups.accounts is not None or lookups.resources is not None or lookups.regions
    return FlatPlaces(lookups) if asks else None


def members(fields: Mapping[str, Any]) -> bytes:
    """Fields as JSON members, with a comma before each."""
    return b"," + orjson.dumps(fields)[1:-1] if fields else b""


def _tag_fields(prefix: str, tags: Mapping[str, str]) -> dict[str, str]:
    return {prefix + _NOT_IN_NAMES.sub("_", key): value for key, value in tags.items()}
