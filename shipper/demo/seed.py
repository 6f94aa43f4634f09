"""Fills an AWS emulator with the demo's logs: `python -m shipper.demo.seed --endpoint URL`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from shipper.aws import AwsSessions, AwsSettings
from shipper.demo.organisation import Organisation, StoredObject

_THREADS = 8
SEED = 42


def seed(
    organisation: Organisation, endpoint: str, bucket: str = "", progress: Callable[[int], None] = lambda _: None
) -> list[StoredObject]:
    """Put the organisation's objects into an emulator's bucket, which is made.

    Args:
        endpoint: the emulator's URL.
        bucket: the organisation's own where it is "".
        progress: told how many more objects are there.

    Returns:
        the objects.
    """
    # Made-up logs for an emulator, which may be another container: nothing here is worth encrypting.
    settings = AwsSettings(region="us-east-1", endpoint_url=endpoint, allow_insecure_http=True)
    client = AwsSessions(settings, threads=_THREADS).client("s3")
    name = bucket or organisation.bucket
    client.create_bucket(Bucket=name)

    def put(stored: StoredObject) -> StoredObject:
        client.put_object(Bucket=name, Key=stored.key, Body=stored.body)
        progress(1)
        return stored

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(put, organisation.objects()))


def main() -> None:
    """Seed the emulator that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", required=True, help="the emulator's URL")
    parser.add_argument("--bucket", default="", help="the bucket to make")
    arguments = parser.parse_args()
    stored = seed(Organisation(SEED, datetime.now(UTC)), arguments.endpoint, arguments.bucket)
    sys.stdout.write(f"{len(stored):,} objects with {sum(one.records for one in stored):,} records\n")


if __name__ == "__main__":
    main()
