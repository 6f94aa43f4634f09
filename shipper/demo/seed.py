"""Fills an AWS emulator with the demo's logs: `python -m shipper.demo.seed --endpoint URL`."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from shipper.aws import AwsSessions, AwsSettings
from shipper.demo.cast import PRODUCTION, READER_ROLE
from shipper.demo.organisation import Organisation, StoredObject
from shipper.demo.principals import IAM_ROLE, PRINCIPALS
from shipper.demo.traffic import INTERFACES, LOG_GROUP, Flow, Traffic, batches

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
    client = _sessions(endpoint).client("s3")
    name = bucket or organisation.bucket
    client.create_bucket(Bucket=name)

    def put(stored: StoredObject) -> StoredObject:
        client.put_object(Bucket=name, Key=stored.key, Body=stored.body)
        progress(1)
        return stored

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(put, organisation.objects()))


def seed_flows(flows: list[Flow], endpoint: str) -> None:
    """Put flow logs into a log group of the emulator's production account; one that is there already stays as it is."""
    client = _sessions(endpoint, region=PRODUCTION.region, role_arn=reader_role()).client("logs")
    if client.describe_log_groups(logGroupNamePrefix=LOG_GROUP)["logGroups"]:
        return
    client.create_log_group(logGroupName=LOG_GROUP)
    for interface in INTERFACES:
        client.create_log_stream(logGroupName=LOG_GROUP, logStreamName=interface.stream)
    for stream, some in batches(flows):
        events = [{"timestamp": flow.time_ms, "message": flow.line} for flow in some]
        client.put_log_events(logGroupName=LOG_GROUP, logStreamName=stream, logEvents=events)


def seed_iam(endpoint: str) -> None:
    """Make the roles and users that the records name, with their tags; what is there already stays as it is."""
    for account in dict.fromkeys(one.account for one in PRINCIPALS):
        role = f"arn:aws:iam::{account.id}:role/{IAM_ROLE}"
        client = _sessions(endpoint, role_arn=role).client("iam")
        for one in PRINCIPALS:
            if one.account is not account:
                continue
            tags = [{"Key": key, "Value": value} for key, value in one.tags.items()]
            with contextlib.suppress(client.exceptions.EntityAlreadyExistsException):
                if one.kind == "user":
                    client.create_user(UserName=one.name, Path=one.path, Tags=tags)
                else:
                    client.create_role(
                        RoleName=one.name,
                        Path=one.path,
                        Description=one.description,
                        AssumeRolePolicyDocument="{}",
                        Tags=tags,
                    )


def reader_role() -> str:
    """Return the ARN of the role in production that whoever reads its logs takes on."""
    return f"arn:aws:iam::{PRODUCTION.id}:role/{READER_ROLE}"


def _sessions(endpoint: str, *, region: str = "us-east-1", role_arn: str | None = None) -> AwsSessions:
    # Made-up logs for an emulator, which may be another container: nothing here is worth encrypting.
    settings = AwsSettings(region=region, role_arn=role_arn, endpoint_url=endpoint, allow_insecure_http=True)
    return AwsSessions(settings, threads=_THREADS)


def main() -> None:
    """Seed the emulator that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", required=True, help="the emulator's URL")
    parser.add_argument("--bucket", default="", help="the bucket to make")
    arguments = parser.parse_args()
    now = datetime.now(UTC)
    organisation = Organisation(SEED, now)
    stored = seed(organisation, arguments.endpoint, arguments.bucket)
    sys.stdout.write(f"{len(stored):,} objects with {sum(one.records for one in stored):,} records\n")
    flows = Traffic(SEED, now, organisation.incident).flows()
    seed_flows(flows, arguments.endpoint)
    seed_iam(arguments.endpoint)
    sys.stdout.write(f"{len(flows):,} flow log records in {LOG_GROUP}\n")


if __name__ == "__main__":
    main()
