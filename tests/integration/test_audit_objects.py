"""`shipper audit` where no sink can be asked for a document: objects against receipts alone, found and healed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import zstandard
from moto.s3.models import s3_backends

from shipper import cli
from tests.fakes.cloudtrail import Trail
from tests.fakes.splunk_hec import SEARCH_TOKEN, TOKEN, FakeSplunk
from tests.parts.moto import Moto

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
AUDIT = ("audit", "--since", "beginning", "--settle-seconds", "0", "--json")


class Place:
    """A bucket, and the program between it and sinks that cannot tell one document from another.

    Attributes:
        sinks: the configuration's.
        stored: returns the ids of all events that the sinks hold.
    """

    def __init__(self, folder: Path, moto: Moto) -> None:
        self.folder = folder
        self.s3 = moto.client("s3")
        self.s3.create_bucket(Bucket="trail")
        self.trail = Trail(NOON - timedelta(days=10))
        self.source: dict[str, Any] = {"type": "s3", "bucket": "trail", "start": "beginning"}
        self.sinks: dict[str, dict[str, Any]] = {"files": {"type": "archive", "path": str(folder / "archive")}}
        self.stored: Callable[[], list[str]] = self.of_files
        self._aws = {"region": "us-east-1", "endpoint_url": moto.url}

    def put(self, count: int, records: int, *, days: float = 0.0) -> list[str]:
        """Put objects that were written some days ago; return their keys."""
        keys = []
        for key, body in self.trail.objects(count, records):
            self.s3.put_object(Bucket="trail", Key=key, Body=body)
            (kept,) = (
                backend["aws"].buckets["trail"].keys[key] for backend in s3_backends.values() if "aws" in backend
            )
            kept.last_modified = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=days)
            keys.append(key)
        return keys

    def __call__(self, *arguments: str) -> int:
        path = self.folder / "shipper.yaml"
        settings = {
            "state": {"path": str(self.folder / "state")},
            "listen": "off",
            "aws": self._aws,
            "sources": {"s3": self.source},
            "sinks": self.sinks,
            "log": {"level": "error"},
        }
        path.write_text(json.dumps(settings))
        path.chmod(0o600)
        return cli.run([*arguments, "-c", str(path)])

    def of_files(self) -> list[str]:
        found = []
        for file in (self.folder / "archive").rglob("*.zst"):
            with zstandard.open(file, "rt") as lines:
                found += [json.loads(line)["event"]["id"] for line in lines]
        return sorted(found)


Audit = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(params=["archive", "splunk"])
def place(request: pytest.FixtureRequest, tmp_path: Path, moto: Moto) -> Iterator[Place]:
    made = Place(tmp_path, moto)
    if request.param == "archive":
        yield made
        return
    with FakeSplunk() as splunk:
        hec = {"type": "splunk_hec", "urls": [splunk.url], "token": TOKEN}
        if request.param == "splunk":
            made.sinks = {"splunk": hec}
        else:
            made.sinks["splunk"] = {**hec, "search_url": splunk.url, "search_token": SEARCH_TOKEN}
        made.stored = lambda: sorted(event.event["eventID"] for event in splunk.events)
        yield made


@pytest.fixture
def audit(place: Place, capfd: pytest.CaptureFixture[str]) -> Audit:
    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        capfd.readouterr()
        code = place(*AUDIT, *arguments)
        out, err = capfd.readouterr()
        assert out, err
        return code, json.loads(out)

    return run


@pytest.mark.parametrize("written", [0.0, 9.0], ids=["written since the first receipt", "written before it"])
def test_an_object_without_a_receipt_is_found_and_shipped(place: Place, audit: Audit, written: float) -> None:
    """It is in a day that is closed, so that no look finds it: a difference, exit code 1, until it is repaired."""
    place.put(4, 5)
    assert place("run", "--once") == 0
    assert audit()[0] == 0
    (late,) = place.put(1, 3, days=written)
    assert place("run", "--once") == 0
    before = place.stored()
    code, found = audit()
    assert code == 1
    (difference,) = found["differences"]
    assert (difference["kind"], difference["what"]) == ("never_shipped", f"s3://trail/{late}")
    assert (difference["expected"], difference["found"], difference["sink"]) == (3, 0, next(iter(place.sinks)))
    assert place.stored() == before
    code, found = audit("--repair")
    assert (code, [each["repaired"] for each in found["differences"]]) == (1, [True])
    assert place.stored() == sorted(place.trail.event_ids)
    code, found = audit()
    assert (code, found["differences"]) == (0, [])
    assert place.stored() == sorted(place.trail.event_ids)


def test_an_account_that_no_look_ever_found_is_a_difference(place: Place, audit: Audit) -> None:
    """Written days ago, in a folder that the state has nothing of, as after a prefix was changed."""
    place.source["prefix"] = "AWSLogs/444455556666/"
    keys = place.put(4, 5, days=5)
    assert place("run", "--once") == 0
    place.source["prefix"] = "AWSLogs/"
    code, found = audit()
    others = [key for key in keys if key.startswith("AWSLogs/111122223333/")]
    assert (code, len(others)) == (1, 2)
    assert sorted(each["what"] for each in found["differences"]) == sorted(f"s3://trail/{key}" for key in others)
    assert audit("--repair")[0] == 1
    assert place.stored() == sorted(place.trail.event_ids)
    assert audit()[0] == 0


def test_an_object_of_long_ago_is_a_difference_while_every_receipt_is_kept(place: Place, audit: Audit) -> None:
    """The state has forgotten days of last year, but the oldest receipt is of today: none can have been of it."""
    place.trail.now = NOON - timedelta(days=400)
    place.put(4, 5, days=399)
    assert place("run", "--once") == 0
    (late,) = place.put(1, 3, days=300)
    assert place("run", "--once") == 0
    code, found = audit("--repair")
    assert (code, [each["what"] for each in found["differences"]]) == (1, [f"s3://trail/{late}"])
    assert place.stored() == sorted(place.trail.event_ids)
    assert audit()[0] == 0


@pytest.mark.parametrize("place", ["archive and search"], indirect=True)
def test_a_sink_that_can_be_asked_speaks_for_the_others(place: Place, audit: Audit) -> None:
    """What Splunk has nothing of, the archive lacks too, and both get it."""
    place.put(4, 5)
    assert place("run", "--once") == 0
    (late,) = place.put(1, 3, days=9)
    code, found = audit()
    assert code == 1
    assert sorted((each["sink"], each["what"]) for each in found["differences"]) == [
        ("files", f"s3://trail/{late}"),
        ("splunk", f"s3://trail/{late}"),
    ]
    assert audit("--repair")[0] == 1
    assert place.stored() == place.of_files() == sorted(place.trail.event_ids)
    assert audit()[0] == 0


def test_what_the_next_look_finds_is_no_difference(place: Place, audit: Audit) -> None:
    """An object of this minute is on its way."""
    place.put(2, 2)
    assert place("run", "--once") == 0
    place.trail.now = datetime.now(UTC)
    place.put(1, 2)
    code, found = audit()
    assert (code, found["differences"]) == (0, [])
    assert [(each["number"], each["what"]) for each in found["remarks"] if "way" in each["what"]] == [
        (1, "objects are on their way, or not due yet")
    ]
