"""A bucket behind an access point, through the whole program: run, check, audit, backfill, over an emulated S3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import zstandard

from shipper import cli
from tests.fakes.access_points import ENDPOINT, AccessPoints
from tests.fakes.cloudtrail import Trail
from tests.parts.moto import Moto

SPELLINGS = (
    "arn:aws:s3:us-east-1:111122223333:accesspoint/logs",
    "arn:aws:s3:us-east-1:111122223333:accesspoint:logs",
    "arn:aws:s3:eu-west-1:111122223333:accesspoint/logs",
    "arn:aws:s3-object-lambda:us-east-1:111122223333:accesspoint/logs",
)


class Place:
    """A bucket of an emulator that only an access point leads to, and an archive."""

    def __init__(self, folder: Path, moto: Moto, points: AccessPoints) -> None:
        self.folder = folder
        self.points = points
        self.trail = Trail(datetime.now(UTC) - timedelta(hours=2))
        points.buckets["logs-111122223333"] = "behind"
        s3 = moto.client("s3")
        s3.create_bucket(Bucket="behind")
        for key, body in self.trail.objects(3, 3):
            s3.put_object(Bucket="behind", Key=key, Body=body)

    def __call__(self, command: str, *arguments: str, **source: Any) -> int:
        path = self.folder / "shipper.yaml"
        settings = {
            "state": {"path": str(self.folder / "state")},
            "listen": "off",
            "aws": {"region": "us-east-1", "endpoint_url": ENDPOINT, "allow_insecure_http": True},
            "sources": {"s3": {"type": "s3", "start": "beginning", **source}},
            "sinks": {"files": {"type": "archive", "path": str(self.folder / "archive")}},
        }
        path.write_text(json.dumps(settings))
        path.chmod(0o600)
        return cli.run([command, *arguments, "-c", str(path)])

    def ids(self) -> list[str]:
        found = []
        for file in (self.folder / "archive").rglob("*.zst"):
            with zstandard.open(file, "rt") as lines:
                found += [json.loads(line)["event"]["id"] for line in lines]
        return sorted(found)


@pytest.fixture
def place(tmp_path: Path, moto: Moto, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    with AccessPoints(moto.url) as points:
        monkeypatch.setenv("http_proxy", points.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield Place(tmp_path, moto, points)


@pytest.mark.parametrize("arn", SPELLINGS)
def test_every_record_behind_an_access_point_arrives(place: Place, capfd: pytest.CaptureFixture[str], arn: str) -> None:
    """Whatever the ARN's spelling: check is content, all is shipped once, and audit has the same account."""
    assert place("check", bucket=arn) == 0
    assert "nothing" not in capfd.readouterr().out
    assert place("run", "--once", bucket=arn) == 0
    assert place.ids() == sorted(place.trail.event_ids)
    assert {host.partition(".")[0] for host in place.points.hosts} == {"logs-111122223333"}
    capfd.readouterr()
    assert place("audit", "--since", "beginning", "--settle-seconds", "0", "--json", bucket=arn) == 0
    account = json.loads(capfd.readouterr().out)
    assert account["objects_listed"] == {"s3": 3}
    assert account["sources"][0]["records"] == 9


def test_a_backfill_reads_an_access_point(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    """A past range is found there too; for a queue's readers, which know the bucket alone, it is refused."""
    span = ("--source", "s3", "--since", "beginning")
    assert place("backfill", *span, bucket=SPELLINGS[0]) == 0
    assert "3 objects" in capfd.readouterr().out
    assert place.ids() == sorted(place.trail.event_ids)
    queue = "https://sqs.us-east-1.amazonaws.com/111122223333/logs"
    assert place("backfill", *span, "--to-queue", queue, bucket=SPELLINGS[0]) == 78
    assert "names the bucket" in capfd.readouterr().err


def test_objects_without_a_length_are_read_to_their_end(place: Place) -> None:
    """S3 Object Lambda may send them so."""
    place.points.chunked = True
    assert place("run", "--once", bucket=SPELLINGS[3]) == 0
    assert place.ids() == sorted(place.trail.event_ids)


def test_a_place_with_nothing_in_it_is_not_all_well(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    """check, run, backfill and audit say in words where they looked, and what they expected there."""
    source = {"bucket": SPELLINGS[0], "prefix": "elsewhere/"}
    words = f"s3://{SPELLINGS[0]}/elsewhere/: no object such as elsewhere/AWSLogs/111122223333/CloudTrail/us-east-1/"
    assert place("check", **source) == 0
    out = capfd.readouterr().out
    assert "all is well" not in out
    assert words in out
    assert place("run", "--once", **source) == 0
    assert words in capfd.readouterr().err
    assert place("backfill", "--source", "s3", "--since", "beginning", **source) == 0
    assert words in capfd.readouterr().out
    assert place("audit", **source) == 0
    out = capfd.readouterr().out
    assert words in out
    assert out.splitlines()[-1] == "no differences, but nothing was found for s3"


def test_an_unknown_access_point_is_told(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    """With the server's own words, and where to look."""
    assert place("check", bucket=SPELLINGS[0].replace("logs", "lgos")) == 1
    out = capfd.readouterr().out
    assert "NoSuchAccessPoint" in out
    assert "the access point's name" in out
