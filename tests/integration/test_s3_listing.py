"""The S3 source and reader against an AWS emulator over HTTP, with real boto3 and the real checkpoint store."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shipper.aws import AwsSessions, classify
from shipper.checkpoints.sqlite import SqliteCheckpoints
from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.model import Payload, Receipt, Split, Tally, Unread
from shipper.sources.s3_listing import S3ListingSource
from shipper.sources.s3_objects import S3Reader
from tests.fakes.checkpoints import MemoryCheckpoints
from tests.fakes.pipeline import MemoryDeadLetters
from tests.fakes.s3 import TurnedClock
from tests.fakes.s3_server import running as troubled_s3
from tests.parts.moto import Moto

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC).timestamp()
HOUR = 3600.0
ORGANISATION = "o-ab12cd34ef"


class World:
    """A bucket, a clock, and a process that may die: `events` counts what was delivered, by event id."""

    def __init__(self, moto: Moto, state: Path) -> None:
        self.client = moto.client("s3")
        self.client.create_bucket(Bucket="trail")
        self.clock = TurnedClock(NOW)
        self.events: Counter[str] = Counter()
        self._path = state / "checkpoints.sqlite"
        self._reader = S3Reader(self.client)
        self.store = SqliteCheckpoints(self._path, clock=self.clock)
        self.source = self._source()

    def _source(self) -> S3ListingSource:
        return S3ListingSource(
            "trail",
            bucket="trail",
            prefix="",
            logs="cloudtrail",
            start=NOW - 40 * 24 * HOUR,
            store=self.store,
            client=self.client,
            metrics=Metrics(),
            dead_letters=MemoryDeadLetters(),
            clock=self.clock,
        )

    def die_and_start(self) -> None:
        self.store.close()
        self.store = SqliteCheckpoints(self._path, clock=self.clock)
        self.source = self._source()

    def put(
        self, moment: float, account: str, region: str = "us-east-1", folder: str = "CloudTrail", n: int = 0
    ) -> str:
        stamp = datetime.fromtimestamp(moment, UTC)
        key = (
            f"logs/AWSLogs/{ORGANISATION}/{account}/{folder}/{region}/{stamp:%Y/%m/%d}/"
            f"{account}_{folder}_{region}_{stamp:%Y%m%dT%H%MZ}_{n:04}.json.gz"
        )
        body = gzip.compress(json.dumps({"Records": [{"eventID": key}]}).encode())
        self.client.put_object(Bucket="trail", Key=key, Body=body, ContentEncoding="gzip")
        return key

    def ship(self, split: Split) -> Receipt:
        unread: list[Unread] = []
        read = 0
        for opened in self._reader.open(split):
            if isinstance(opened, Payload):
                for record in json.loads(gzip.decompress(b"".join(opened.chunks)))["Records"]:
                    self.events[record["eventID"]] += 1
                    read += 1
            else:
                unread.append(Unread(opened[0], "missing", str(opened[1])))
        return Receipt(split.id, "trail", read, split.size_bytes, {"sink": Tally(delivered=read)}, None, tuple(unread))

    def look(self) -> None:
        for split in self.source.splits():
            self.source.settle(split, self.ship(split))

    def close(self) -> None:
        self._reader.close()
        self.store.close()


@pytest.fixture
def world(moto: Moto, tmp_path: Path) -> Iterator[World]:
    made = World(moto, tmp_path)
    yield made
    made.close()


def test_an_organisation_is_shipped_once_through_crashes_and_late_keys(world):
    """Accounts, regions, insights, a backfill, late and smaller keys, kills: each event arrives exactly once."""
    accounts = ("111111111111", "222222222222")
    keys = {
        world.put(NOW - days * 24 * HOUR - number * 60, account, region, n=number)
        for account in accounts
        for region in ("us-east-1", "eu-west-1")
        for days in (0, 1, 5, 30)
        for number in range(3)
    }
    keys.add(world.put(NOW - HOUR, accounts[0], folder="CloudTrail-Insight"))
    world.put(NOW - HOUR, accounts[0], folder="CloudTrail-Digest")
    for number, split in enumerate(world.source.splits()):
        if number == 3:
            break
        world.source.settle(split, world.ship(split))
    world.die_and_start()
    world.look()
    assert world.source.complete()
    assert world.events == dict.fromkeys(keys, 1)
    late = {world.put(NOW - 3 * HOUR, accounts[1], n=0), world.put(NOW - 30 * HOUR, accounts[0], n=9)}
    ahead = world.put(NOW + 600, accounts[0])
    world.clock.now += 7 * HOUR
    world.die_and_start()
    world.look()
    assert world.events == dict.fromkeys(keys | late | {ahead}, 1)
    world.clock.now += 8 * 24 * HOUR
    world.look()
    assert world.events == dict.fromkeys(keys | late | {ahead}, 1)
    scopes = world.store.cursors("trail")
    assert all(not world.store.done("trail", scope, 0, 30_000) for scope in scopes)
    assert len(scopes) == 1 + 4 + 2


def test_more_than_one_page_of_keys(world, monkeypatch):
    """A scope of several pages is listed whole, each object once, in splits within bounds."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "70")
    keys = {world.put(NOW - 24 * HOUR, "111111111111", n=number) for number in range(150)}
    splits = list(world.source.splits())
    assert sorted(item.key for split in splits for item in split.objects) == sorted(keys)
    assert max(len(split.objects) for split in splits) == 64


def test_keys_of_any_characters(world):
    """Spaces, plus signs, percent signs and letters beyond ASCII survive listing, the store and reading."""
    names = ["a b+c%20d.json.gz", "ä/ü.json.gz", "x&<y>.json.gz", "日本.json.gz"]
    for name in names:
        body = gzip.compress(json.dumps({"Records": [{"eventID": name}]}).encode())
        world.client.put_object(Bucket="trail", Key=f"exports/{name}", Body=body)
    world.clock.now = datetime.now(UTC).timestamp()
    list(world.source.splits())
    world.die_and_start()
    world.look()
    assert world.events == dict.fromkeys(names, 1)


def test_an_object_deleted_after_listing_is_given_up(world):
    """The others of its split arrive; after ten minutes the listing is complete without it."""
    kept = world.put(NOW - HOUR, "111111111111", n=1)
    deleted = world.put(NOW - HOUR, "111111111111", n=2)
    for split in world.source.splits():
        world.client.delete_object(Bucket="trail", Key=deleted)
        world.source.settle(split, world.ship(split))
    assert world.events == {kept: 1}
    assert not world.source.complete()
    for _ in range(2):
        world.clock.now += 600
        world.look()
    assert world.source.complete()
    assert world.store.retries("trail") == []


def test_an_assumed_role_renews_and_keeps_its_external_id(moto: Moto, monkeypatch: pytest.MonkeyPatch):
    """A client of a role works with temporary credentials, which botocore renews when they are about to expire."""
    calls: list[dict[str, Any]] = []
    sessions = AwsSessions(moto.settings(role_arn="arn:aws:iam::123456789012:role/reader", external_id="shared-secret"))
    make = sessions._create

    def create(*args: Any, **keys: Any) -> Any:
        client = make(*args, **keys)
        client.meta.events.register(
            "before-parameter-build.sts.AssumeRole", lambda params, **_: calls.append(dict(params))
        )
        return client

    monkeypatch.setattr(sessions, "_create", create)
    client = sessions.client("s3")
    assert calls == []
    client.create_bucket(Bucket="role-test")
    assert calls == [
        {
            "RoleArn": "arn:aws:iam::123456789012:role/reader",
            "RoleSessionName": "shipper",
            "ExternalId": "shared-secret",
        }
    ]
    credentials: Any = sessions._session.get_credentials()
    credentials._expiry_time = datetime.now(UTC)
    client.list_buckets()
    assert len(calls) == 2


def source_of(client: Any, bucket: str = "trail", prefix: str = "") -> S3ListingSource:
    return S3ListingSource(
        "trail",
        bucket=bucket,
        prefix=prefix,
        logs="cloudtrail",
        start=0.0,
        store=MemoryCheckpoints(),
        client=client,
        metrics=Metrics(),
        dead_letters=MemoryDeadLetters(),
    )


def problems(client: Any, bucket: str = "trail", prefix: str = "") -> list[tuple[str, str, bool]]:
    found = source_of(client, bucket, prefix).problems()
    return [(problem.what, problem.hint, problem.serious) for problem in found]


def test_a_working_bucket_has_no_problems(world):
    """Nothing is said where there is nothing to do."""
    world.put(NOW - HOUR, "111111111111")
    assert problems(world.client) == []


def test_an_empty_prefix_is_no_serious_problem(world):
    """A new trail has not written yet."""
    ((what, _, serious),) = problems(world.client, prefix="AWSLogs/")
    assert "nothing" in what
    assert not serious


def test_a_prefix_without_the_layout_is_told(world):
    """The operator learns that the whole prefix is listed each time, and which key showed it."""
    world.client.put_object(Bucket="trail", Key="exports/a.json.gz", Body=b"x")
    ((what, hint, serious),) = problems(world.client)
    assert "exports/a.json.gz" in what
    assert "AWSLogs/" in hint
    assert not serious


def test_a_missing_bucket_is_told(world):
    """With the server's own words, and where to look."""
    ((what, hint, serious),) = problems(world.client, bucket="no-such-bucket-here")
    assert "NoSuchBucket" in what
    assert "name" in hint
    assert serious


@pytest.mark.parametrize(
    ("fault", "words", "hint"),
    [
        ("denied", "s3:GetObject", "arn:aws:s3:::trail/*"),
        ("kms", "kms:Decrypt", "kms:Decrypt"),
        ("archived", "InvalidObjectState", "restore"),
    ],
)
def test_listing_without_reading_is_told(aws_environment: None, fault: str, words: str, hint: str):
    """Where listing works but GetObject does not, the needed policy line is given; so is a bucket's other region."""
    with troubled_s3() as s3:
        key = "AWSLogs/111111111111/CloudTrail/us-east-1/2026/03/10/x.json.gz"
        s3.objects[f"trail/{key}"] = b"x"
        s3.faults[f"trail/{key}"] = [fault]  # type: ignore[list-item]  # the table names literal faults
        region, denied = problems(s3.client())
    assert "eu-central-1" in region[0]
    assert not region[2]
    assert words in denied[0]
    assert hint in denied[1]
    assert denied[2]


def test_a_denied_listing_is_told_with_the_policy_line(aws_environment: None):
    """The statement to allow is ready to copy, with the prefix as its condition."""
    with troubled_s3() as s3:
        s3.denied.add("trail")
        ((what, hint, _),) = problems(s3.client(), prefix="AWSLogs/")
        with pytest.raises(RetryableError) as caught:
            list(source_of(s3.client()).splits())
    assert "needs s3:ListBucket" in what
    assert '"s3:prefix": "AWSLogs/*"' in hint
    assert caught.value.paused


def test_an_unreachable_server_is_retryable(aws_environment: None):
    """A refused connection is waited out, without an alarm."""
    with troubled_s3() as s3:
        client = s3.client()
    with pytest.raises(Exception, match="connect") as caught:
        client.list_objects_v2(Bucket="trail")
    meaning = classify(caught.value)
    assert isinstance(meaning, RetryableError)
    assert not meaning.paused
