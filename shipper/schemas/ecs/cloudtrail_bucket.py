"""The tags of the bucket that a CloudTrail record of S3 is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from shipper.model import Resource
from shipper.ports import ResourceLookup
from shipper.schemas.cloudtrail_record import CloudTrailRecord
from shipper.schemas.ecs.cloudtrail_parts import Parts
from shipper.schemas.resources import TagParts, bucket, named_resources, usual_bucket_of


def add_bucket(resources: ResourceLookup, fields: dict[str, Any], event: CloudTrailRecord, parts: Parts) -> None:
    """Add `aws.bucket`, as far as it is known."""
    asked = parts.tree("requestParameters", ("bucketName",)).get("bucketName") if not event.error_code else None
    named = named_resources(fields["aws"]["cloudtrail"].get("resources", ()))
    found = bucket(named, asked, event.recipient_account_id, event.aws_region)
    if found is not None and (tags := resources(found)):
        fields["aws"]["bucket"] = _written(found, tags)


class BucketMembers:
    """Writes `aws.bucket` of a record as a JSON member once for each bucket, and again when its tags are others.

    Safe to use from many threads.
    """

    def __init__(self, resources: ResourceLookup) -> None:
        self._resources = resources
        self._parts = TagParts()

    def find(self, raw: bytes) -> bytes | None:
        """The member with a comma before it, b"" where nothing is known; None for a record that is to be mapped."""
        try:
            found = usual_bucket_of(raw)
        except (msgspec.MsgspecError, RecursionError):
            return None
        tags = self._resources(found) if found is not None else None
        if found is None or not tags:
            return b""
        return self._parts.find(found, tags, lambda: b',"bucket":' + orjson.dumps(_written(found, tags)))


def _written(found: Resource, tags: Mapping[str, str]) -> dict[str, Any]:
    return {"name": found.name, "tags": tags}
