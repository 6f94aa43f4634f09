"""What lies below a source's prefix and is none of its logs, through the whole program: listing and queue."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import zstandard

from shipper import cli
from tests.fakes.cloudtrail import Trail
from tests.parts.moto import Moto

NOW = datetime.now(UTC)
ACCOUNT = "AWSLogs/111122223333"
STRANGE = (f"{ACCOUNT}/CloudTrail-Lake/", f"{ACCOUNT}/CloudTrail/us-east-1/notes.txt", "reports/")
AGGREGATED = {
    "eventVersion": "1.0",
    "accountId": "111122223333",
    "eventId": "62759c1a-6248-48e1-a6b3-000000000001",
    "eventCategory": "Aggregated",
    "eventType": "AwsAggregatedEvent",
    "awsRegion": "us-west-2",
    "eventSource": "s3.amazonaws.com",
    "timeWindow": {"windowStart": "2025-11-17T19:20:00Z", "windowEnd": "2025-11-17T19:25:00Z", "windowSize": "PT5M"},
    "summary": {"primaryDimension": {"dimension": "eventName", "statistics": [{"name": "PutObject", "value": 10}]}},
}


class Place:
    """A bucket, a queue of its notifications, and an archive.

    Attributes:
        ids: of every event that is to be shipped.
    """

    def __init__(self, folder: Path, moto: Moto) -> None:
        self.folder = folder
        self.moto = moto
        self.s3, self.sqs = moto.client("s3"), moto.client("sqs")
        self.s3.create_bucket(Bucket="trail")
        self.ids: list[str] = []

    def queue(self) -> dict[str, Any]:
        """Make the queue, and return the source that reads it."""
        url = self.sqs.create_queue(QueueName="logs", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        target = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
        self.s3.put_bucket_notification_configuration(Bucket="trail", NotificationConfiguration=target)
        return {"type": "s3_notifications", "queue_url": url, "buckets": ["trail"]}

    def put(self, key: str, body: bytes = b"no log\n") -> None:
        self.s3.put_object(Bucket="trail", Key=key, Body=body)

    def put_events(self, kind: str = "") -> str:
        """Put an object of CloudTrail into the folder of a kind of its events; return its key."""
        trail = Trail(NOW - timedelta(hours=2), seed=len(self.ids))
        ((key, body),) = trail.objects(1, 3)
        key = key.replace("/CloudTrail/", f"/CloudTrail{kind}/").replace("_CloudTrail_", f"_CloudTrail{kind}_")
        self.put(key, body)
        self.ids += trail.event_ids
        return key

    def put_aggregated(self) -> None:
        """Put an object as AWS writes those of aggregated events."""
        folder = f"{ACCOUNT}/CloudTrail-Aggregated/us-west-2/2025/11/17"
        name = "111122223333_CloudTrail-Aggregated_us-west-2_20251117T1930Z_AbCdEfGhIjKlMnOp.json.gz"
        self.put(f"{folder}/{name}", gzip.compress(json.dumps({"Records": [AGGREGATED]}).encode()))
        self.ids.append(str(AGGREGATED["eventId"]))

    def put_strange(self) -> None:
        """Put what no log type takes, and what others take or is known to be none."""
        for number in range(3):
            self.put(f"{ACCOUNT}/CloudTrail-Lake/us-east-1/{NOW:%Y/%m/%d}/{number}.json.gz")
            self.put(f"reports/{number}/a.csv")
        self.put(f"{ACCOUNT}/CloudTrail/us-east-1/notes.txt")
        self.put(f"{ACCOUNT}/vpcflowlogs/us-east-1/{NOW:%Y/%m/%d}/a.log.gz")
        self.put(f"{ACCOUNT}/CloudTrail-Digest/us-east-1/{NOW:%Y/%m/%d}/a.json.gz")

    def __call__(self, command: str, *arguments: str, **source: Any) -> int:
        path = self.folder / "shipper.yaml"
        settings = {
            "state": {"path": str(self.folder / "state")},
            "listen": "off",
            "aws": {"region": "us-east-1", "endpoint_url": self.moto.url},
            "sources": {"logs": source or {"type": "s3", "bucket": "trail", "start": "beginning"}},
            "sinks": {"files": {"type": "archive", "path": str(self.folder / "archive")}},
            "log": {"format": "json"},
        }
        path.write_text(json.dumps(settings))
        path.chmod(0o600)
        return cli.run([command, *arguments, "-c", str(path)])

    def shipped(self) -> list[str]:
        found = []
        for file in (self.folder / "archive").rglob("*.zst"):
            with zstandard.open(file, "rt") as lines:
                found += [json.loads(line)["event"]["id"] for line in lines]
        return sorted(found)


@pytest.fixture
def place(tmp_path: Path, moto: Moto) -> Place:
    return Place(tmp_path, moto)


AUDIT = ("audit", "--since", "beginning", "--settle-seconds", "0")


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("road", ["listing", "queue", "backfill"])
def test_every_kind_of_cloudtrails_events_is_shipped(
    place: Place, capfd: pytest.CaptureFixture[str], road: str
) -> None:
    """Network activity and aggregated events too, whichever way they are found; audit has the same account."""
    source = place.queue() if road == "queue" else {}
    for kind in ("", "-Insight", "-NetworkActivity"):
        place.put_events(kind)
    place.put_aggregated()
    assert place("check", **source) == 0
    assert "unrecognised" not in capfd.readouterr().out
    if road == "backfill":
        assert place("run", "--once", type="s3", bucket="trail", start="now") == 0
        assert place.shipped() == []
        assert place("backfill", "--source", "logs", "--since", "beginning") == 0
    else:
        assert place("run", "--once", **source) == 0
    assert place.shipped() == sorted(place.ids)
    capfd.readouterr()
    assert place(*AUDIT, "--json", **source) == 0
    account = json.loads(capfd.readouterr().out)
    assert account["sources"][0]["records"] == len(place.ids)


def test_what_no_log_type_takes_is_said_by_check_run_and_audit(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    """Each folder by its name, once; other log types are a note, digests nothing at all."""
    place.put_events()
    place.put_strange()
    assert place("check") == 0
    out = capfd.readouterr().out
    (remark,) = (line for line in out.splitlines() if line.startswith("remark"))
    assert "3 folders or objects in s3://trail/ are not shipped, because no log type takes them" in remark
    assert all(name in remark for name in STRANGE)
    (note,) = (line for line in out.splitlines() if line.startswith("note"))
    assert f"{ACCOUNT}/vpcflowlogs/" in note
    assert "Digest" not in out
    assert place("run", "--once") == 0
    told = [line for line in lines_of(capfd.readouterr().err) if "no log type takes" in line["event"]]
    assert sorted(line["folder"] for line in told) == sorted(
        [f"s3://trail/{ACCOUNT}/CloudTrail-Lake/", f"s3://trail/{ACCOUNT}/CloudTrail/", "s3://trail/reports/"]
    )
    assert place.shipped() == sorted(place.ids)
    assert place(*AUDIT) == 0
    (said,) = (line for line in capfd.readouterr().out.splitlines() if "no log type" in line)
    assert said.startswith("logs: 3 folders or objects are not shipped")
    assert all(name in said for name in STRANGE)


@pytest.mark.parametrize("strange", [f"{ACCOUNT}/CloudTrail-Lake/us-east-1/2026/03/10/a.gz", f"{ACCOUNT}/hello.txt"])
def test_one_strange_thing_is_enough(place: Place, capfd: pytest.CaptureFixture[str], strange: str) -> None:
    """Check is not content, in the singular."""
    place.put_events()
    assert place("check") == 0
    assert "all is well" in capfd.readouterr().out
    place.put(strange)
    assert place("check") == 0
    out = capfd.readouterr().out
    assert "all is well" not in out
    assert "1 folder or object in s3://trail/ is not shipped, because no log type takes it" in out


def test_many_strange_things_are_named_in_part(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    """The first of them, and how many more there are."""
    place.put_events()
    for number in range(130):
        place.put(f"{number:03}.txt")
    assert place("check") == 0
    assert "130 folders or objects in" in (out := capfd.readouterr().out)
    assert "and 125 more" in out
    assert place("run", "--once") == 0
    capfd.readouterr()
    assert place(*AUDIT) == 0
    assert "130 folders or objects are not shipped" in (out := capfd.readouterr().out)
    assert "and 110 more" in out


@pytest.mark.parametrize("logs", ["cloudtrail", "s3access"])
def test_where_nothing_is_to_ship_check_says_so(place: Place, capfd: pytest.CaptureFixture[str], logs: str) -> None:
    """Also where there is something, and all of it is none of the source's."""
    source = {"type": "s3", "bucket": "trail", "logs": logs}
    for key in ("", f"{ACCOUNT}/CloudTrail-Digest/us-east-1/2026/03/10/a.gz", f"{ACCOUNT}/Config/us-east-1/2026/a.gz"):
        if key:
            place.put(key)
        assert place("check", **source) == 0
        out = capfd.readouterr().out
        assert "there is nothing to ship in s3://trail/" in out
        assert "all is well" not in out
    assert f"{ACCOUNT}/Config/" in out


def test_logs_without_folders_of_their_own_leave_awss_folders_aside(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    """Known ones are a note, others a remark, though hundreds of objects come before what is shipped."""
    for number in range(220):
        place.put(f"{ACCOUNT}/CloudTrail/us-east-1/2026/03/10/{number:03}.json.gz")
    place.put(f"{ACCOUNT}/Config/us-east-1/2026/a.gz")
    place.put("access/2026-03-10-10-00-00-0123456789ABCDEF")
    assert place("check", type="s3", bucket="trail", logs="s3access") == 0
    out = capfd.readouterr().out
    assert "nothing to ship" not in out
    (remark,) = (line for line in out.splitlines() if line.startswith("remark"))
    assert f"takes it: {ACCOUNT}/Config/" in remark
    (note,) = (line for line in out.splitlines() if line.startswith("note"))
    assert f"{ACCOUNT}/CloudTrail/" in note


def test_an_object_outside_awss_folders_is_a_dead_letter_and_then_shipped(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    """Never deleted without a word: the letter names key and reason, and logs_fallback lets it be read again."""
    source = place.queue()
    place.put_events()
    trail = Trail(NOW - timedelta(hours=2), seed=77)
    ((_, body),) = trail.objects(1, 4)
    place.put("firehose/2026/a.json.gz", body)
    assert place("run", "--once", **source) == 0
    assert "no_log_type" in capfd.readouterr().err
    assert place.shipped() == sorted(place.ids)
    assert place("deadletters", "list", "--json", **source) == 0
    (letter,) = lines_of(capfd.readouterr().out)
    assert (letter["reason"], letter["uri"]) == ("no_log_type", "s3://trail/firehose/2026/a.json.gz")
    assert "firehose/2026/a.json.gz is in none of AWS's folders" in letter["answer"]
    assert place("deadletters", "explain", str(letter["id"]), **source) == 0
    assert "logs_fallback" in capfd.readouterr().out
    assert place("deadletters", "replay", "--reread", logs_fallback="cloudtrail", **source) == 0
    assert place.shipped() == sorted([*place.ids, *trail.event_ids])
    place.put_events()
    ((_, body),) = trail.objects(1, 2)
    place.put("firehose/2026/b.json.gz", body)
    assert place("run", "--once", logs_fallback="cloudtrail", **source) == 0
    assert place.shipped() == sorted([*place.ids, *trail.event_ids])
    capfd.readouterr()
    assert place("deadletters", "list", "--json", **source) == 0
    assert capfd.readouterr().out.strip() == ""


def test_check_of_a_queue_names_what_lies_outside_awss_folders(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    """With the key that ships it; with that key there is nothing to say."""
    source = place.queue()
    place.put_events()
    place.put("firehose/2026/a.json.gz")
    assert place("check", **source) == 0
    out = capfd.readouterr().out
    assert "is not shipped, because no log type takes it: firehose/" in out
    assert "or logs_fallback" in out
    assert place("check", logs_fallback="cloudtrail", **source) == 0
    assert "firehose/" not in capfd.readouterr().out


def test_messages_for_which_nothing_is_shipped_are_logged_by_their_reason(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each reason once a minute, with an example; none of them is a duplicate."""
    source = place.queue()
    place.put_strange()
    assert place("run", "--once", logs_fallback="cloudtrail", logs="auto", **source) == 0
    told = {line["reason"] for line in lines_of(capfd.readouterr().err) if "without anything shipped" in line["event"]}
    assert told >= {"unrecognised", "digest"}
    assert "duplicate" not in told


def test_a_backfill_of_a_queue_knows_the_fallback(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    """Objects that no message told of, inside and outside AWS's folders; nothing is said to be left aside twice."""
    place.put_events()
    trail = Trail(NOW - timedelta(hours=2), seed=78)
    ((_, body),) = trail.objects(1, 4)
    place.put("firehose/2026/a.json.gz", body)
    place.put(f"{ACCOUNT}/CloudTrail-Lake/us-east-1/2026/03/10/a.gz")
    source = {**place.queue(), "logs_fallback": "cloudtrail"}
    place.sqs.purge_queue(QueueUrl=source["queue_url"])
    assert place("backfill", "--source", "logs", "--since", "beginning", **source) == 0
    out, err = capfd.readouterr()
    assert "outside AWS's folders: 1 object" in out
    told = [line["folder"] for line in lines_of(err) if "no log type takes" in line["event"]]
    assert told == [f"s3://trail/{ACCOUNT}/CloudTrail-Lake/"]
    assert place.shipped() == sorted([*place.ids, *trail.event_ids])
