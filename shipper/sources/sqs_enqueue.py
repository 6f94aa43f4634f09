"""Puts objects on a queue, as S3 itself would have done, for a fleet to ship."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

from shipper.aws import AWS_ERRORS, as_retryable
from shipper.errors import RetryableError
from shipper.model import Receipt, S3Object, Split
from shipper.sources.sqs_queue import BATCH


class Enqueue:
    """Stands in for shipping: a split is done when each of its objects has a message. Called from many threads.

    Args:
        client: boto3's SQS client, at the queue's endpoint.
        url: the queue's.
    """

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url

    def ship(self, split: Split) -> Receipt:
        """Send a message for each object; see `shipper.shipping.Shipper.ship`.

        Raises:
            RetryableError: not all were sent. All are sent again: who gets an object twice ships it under the same ids.
        """
        for first in range(0, len(split.objects), BATCH):
            entries = [
                {"Id": str(number), "MessageBody": json.dumps({"Records": [_record(item)]})}
                for number, item in enumerate(split.objects[first : first + BATCH])
            ]
            try:
                answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
            except AWS_ERRORS as error:
                raise as_retryable(error) from error
            if failed := answer.get("Failed"):
                raise RetryableError(f"the queue took {len(entries) - len(failed)} of {len(entries)}: {failed[0]}")
        return Receipt(split.id, split.source, 0, 0, {})


def _record(item: S3Object) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html."""
    described: dict[str, Any] = {"key": quote_plus(item.key, safe="/"), "size": item.size, "eTag": item.etag}
    if item.version_id:
        described["versionId"] = item.version_id
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "eventTime": datetime.fromtimestamp(item.last_modified, UTC).isoformat().replace("+00:00", "Z"),
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": item.bucket}, "object": described},
    }
