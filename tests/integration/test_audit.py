"""`shipper audit` end to end: AWS emulated, real clusters, an archive: what is taken away is found, healed."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import zstandard

from shipper import cli
from shipper.deadletters.sqlite import SqliteDeadLetters, Wanted
from tests.fakes.cloudtrail import Trail
from tests.parts.moto import Moto
from tests.parts.search_server import SearchServer

OLD = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=10)


class Place:
    """A bucket, a cluster, an archive, and the program between them.

    Attributes:
        trail: what makes objects, of ten days ago: their days are closed by the first run.
        sinks: the configuration's; tests change them.
    """

    def __init__(self, folder: Path, moto: Moto, server: SearchServer) -> None:
        self.folder = folder
        self.server = server
        self.namespace = f"audit{uuid.uuid4().hex[:10]}"
        self.names = f"logs-aws.cloudtrail-{self.namespace}"
        self.s3 = moto.client("s3")
        self.s3.create_bucket(Bucket="trail")
        self.trail = Trail(OLD)
        self.source: dict[str, Any] = {"type": "s3", "bucket": "trail", "start": "beginning"}
        self.sinks: dict[str, dict[str, Any]] = {
            "siem": {"type": "elasticsearch", "hosts": [server.url], "data_stream_namespace": self.namespace},
            "files": {"type": "archive", "path": str(folder / "archive")},
        }
        self._aws = {"region": "us-east-1", "endpoint_url": moto.url}

    def put(self, count: int, records: int) -> list[str]:
        keys = []
        for key, body in self.trail.objects(count, records):
            self.s3.put_object(Bucket="trail", Key=key, Body=body)
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

    def ship(self) -> None:
        assert self("run", "--once") == 0
        self.refresh()

    def refresh(self) -> None:
        self.server.request("POST", f"{self.names}*/_refresh")

    def documents(self) -> list[dict[str, Any]]:
        wanted = {"size": 1000, "sort": ["event.id"]}
        _, answer = self.server.request("POST", f"{self.names}/_search", wanted)
        hits: list[dict[str, Any]] = answer["hits"]["hits"]
        return hits

    def delete(self, *hits: dict[str, Any]) -> None:
        for hit in hits:
            self.server.request("DELETE", f"{hit['_index']}/_doc/{hit['_id']}")
        self.refresh()

    def files(self) -> list[Path]:
        return sorted((self.folder / "archive").rglob("*.zst"))


Audit = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(params=["elasticsearch9", "elasticsearch8", "opensearch"])
def place(request: pytest.FixtureRequest, tmp_path: Path, moto: Moto) -> Place:
    return Place(tmp_path, moto, request.getfixturevalue(request.param))


@pytest.fixture
def audit(place: Place, capfd: pytest.CaptureFixture[str]) -> Audit:
    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        capfd.readouterr()
        options = ("--since", "beginning", "--settle-seconds", "0", "--json")
        code = place("audit", *options, *arguments)
        place.refresh()
        out, err = capfd.readouterr()
        assert out, err
        return code, json.loads(out)

    return run


def told(found: dict[str, Any]) -> list[tuple[str, str, int, int]]:
    return [(each["sink"], each["what"], each["expected"], each["found"]) for each in found["differences"]]


@pytest.mark.parametrize("mode", ["data_stream", "strict"])
def test_what_is_whole_has_no_differences(place: Place, audit: Audit, mode: str) -> None:
    """Every object and record is counted, in both sinks and both modes, and nothing has to be asked for by its id."""
    place.sinks["siem"]["mode"] = mode
    if mode == "strict":
        place.names = f"shipper-aws.cloudtrail-{place.namespace}-*"
    place.put(6, 5)
    place.ship()
    code, found = audit()
    assert (code, found["differences"], found["remarks"]) == (0, [], [])
    assert found["objects_listed"] == {"s3": 6}
    assert {(each["sink"], each["records"], each["splits_by_id"]) for each in found["sources"]} == {
        ("siem", 30, 0),
        ("files", 30, 0),
    }


def test_deleted_documents_are_found_by_their_objects_and_healed(place: Place, audit: Audit) -> None:
    """Exactly those that were taken away, with their ids; after the repair each is there once."""
    keys = place.put(6, 5)
    place.ship()
    whole = place.documents()
    victims = [hit for hit in whole if hit["_source"]["aws"]["s3"]["object"]["key"] == keys[2]][:2]
    victims += [hit for hit in whole if hit["_source"]["aws"]["s3"]["object"]["key"] == keys[5]][:1]
    place.delete(*victims)
    code, found = audit()
    assert code == 1
    assert sorted(told(found)) == sorted(
        [("siem", f"s3://trail/{keys[2]}", 5, 3), ("siem", f"s3://trail/{keys[5]}", 5, 4)]
    )
    ids = {name for each in found["differences"] for name in each["document_ids"]}
    assert ids == {hit["_id"] for hit in victims}
    code, found = audit("--repair")
    assert code == 1
    assert all(each["repaired"] for each in found["differences"])
    assert [hit["_source"]["event"]["id"] for hit in place.documents()] == sorted(place.trail.event_ids)
    code, found = audit()
    assert (code, found["differences"]) == (0, [])


def test_a_line_taken_from_an_archive_is_found_and_healed(place: Place, audit: Audit) -> None:
    """The archive is counted by splits; the repair writes the file anew, and does not touch the other sink."""
    place.put(4, 5)
    place.ship()
    file = place.files()[0]
    lines = (
        zstandard.ZstdDecompressor().stream_reader(file.read_bytes(), read_across_frames=True).read().splitlines(True)
    )
    file.write_bytes(zstandard.ZstdCompressor().compress(b"".join(lines[1:])))
    code, found = audit()
    assert code == 1
    split = f"split {file.name.removesuffix('.ndjson.zst')}"
    assert [(sink, what, expected - have) for sink, what, expected, have in told(found)] == [("files", split, 1)]
    assert audit("--repair")[0] == 1
    again = (
        zstandard.ZstdDecompressor().stream_reader(file.read_bytes(), read_across_frames=True).read().splitlines(True)
    )
    assert sorted(again) == sorted(lines)
    assert audit()[0] == 0
    assert len(place.documents()) == 20


def test_an_archive_is_left_alone_where_it_would_become_less(place: Place, audit: Audit) -> None:
    """One of the objects is gone from the bucket: what the file still has of it is not thrown away."""
    keys = place.put(4, 5)
    place.ship()
    file = place.files()[0]
    lines = (
        zstandard.ZstdDecompressor().stream_reader(file.read_bytes(), read_across_frames=True).read().splitlines(True)
    )
    file.write_bytes(zstandard.ZstdCompressor().compress(b"".join(lines[1:])))
    kept = file.read_bytes()
    for key in keys:
        place.s3.delete_object(Bucket="trail", Key=key)
    code, found = audit("--repair")
    assert code == 1
    assert "gone from the bucket" in found["differences"][0]["why"]
    assert not found["differences"][0]["repaired"]
    assert file.read_bytes() == kept


def test_an_object_that_was_never_shipped_is_found_and_shipped(place: Place, audit: Audit) -> None:
    """It came ten days late, to a day that is closed: no look will find it, and nothing tells of it."""
    place.put(4, 5)
    place.ship()
    (late,) = place.put(1, 3)
    place.ship()
    code, found = audit()
    assert code == 1
    assert sorted(told(found)) == [("files", f"s3://trail/{late}", 3, 0), ("siem", f"s3://trail/{late}", 3, 0)]
    assert {each["kind"] for each in found["differences"]} == {"never_shipped"}
    code, found = audit("--repair")
    assert code == 1
    assert all(each["repaired"] for each in found["differences"])
    code, found = audit()
    assert (code, found["differences"]) == (0, [])
    assert [hit["_source"]["event"]["id"] for hit in place.documents()] == sorted(place.trail.event_ids)


def test_an_object_of_this_minute_is_no_difference(place: Place, audit: Audit) -> None:
    """The next look will find it."""
    place.put(2, 2)
    place.ship()
    place.trail.now = datetime.now(UTC)
    place.put(1, 2)
    code, found = audit()
    assert (code, found["differences"]) == (0, [])
    assert [(each["number"], each["what"]) for each in found["remarks"]] == [
        (1, "objects are on their way, or not due yet")
    ]


def test_objects_that_are_gone_from_the_bucket_are_said_and_no_difference(place: Place, audit: Audit) -> None:
    """A lifecycle rule may have deleted them: what was delivered of them is still counted."""
    keys = place.put(5, 2)
    place.ship()
    for key in keys[:2]:
        place.s3.delete_object(Bucket="trail", Key=key)
    code, found = audit()
    assert (code, found["differences"]) == (0, [])
    assert [(each["number"], each["what"]) for each in found["remarks"]] == [
        (2, "objects with a receipt are gone from the bucket")
    ]
    assert sorted(found["remarks"][0]["names"]) == sorted(f"s3://trail/{key}" for key in keys[:2])
    place.delete(place.documents()[0])
    place.s3.delete_objects(Bucket="trail", Delete={"Objects": [{"Key": key} for key in keys[2:]]})
    code, found = audit("--repair")
    assert code == 1
    (difference,) = found["differences"]
    assert (difference["expected"] - difference["found"], difference["repaired"]) == (1, False)
    assert "cannot be shipped again" in difference["why"]


def test_filtered_undecodable_and_refused_records_are_no_difference(place: Place, audit: Audit) -> None:
    """What has another end than delivery is accounted for, also when its dead letters are purged or replayed."""
    place.sinks["siem"]["filter"] = 'drop eventName == "ListBuckets"'
    keys = place.put(3, 4)
    body = json.loads(gzip.decompress(place.s3.get_object(Bucket="trail", Key=keys[0])["Body"].read()))
    body["Records"][0]["eventName"] = "ListBuckets"
    body["Records"][1]["eventTime"] = "no time"
    body["Records"].append("no record")
    place.s3.put_object(Bucket="trail", Key=keys[0], Body=gzip.compress(json.dumps(body).encode()))
    place.ship()
    code, found = audit()
    assert (code, found["differences"], found["remarks"]) == (0, [], [])
    letters = SqliteDeadLetters(place.folder / "state" / "dead_letters.sqlite", 10**9)
    assert letters.purge(Wanted()) > 0
    letters.close()
    code, found = audit()
    assert (code, found["differences"], found["remarks"]) == (0, [], [])
    del place.sinks["siem"]["filter"]
    place.delete(next(hit for hit in place.documents() if hit["_source"]["aws"]["s3"]["object"]["key"] == keys[0]))
    code, found = audit()
    assert code == 1  # one deleted, and one that the filter kept away then: it cannot be told which
    (difference,) = found["differences"]
    assert difference["why"] == "1 at most were filtered then"


def test_events_that_another_object_brought_are_no_difference(place: Place, audit: Audit) -> None:
    """CloudTrail delivers an event twice at times: the second is present under the first's address."""
    keys = place.put(2, 4)
    place.ship()
    body = place.s3.get_object(Bucket="trail", Key=keys[0])["Body"].read()
    place.s3.put_object(Bucket="trail", Key=keys[0].replace("Z_", "Z_again"), Body=body)
    assert place("checkpoints", "reset", "--source", "s3", "--yes") == 0
    place.ship()
    code, found = audit()
    (archived,) = found["differences"]  # the reset shipped the account's two objects in one group, beside the first's
    assert (code, archived["sink"], archived["kind"], archived["found"]) == (1, "files", "doubled", 8 + 8)
    assert sum(each["splits_by_id"] for each in found["sources"]) == 1


def test_a_cluster_that_does_not_answer_is_no_loss(
    place: Place, audit: Audit, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not knowing is told as such, and what is found of other sources all the same; exit 1."""
    place.put(1, 1)
    place.ship()
    place.sinks["siem"] |= {"hosts": ["http://127.0.0.1:1"], "username": "nobody", "password": "x"}
    capfd.readouterr()
    code = place("audit", "--since", "beginning", "--settle-seconds", "0", "--json")
    out, _ = capfd.readouterr()
    found = json.loads(out)
    assert (code, found["ok"], found["differences"]) == (1, False, [])
    assert "127.0.0.1:1" in found["unanswered"]["s3"]
    assert place("audit", "--since", "beginning", "--settle-seconds", "0") == 1
    out, _ = capfd.readouterr()
    assert "s3: NOT KNOWN" in out
    assert "no differences in what answered" in out


def test_what_retention_deleted_is_expired(place: Place, audit: Audit) -> None:
    """The backing index is gone, and what was stored before the next one was made with it; what came later counts."""
    place.put(4, 5)
    place.ship()
    place.server.request("POST", f"{place.names}/_rollover")
    _, indices = place.server.request("GET", f"{place.names}/_settings?expand_wildcards=all&filter_path=*.settings")
    first = min(indices)
    assert place.server.request("DELETE", first).status == 200
    code, found = audit()
    assert (code, found["differences"]) == (0, [])
    assert [(each["number"], each["what"][:21]) for each in found["remarks"]] == [(20, "documents are expired")]
    place.trail.now = datetime.now(UTC) - timedelta(hours=1)
    place.put(2, 3)
    place.ship()
    place.delete(place.documents()[0])
    code, found = audit()
    assert code == 1
    assert [each["expected"] - each["found"] for each in found["differences"]] == [1]


def test_documents_that_stand_twice_are_counted_and_named(
    place: Place, audit: Audit, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two of an object that lies on both sides of a rollover; that it lies there is no double by itself."""
    place.put(2, 6)
    place.ship()
    hits = place.documents()
    (path,) = {hits[0]["_source"]["log"]["file"]["path"]}
    mine = [hit for hit in hits if hit["_source"]["log"]["file"]["path"] == path]
    place.server.request("POST", f"{place.names}/_rollover")
    place.delete(mine[0])
    for hit in mine[:3]:
        answer = place.server.request("PUT", f"{place.names}/_create/{hit['_id']}", hit["_source"])
        assert answer.status == 201, answer
    place.refresh()
    code, found = audit()
    assert (code, found["ok"], found["doubled"], found["missing"]) == (1, False, 2, 0)
    (double,) = [each for each in found["differences"] if each["sink"] == "siem"]
    assert (double["kind"], double["what"], double["expected"], double["found"]) == ("doubled", path, 6, 8)
    assert double["document_ids"] == sorted(hit["_id"] for hit in mine[1:3])
    place("audit", "--since", "beginning", "--settle-seconds", "0")
    words = capfd.readouterr().out
    assert "2 documents are there once too often" in words
    assert "no differences" not in words
    _, indices = place.server.request("GET", f"{place.names}/_settings?expand_wildcards=all&filter_path=*.settings")
    old = min(indices)
    for hit in mine[1:3]:
        assert place.server.request("DELETE", f"{old}/_doc/{hit['_id']}").status == 200
    place.refresh()
    assert audit()[0] == 0


def test_lines_that_a_backfill_doubled_in_an_archive_are_counted(place: Place, audit: Audit) -> None:
    """The daemon shipped two objects, the backfill four in one group: the cluster keeps one copy of all."""
    place.put(2, 5)
    place.ship()
    place.put(2, 5)
    day, until = f"{OLD - timedelta(days=1):%Y-%m-%d}", f"{OLD + timedelta(days=1):%Y-%m-%d}"
    assert place("backfill", "--source", "s3", "--since", day, "--until", until) == 0
    place.refresh()
    code, found = audit()
    assert (code, found["doubled"], len(place.documents())) == (1, 10, 20)
    (double,) = found["differences"]
    assert (double["sink"], double["kind"], double["expected"], double["found"]) == ("files", "doubled", 20, 30)
    assert double["what"] == f"dataset=aws.cloudtrail/date={OLD:%Y-%m-%d}"


def test_a_backfill_is_part_of_the_ledger(place: Place, audit: Audit) -> None:
    """Its receipts are in a state of its own; what it shipped is counted as the rest is."""
    place.source["start"] = "now"
    place.put(3, 4)
    place.ship()
    day = f"{OLD - timedelta(days=1):%Y-%m-%d}"
    until = f"{OLD + timedelta(days=1):%Y-%m-%d}"
    assert place("backfill", "--source", "s3", "--since", day, "--until", until) == 0
    place.refresh()
    code, found = audit()
    assert (code, found["differences"]) == (0, [])
    assert ({each["records"] for each in found["sources"]}, found["remarks"]) == ({12}, [])
    place.delete(place.documents()[0])
    assert audit("--repair")[0] == 1
    assert len(place.documents()) == 12
    assert audit()[0] == 0
