"""`shipper audit` without a sink that can be asked: the buckets' objects against the receipts all the same."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import zstandard

from shipper import cli
from tests.fakes.cloudtrail import Trail
from tests.fakes.splunk_hec import TOKEN, FakeSplunk
from tests.parts.moto import Moto

OLD = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=10)


class Place:
    """A bucket, and either an archive or a Splunk that nobody can search."""

    def __init__(self, folder: Path, moto: Moto, splunk: FakeSplunk, kind: str) -> None:
        self.folder = folder
        self.s3 = moto.client("s3")
        self.s3.create_bucket(Bucket="trail")
        self.trail = Trail(OLD)
        self.splunk = splunk
        self.source: dict[str, Any] = {"type": "s3", "bucket": "trail", "start": "beginning"}
        self.aws = {"region": "us-east-1", "endpoint_url": moto.url}
        sinks = {
            "archive": {"type": "archive", "path": str(folder / "archive")},
            "splunk": {"type": "splunk_hec", "urls": [splunk.url], "token": TOKEN},
        }
        self.sinks = {"out": sinks[kind]}

    def put(self, count: int, records: int) -> list[str]:
        made = self.trail.objects(count, records)
        for key, body in made:
            self.s3.put_object(Bucket="trail", Key=key, Body=body)
        return [key for key, _ in made]

    def __call__(self, *arguments: str) -> int:
        path = self.folder / "shipper.yaml"
        settings = {
            "state": {"path": str(self.folder / "state")},
            "listen": "off",
            "aws": self.aws,
            "sources": {"s3": self.source},
            "sinks": self.sinks,
            "log": {"level": "error"},
        }
        path.write_text(json.dumps(settings))
        path.chmod(0o600)
        return cli.run([*arguments, "-c", str(path)])

    def ids(self) -> Counter[str]:
        """Ids of the events that the sink has."""
        found: Counter[str] = Counter()
        for file in (self.folder / "archive").rglob("*.zst"):
            with zstandard.open(file, "rt") as lines:
                found.update(json.loads(line)["event"]["id"] for line in lines)
        return found + self.splunk.stored

    def forget(self, statement: str) -> None:
        """Change the state, as time or an accident would have."""
        state = sqlite3.connect(self.folder / "state" / "checkpoints.sqlite")
        state.execute(statement)
        state.commit()
        state.close()


Audit = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(params=["archive", "splunk"])
def place(request: pytest.FixtureRequest, tmp_path: Path, moto: Moto) -> Iterator[Place]:
    with FakeSplunk() as splunk:
        yield Place(tmp_path, moto, splunk, request.param)


@pytest.fixture
def audit(place: Place, capfd: pytest.CaptureFixture[str]) -> Audit:
    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        capfd.readouterr()
        code = place("audit", "--since", "beginning", "--settle-seconds", "0", "--json", *arguments)
        out, err = capfd.readouterr()
        assert out, err
        return code, json.loads(out)

    return run


def check_found_and_shipped(place: Place, audit: Audit, lost: list[str]) -> None:
    code, found = audit()
    assert code == 1
    assert {(each["what"], each["kind"]) for each in found["differences"]} == {
        (f"s3://trail/{key}", "never_shipped") for key in lost
    }
    code, found = audit("--repair")
    assert code == 1
    assert all(each["repaired"] for each in found["differences"])
    assert audit()[0] == 0
    assert sum(place.ids().values()) == len(place.trail.event_ids)


def test_an_object_that_no_look_finds_is_a_difference(place: Place, audit: Audit) -> None:
    """It came to a day that is closed; the repair ships it alone, once."""
    place.put(4, 5)
    assert place("run", "--once") == 0
    lost = place.put(1, 3)
    check_found_and_shipped(place, audit, lost)


def test_an_object_older_than_every_receipt_is_a_difference(place: Place, audit: Audit) -> None:
    """A state that has closed the day without it knows that it was never settled, whatever receipts are kept."""
    keys = place.put(2, 5)
    assert place("run", "--once") == 0
    for key in keys:
        place.s3.delete_object(Bucket="trail", Key=key)
    place.trail.now -= timedelta(days=1)
    lost = place.put(2, 2)
    for table in ("receipts", "settled"):
        place.forget(f"DELETE FROM {table}")
    code, found = audit()
    assert code == 1
    assert {each["what"] for each in found["differences"]} == {f"s3://trail/{key}" for key in lost}


def test_what_no_log_type_takes_is_named(place: Place, audit: Audit, capfd: pytest.CaptureFixture[str]) -> None:
    """By check and by audit; what another log type's source would take is a note of check alone."""
    place.put(1, 1)
    root = "AWSLogs/111122223333"
    for key in (f"{root}/CloudTrail-Future/us-east-1/2026/01/01/x.json.gz", "stray.txt", "exports/a/b/c.csv"):
        place.s3.put_object(Bucket="trail", Key=key, Body=b"x")
    place.s3.put_object(Bucket="trail", Key=f"{root}/vpcflowlogs/us-east-1/2026/01/01/x.log.gz", Body=b"x")
    assert place("run", "--once") == 0
    code, found = audit()
    assert code == 0
    names = found["unrecognised"]["s3"]["names"]
    assert sorted(names) == [f"{root}/CloudTrail-Future/", "exports/", "stray.txt"]
    capfd.readouterr()
    place("check")
    out = capfd.readouterr().out
    (remark,) = [line for line in out.splitlines() if line.startswith("remark") and "sources.s3" in line]
    assert "3 folders or objects in s3://trail/ are not shipped, because no log type takes them: " in remark
    assert all(name in remark for name in names)
    (note,) = [line for line in out.splitlines() if line.startswith("note") and "sources.s3" in line]
    assert note.endswith(f"{root}/vpcflowlogs/")
