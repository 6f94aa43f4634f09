"""`shipper deadletters`, from the refusal to the replay, against a server over HTTP."""

from __future__ import annotations

import gzip
import json
import stat
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import zstandard

from shipper import cli
from shipper.deadletters.sqlite import SqliteDeadLetters
from tests.fakes import cloudtrail
from tests.fakes.elasticsearch import Bulk, FakeElasticsearch, Reply, bulk_reply, failure
from tests.parts.moto import Moto
from tests.unit.test_replay import letter

WORDS = "[1:9] object mapping for [source] tried to parse field [source] as object, but found a concrete value"


@pytest.fixture
def server() -> Iterator[FakeElasticsearch]:
    """An empty one."""
    with FakeElasticsearch() as made:
        yield made


@pytest.fixture
def config(tmp_path: Path, server: FakeElasticsearch) -> str:
    """A configuration with five letters: three of `siem`, one undecodable, one of another source."""
    path = tmp_path / "shipper.yaml"
    settings = {
        "state": {"path": str(tmp_path / "state")},
        "listen": "off",
        "sources": {"trail": {"type": "s3", "bucket": "my-trail"}},
        "sinks": {"siem": {"type": "elasticsearch", "hosts": [server.url]}},
    }
    path.write_text(json.dumps(settings))
    path.chmod(0o600)
    store = SqliteDeadLetters(tmp_path / "state" / "dead_letters.sqlite", 10**7)
    store.put([letter(n, sink="siem", answer=WORDS, time=1000.0 + n) for n in range(3)])
    store.put([letter(3, sink="", reason="undecodable", document=b"", document_id="", payload=b"\xff\x1b[2J")])
    store.put([letter(4, sink="siem", source="other", reason="too_large")])
    store.close()
    return str(path)


def test_list_filters_and_counts(config: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Each in a line, with its number; the sum says how many there are beyond the limit."""
    assert cli.run(["deadletters", "list", "-c", config, "--source", "trail", "--limit", "2"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["1", "2"]
    assert lines[2] == "2 shown of 4: 3 mapper_parsing_exception, 1 undecodable"
    assert cli.run(["deadletters", "list", "-c", config, "--reason", "nothing"]) == 0
    assert capfd.readouterr().out == "none\n"
    assert cli.run(["deadletters", "list", "-c", config, "--since", "yesterday"]) == 2


def test_show_and_explain_name_field_and_both_types(config: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The record is shown without harm to the terminal; an unknown number is told."""
    assert cli.run(["deadletters", "show", "1", "4", "-c", config]) == 0
    out = capfd.readouterr().out
    assert "source is mapped as object, sent as value" in out
    assert "\x1b" not in out
    assert cli.run(["deadletters", "explain", "1", "-c", config]) == 0
    out = capfd.readouterr().out
    assert "the index maps source as object, and the document has value" in out
    assert "replay --id 1" in out
    assert cli.run(["deadletters", "show", "99", "-c", config]) == 1
    assert "99" in capfd.readouterr().err


def test_the_older_name_works(config: str, capfd: pytest.CaptureFixture[str]) -> None:
    """`dead-letters show` lists, as it always did."""
    assert cli.run(["dead-letters", "show", "-c", config, "--json"]) == 0
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert found[0]["conflict"] == {"field": "source", "mapped": "object", "sent": "value"}
    assert len(found) == 5


def test_export_writes_a_private_file_and_never_over_another(
    config: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The letters stay."""
    target = tmp_path / "out.ndjson"
    export = ["deadletters", "export", "-c", config, "--to", str(target)]
    assert cli.run(export) == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [json.loads(line)["id"] for line in target.read_text().splitlines()] == [1, 2, 3, 4, 5]
    assert cli.run(export) == 2
    assert "cannot be made" in capfd.readouterr().err


def test_purge_wants_a_filter_and_a_yes(config: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Only what matches goes."""
    assert cli.run(["deadletters", "purge", "-c", config, "--yes"]) == 2
    assert cli.run(["deadletters", "purge", "-c", config, "--reason", "too_large", "--yes"]) == 0
    assert "removed: 1" in capfd.readouterr().out
    assert cli.run(["deadletters", "list", "-c", config, "--json"]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 4


def test_replay_ships_to_the_same_sink_and_removes_what_got_through(
    config: str, server: FakeElasticsearch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One is refused again and one has no document: they stay, and the exit code says so; the next replay is whole."""

    def refuse_one(fake: FakeElasticsearch, bulk: Bulk) -> Reply:
        items = iter(fake.create(Bulk(bulk.path, bulk.headers, [x for x in bulk.lines if x[1] != "id1"])))
        bad = failure(400, "document_parsing_exception", WORDS)
        return bulk_reply([bad if x[1] == "id1" else next(items) for x in bulk.lines])

    server.script = [refuse_one]
    assert cli.run(["deadletters", "replay", "-c", config, "--json"]) == 1
    account = json.loads(capfd.readouterr().out)
    assert account.pop("first_refusal").startswith("document_parsing_exception: [1:9] object mapping for [source]")
    assert account == {
        "delivered": 3,
        "present": 0,
        "repaired": 0,
        "refused": 1,
        "no_document": 1,
        "no_sink": 0,
    }
    assert set(server.stored) == {("logs-x", f"id{n}") for n in (0, 2, 4)}
    assert cli.run(["deadletters", "replay", "-c", config, "--sink", "siem"]) == 0
    said = capfd.readouterr()
    assert "1 delivered" in said.out
    assert "1 of 1" in said.err
    assert server.writes == {f"id{n}": 1 for n in (0, 1, 2, 4)}


class Mended:
    """A bucket with one object, two of whose records could not become documents when it was shipped.

    Attributes:
        written: what the object holds now.
    """

    KEY = (
        "AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/01/"
        "111122223333_CloudTrail_us-east-1_20260301T0000Z_a.json.gz"
    )

    def __init__(
        self, folder: Path, moto: Moto, server: FakeElasticsearch, *, damaged: bool = False, level: str = "error"
    ) -> None:
        self.s3 = moto.client("s3")
        self.s3.create_bucket(Bucket="my-trail")
        self.server = server
        self.folder = folder
        trail = cloudtrail.Trail(datetime(2026, 3, 1, tzinfo=UTC))
        self.records: list[Any] = [trail._record("111122223333", trail.now) for _ in range(5)]
        self.ids = trail.event_ids
        good = list(self.records)
        self.records[1] = "no record"
        self.records[3] = {**good[3], "eventTime": "no time"}
        self.write(damaged=damaged)
        self._path = folder / "shipper.yaml"
        settings = {
            "state": {"path": str(folder / "state")},
            "listen": "off",
            "aws": {"region": "us-east-1", "endpoint_url": moto.url},
            "sources": {"trail": {"type": "s3", "bucket": "my-trail", "start": "beginning"}},
            "sinks": {
                "siem": {"type": "elasticsearch", "hosts": [server.url]},
                "files": {"type": "archive", "path": str(folder / "archive")},
            },
            "log": {"level": level, "format": "json"},
        }
        self._path.write_text(json.dumps(settings))
        self._path.chmod(0o600)
        assert self.run("run", "--once") == 0
        self.records = good

    def write(self, *, damaged: bool = False) -> None:
        body = gzip.compress(json.dumps({"Records": self.records}).encode())
        body = body[: len(body) // 2] if damaged else body
        self.s3.put_object(Bucket="my-trail", Key=self.KEY, Body=body)

    def run(self, *arguments: str) -> int:
        return cli.run([*arguments, "-c", str(self._path)])

    def delivered(self) -> Counter[str]:
        return Counter(json.loads(body)["event"]["id"] for body in self.server.stored.values())

    def archived(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for file in (self.folder / "archive").rglob("*.zst"):
            with zstandard.open(file, "rt") as lines:
                found.update(json.loads(line)["event"]["id"] for line in lines)
        return found


@pytest.fixture
def mended(tmp_path: Path, server: FakeElasticsearch, moto: Moto) -> Mended:
    return Mended(tmp_path, moto, server)


def test_a_run_writes_one_line_for_the_letters_of_a_split(
    tmp_path: Path, server: FakeElasticsearch, moto: Moto, capfd: pytest.CaptureFixture[str]
) -> None:
    """From the bucket to the log: the counts, the first words, the object, and the command that works."""
    Mended(tmp_path, moto, server, level="warning")
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line["event"] == "not shipped, kept in the dead letters"]
    assert (line["level"], line["letters"], line["source"]) == ("warning", 3, "trail")
    assert line["reasons"] == "2 unmappable, 1 undecodable"
    assert line["first"] == "undecodable: not a JSON object"
    assert line["object"] == f"s3://my-trail/{Mended.KEY}"
    assert cli.run([*line["next"].split()[1:], "-c", str(tmp_path / "shipper.yaml")]) == 0
    assert "3 shown" in capfd.readouterr().out


def test_records_that_make_documents_now_are_shipped_from_their_object(
    mended: Mended, capfd: pytest.CaptureFixture[str]
) -> None:
    """Only they, to every sink that lacks them, under the ids they would have had; the archive's other files stay."""
    assert sum(mended.delivered().values()) == 3
    before = len(mended.server.requests)
    mended.write()
    capfd.readouterr()
    assert mended.run("deadletters", "replay", "--json") == 1
    assert json.loads(capfd.readouterr().out)["no_document"] == 3  # one for all sinks, and one for each of two
    assert mended.run("deadletters", "replay", "--reread", "--json") == 0
    assert json.loads(capfd.readouterr().out)["reread"] == 3
    assert mended.delivered() == Counter(mended.ids) == mended.archived()
    assert sum(len(bulk.lines) for bulk in mended.server.requests[before:]) == 2
    assert mended.run("deadletters", "list") == 0
    assert capfd.readouterr().out == "none\n"


def test_records_that_still_make_no_document_stay_letters(mended: Mended, capfd: pytest.CaptureFixture[str]) -> None:
    """Unchanged, gone, or broken off before them: the letter stays, its neighbours are not sent again."""
    before = len(mended.server.requests)
    assert mended.run("deadletters", "replay", "--reread") == 1
    place = {"Bucket": "my-trail", "Key": mended.KEY}
    whole = mended.s3.get_object(**place)["Body"].read()
    mended.s3.put_object(**place, Body=whole[: len(whole) // 2])
    assert mended.run("deadletters", "replay", "--reread") == 1
    mended.s3.delete_object(**place)
    assert mended.run("deadletters", "replay", "--reread") == 1
    assert len(mended.server.requests) == before
    capfd.readouterr()
    assert mended.run("deadletters", "list") == 0
    assert "3 shown: 2 unmappable, 1 undecodable" in capfd.readouterr().out
    assert mended.archived() == mended.delivered()


def test_records_that_are_no_longer_in_their_object_stay_letters(
    mended: Mended, capfd: pytest.CaptureFixture[str]
) -> None:
    """A shorter object took its place: the letters hold the only copies."""
    mended.records = mended.records[:1]
    mended.write()
    capfd.readouterr()
    assert mended.run("deadletters", "replay", "--reread", "--json") == 1
    assert json.loads(capfd.readouterr().out)["reread"] == 0
    assert mended.run("deadletters", "list") == 0
    assert "3 shown: 2 unmappable, 1 undecodable" in capfd.readouterr().out


def test_a_letter_that_was_purged_is_not_brought_back(mended: Mended, capfd: pytest.CaptureFixture[str]) -> None:
    """Reading an object again meets its other bad records too; they are nobody's question."""
    assert mended.run("deadletters", "purge", "--reason", "unmappable", "--yes") == 0
    assert mended.run("deadletters", "replay", "--reread") == 1
    capfd.readouterr()
    assert mended.run("deadletters", "list") == 0
    assert "1 shown: 1 undecodable" in capfd.readouterr().out


def test_an_object_that_could_not_be_read_is_shipped_whole(
    tmp_path: Path, server: FakeElasticsearch, moto: Moto, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its letter goes when it was read to its end and not a moment sooner; what was there before is found present."""
    mended = Mended(tmp_path, moto, server, damaged=True)
    capfd.readouterr()
    assert mended.run("deadletters", "list", "--reason", "unreadable_object") == 0
    assert "1 shown: 1 unreadable_object" in capfd.readouterr().out
    assert mended.run("deadletters", "replay", "--reread") == 1
    mended.s3.delete_object(Bucket="my-trail", Key=mended.KEY)
    assert mended.run("deadletters", "replay", "--reread") == 1
    capfd.readouterr()
    assert mended.run("deadletters", "list", "--reason", "unreadable_object") == 0
    assert "1 shown: 1 unreadable_object" in capfd.readouterr().out
    mended.write()
    assert mended.run("deadletters", "replay", "--reread", "--reason", "unreadable_object", "--json") == 0
    assert json.loads(capfd.readouterr().out)["reread_objects"] == 1
    assert mended.delivered() == Counter(mended.ids)
    assert mended.run("deadletters", "list", "--reason", "unreadable_object") == 0
    assert capfd.readouterr().out == "none\n"
