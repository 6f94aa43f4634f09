"""Access points in a bucket's place: every spelling, what is refused and with which words, what policies call them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from shipper.access_points import access_point_of, check_bucket_name, is_access_point, policy_names, split_place
from shipper.build.iam_policy import policies
from shipper.config import Settings, parse
from shipper.config.values import Surroundings
from shipper.errors import ConfigError
from tests.fakes.checkpoints import MemoryCheckpoints
from tests.fakes.s3 import MemoryBucket, TurnedClock, Worker, a_source

ACCOUNT = "111122223333"
PLAIN = f"arn:aws:s3:eu-west-1:{ACCOUNT}:accesspoint/logs"
WORKING = [
    PLAIN,
    f"arn:aws:s3:eu-west-1:{ACCOUNT}:accesspoint:logs",
    f"arn:aws-cn:s3:cn-north-1:{ACCOUNT}:accesspoint/logs",
    f"arn:aws-us-gov:s3:us-gov-west-1:{ACCOUNT}:accesspoint/logs",
    f"arn:aws:s3-object-lambda:eu-west-1:{ACCOUNT}:accesspoint/logs",
    f"arn:aws:s3-object-lambda:eu-west-1:{ACCOUNT}:accesspoint:logs",
    f"arn:aws:s3-outposts:eu-west-1:{ACCOUNT}:outpost/op-01234567890123456/accesspoint/logs",
    f"arn:aws:s3-outposts:eu-west-1:{ACCOUNT}:outpost:op-01234567890123456:accesspoint:logs",
]
ALIAS = "logs-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias"
NOW = 1_773_144_000.0  # 2026-03-10T12:00:00Z


def settings(source: str, aws: str = "{}") -> Settings:
    text = f"aws: {aws}\nsources: {{a: {source}}}\nsinks: {{out: {{type: archive, path: a}}}}\n"
    return parse(text, name="s.yaml", environ={}, around=Surroundings(folder=Path("/etc/shipper")))


@pytest.mark.parametrize("bucket", [*WORKING, ALIAS, "plain.bucket"])
@pytest.mark.parametrize("prefix", ["", "org/"])
def test_the_slashes_of_an_arn_are_the_buckets(bucket: str, prefix: str) -> None:
    """A place is taken apart behind the whole ARN; any spelling lists what is there, also after a restart."""
    assert split_place(bucket) == (bucket, "")
    assert split_place(f"{bucket}/{prefix}a/b") == (bucket, f"{prefix}a/b")
    kept = MemoryBucket(name=bucket)
    file = f"{ACCOUNT}_CloudTrail_us-east-1_20260310T1100Z_a.json.gz"
    key = f"{prefix}AWSLogs/{ACCOUNT}/CloudTrail/us-east-1/2026/03/10/{file}"
    kept.put(key, NOW - 3600)
    store, clock = MemoryCheckpoints(TurnedClock(NOW)), TurnedClock(NOW)
    (split,) = Worker(kept).finish_all(a_source(kept, store, clock, prefix=prefix))
    assert [item.uri for item in split.objects] == [f"s3://{bucket}/{key}"]
    assert split.scope.startswith(f"{bucket}/{prefix}AWSLogs/")
    assert Worker(kept).finish_all(a_source(kept, store, clock, prefix=prefix)) == []


@pytest.mark.parametrize("bucket", [*WORKING, ALIAS])
def test_a_listing_source_takes_it_and_a_queue_does_not(bucket: str) -> None:
    """Notifications name the bucket behind an access point, so that none would ever be let through."""
    read = settings(f"{{type: s3, bucket: '{bucket}'}}").sources["a"]
    assert getattr(read, "bucket", "") == bucket
    assert is_access_point(bucket)
    queue = "{type: s3_notifications, queue_url: 'https://sqs.us-east-1.amazonaws.com/1/q', buckets: ['%s']}"
    for place in (bucket, f"{bucket}/AWSLogs/"):
        with pytest.raises(ConfigError, match=r"sources\.a\.buckets.*notifications name the bucket behind it"):
            settings(queue % place)


@pytest.mark.parametrize(
    ("bucket", "words"),
    [
        ("arn:aws:s3:::logs", "write the bucket's name alone, logs"),
        (f"{PLAIN}/object/AWSLogs", "end the ARN before /object/"),
        (f"{PLAIN}/more", "is no access point's ARN"),
        (f"arn:aws:s3:eu-west-1:{ACCOUNT}:accesspoint/", "is no access point's ARN"),
        ("arn:aws:s3:eu-west-1:1234:accesspoint/logs", "is no access point's ARN"),
        (f"arn:aws:s3:cn-north-1:{ACCOUNT}:accesspoint/logs", "partition aws-cn"),
        (f"arn:aws:s3-outposts:eu-west-1:{ACCOUNT}:accesspoint/logs", "outpost/ID/accesspoint/NAME"),
        (f"arn:aws:s3-outposts:eu-west-1:{ACCOUNT}:outpost/op-1234/bucket/logs", "only an access point"),
        (f"arn:aws:s3express:us-east-1:{ACCOUNT}:accesspoint/logs--use1-az4--xa-s3", "directory bucket"),
        ("logs--use1-az4--x-s3", "directory bucket"),
        (f"arn:aws:s3::{ACCOUNT}:accesspoint/logs", "names no region"),
        ("mfzwi23gnjvgw.mrap", "as part of its ARN only"),
    ],
)
def test_what_cannot_work_is_refused_with_what_to_write(bucket: str, words: str) -> None:
    """By the configuration, before any request."""
    with pytest.raises(ConfigError) as caught:
        settings(f"{{type: s3, bucket: '{bucket}'}}")
    assert "sources.a.bucket" in str(caught.value)
    assert words in str(caught.value)


def test_a_multi_region_access_point_needs_its_signatures() -> None:
    """Only awscrt signs for several regions; without it every request would fail."""
    arn = f"arn:aws:s3::{ACCOUNT}:accesspoint/mfzwi23gnjvgw.mrap"
    if find_spec("awscrt") is None:
        with pytest.raises(ValueError, match="install awscrt"):
            access_point_of(arn)
    else:
        assert access_point_of(arn).multi_region


def test_the_partition_of_the_client_is_the_access_points() -> None:
    """A client of another partition refuses each request; another region of the same one does not matter."""
    assert settings(f"{{type: s3, bucket: '{PLAIN}'}}", "{region: us-east-1}")
    with pytest.raises(ConfigError, match="set it to cn-north-1"):
        settings(f"{{type: s3, bucket: '{WORKING[2]}'}}", "{region: us-east-1}")


@pytest.mark.parametrize(
    ("bucket", "service", "resource", "objects"),
    [
        ("trail", "s3", "arn:aws:s3:::trail", "arn:aws:s3:::trail/"),
        (WORKING[1], "s3", PLAIN, f"{PLAIN}/object/"),
        (WORKING[5], "s3-object-lambda", WORKING[4], f"{WORKING[4]}/object/"),
        (WORKING[7], "s3-outposts", WORKING[6], f"{WORKING[6]}/object/"),
        (ALIAS, "s3", "arn:aws:s3:*:*:accesspoint/logs*", "arn:aws:s3:*:*:accesspoint/logs*/object/"),
    ],
)
def test_policies_know_one_spelling(bucket: str, service: str, resource: str, objects: str) -> None:
    """With slashes, and objects behind /object/; an alias says the beginning of the name alone."""
    named = policy_names(bucket)
    assert (named.service, named.bucket, named.objects) == (service, resource, objects)
    (policy,) = policies(settings(f"{{type: s3, bucket: '{bucket}', prefix: AWSLogs/}}")).values()
    listing, reading = policy["Statement"]
    assert (listing["Action"], listing["Resource"]) == (f"{service}:ListBucket", resource)
    assert (reading["Action"], reading["Resource"]) == (f"{service}:GetObject", f"{objects}AWSLogs/*")


def test_usual_buckets_are_left_alone() -> None:
    """A name that only looks odd is none of this module's concern."""
    for name in ("trail", "my.bucket", "Old_Bucket", "s3alias"):
        check_bucket_name(name)
        assert not is_access_point(name)
