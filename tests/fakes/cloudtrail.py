"""A bucket's worth of CloudTrail whose every record is known by its eventID, for set comparisons."""

from __future__ import annotations

import gzip
import json
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

ACCOUNTS = ("111122223333", "444455556666")


@dataclass
class Trail:
    """Makes objects in CloudTrail's key layout and remembers the id of every record made.

    Args:
        now: the newest object's time.
        seed: the same seed makes the same objects.
        spread_minutes: how much older than the one before an object's label is, within 30 objects.
    """

    now: datetime
    seed: int = 1
    spread_minutes: int = 5
    event_ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._made = 0

    def objects(self, count: int, records: int, junk: Sequence[object] = ()) -> list[tuple[str, bytes]]:
        """`count` more objects of `records` records each, as (key, gzip), over the last hours before `now`.

        Args:
            junk: what each object holds besides, in its midst.
        """
        return [self._object(records, junk) for _ in range(count)]

    def _object(self, records: int, junk: Sequence[object]) -> tuple[str, bytes]:
        self._made += 1
        account = ACCOUNTS[self._made % 2]
        when = self.now - timedelta(minutes=self.spread_minutes * (self._made % 30))
        found: list[object] = [self._record(account, when) for _ in range(records)]
        found[records // 2 : records // 2] = junk
        body = json.dumps({"Records": found}).encode()
        unique = "".join(self._random.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", k=16))
        name = f"{account}_CloudTrail_us-east-1_{when:%Y%m%dT%H%MZ}_{unique}.json.gz"
        return f"AWSLogs/{account}/CloudTrail/us-east-1/{when:%Y/%m/%d}/{name}", gzip.compress(body, 1)

    def _record(self, account: str, when: datetime) -> dict[str, object]:
        event_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        self.event_ids.append(event_id)
        return {
            "eventVersion": "1.09",
            "userIdentity": {
                "type": "IAMUser",
                "principalId": "AIDAEXAMPLE",
                "arn": f"arn:aws:iam::{account}:user/alice",
                "accountId": account,
                "userName": "alice",
            },
            "eventTime": f"{when:%Y-%m-%dT%H:%M:%SZ}",
            "eventSource": "s3.amazonaws.com",
            "eventName": "GetObject",
            "awsRegion": "us-east-1",
            "sourceIPAddress": "198.51.100.7",
            "userAgent": "aws-cli/2.15.0",
            "requestParameters": {"bucketName": "reports", "key": f"r/{self._random.randrange(10**6)}"},
            "responseElements": None,
            "requestID": event_id[:8],
            "eventID": event_id,
            "readOnly": True,
            "eventType": "AwsApiCall",
            "managementEvent": False,
            "recipientAccountId": account,
            "eventCategory": "Data",
        }


def recent(seed: int = 1) -> Trail:
    """A trail whose newest object is of this minute."""
    return Trail(datetime.now(UTC).replace(second=0, microsecond=0), seed)
