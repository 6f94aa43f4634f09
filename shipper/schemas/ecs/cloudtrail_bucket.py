"""The tags of the bucket that a CloudTrail record of S3 is about."""

from __future__ import annotations

from typing import Any

from shipper.ports import ResourceLookup
from shipper.schemas.cloudtrail_record import CloudTrailRecord
from shipper.schemas.ecs.cloudtrail_parts import Parts
from shipper.schemas.resources import bucket, named_resources


def add_bucket(resources: ResourceLookup, fields: dict[str, Any], event: CloudTrailRecord, parts: Parts) -> None:
    """Add `aws.bucket`, as far as it is known."""
    asked = parts.tree("requestParameters", ("bucketName",)).get("bucketName") if not event.error_code else None
    named = named_resources(fields["aws"]["cloudtrail"].get("resources", ()))
    found = bucket(named, asked, event.recipient_account_id, event.aws_region)
    if found is not None and (tags := resources(found)):
        fields["aws"]["bucket"] = {"name": found.name, "tags": tags}
