"""What the archive guarantees: a file appears whole or not at all, under a name that depends on the split alone."""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from shipper.errors import ConfigError, RetryableError
from shipper.model import Document, Origin, Record
from shipper.sinks.archive import ArchiveSink
from tests.fakes.pipeline import lines_split

DAY_MS = 86_400_000


def document(number: int, day: int = 0, index: str = "logs-aws.cloudtrail-default") -> Document:
    body = json.dumps({"n": number}).encode()
    return Document(f"id{number}", index, day * DAY_MS + number, body, Record(body, number), Origin("s3://b/k"))


def files(folder: Path) -> dict[str, list[int]]:
    """Each file below the folder with the numbers of its documents."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".shipper-")):
        with path.open("rb") as file:
            text = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True))
            found[str(path.relative_to(folder))] = [json.loads(line)["n"] for line in text]
    return found


def ship(sink: ArchiveSink, name: str, *batches: list[Document]) -> None:
    delivery = sink.open(lines_split(name))
    for batch in batches:
        assert delivery.send(batch).delivered == len(batch)
    delivery.finish()


@pytest.fixture
def sink(tmp_path):
    archive = ArchiveSink("archive", tmp_path / "archive")
    archive.prepare()
    return archive


def test_documents_stand_by_dataset_and_day(sink, tmp_path):
    """The event's own day decides, not the day of shipping."""
    ship(sink, "one", [document(1), document(2, day=1)], [document(3), document(4, index="logs-aws.vpcflow-default")])
    assert files(tmp_path / "archive") == {
        "dataset=aws.cloudtrail/date=1970-01-01/one.ndjson.zst": [1, 3],
        "dataset=aws.cloudtrail/date=1970-01-02/one.ndjson.zst": [2],
        "dataset=aws.vpcflow/date=1970-01-01/one.ndjson.zst": [4],
    }


def test_shipping_again_overwrites_and_never_doubles(sink, tmp_path):
    """The name depends on the split alone."""
    ship(sink, "one", [document(1)])
    ship(sink, "one", [document(1)])
    assert list(files(tmp_path / "archive").values()) == [[1]]


def test_an_abandoned_split_leaves_nothing_and_what_was_there_stays(sink, tmp_path):
    """Half a split is never seen."""
    ship(sink, "one", [document(1)])
    delivery = sink.open(lines_split("one"))
    delivery.send([document(2)])
    delivery.abandon()
    assert list(files(tmp_path / "archive").values()) == [[1]]


def test_what_a_crash_left_is_removed_at_the_next_start(sink, tmp_path):
    """Temporary files of a killed process do not pile up, nor those without a writer."""
    program = (
        "import os, sys; from pathlib import Path;"
        "from tests.unit.test_archive import ArchiveSink, document, lines_split;"
        "sink = ArchiveSink('archive', Path(sys.argv[1])); sink.open(lines_split('crashed')).send([document(1)]);"
        "os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", program, tmp_path / "archive"], check=False)
    assert killed.returncode == -9
    (left,) = (tmp_path / "archive").rglob("*.part")
    left.with_name("old.ndjson.zst.part").write_bytes(b"")
    sink.prepare()
    assert [path for path in (tmp_path / "archive").rglob("*") if path.is_file()] == []


def test_many_days_in_one_split_keep_few_files_open(sink, tmp_path):
    """A backfilled object may hold a year: every document arrives, in order, and open files are bounded."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    delivery = sink.open(lines_split("year"))
    for turn in range(2):
        delivery.send([document(turn * 365 + day, day=day) for day in range(365)])
        assert len(list(Path("/proc/self/fd").iterdir())) < before + 40
    delivery.finish()
    assert sorted(files(tmp_path / "archive").values()) == [[day, 365 + day] for day in range(365)]


def test_a_full_disk_asks_for_the_whole_split_again(sink, tmp_path):
    """What was written before cannot be trusted: nothing is renamed into place, and the words are the system's."""
    delivery = sink.open(lines_split("big"))
    noise = Document("id", "logs-aws.cloudtrail-default", 0, os.urandom(400_000).hex().encode(), None, None)  # type: ignore[arg-type]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))
    try:
        with pytest.raises(RetryableError, match="File too large") as caught:
            delivery.send([noise])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.restart
    assert files(tmp_path / "archive") == {}


def test_names_never_leave_the_folder(sink, tmp_path):
    """A split's id and a data stream's name are made harmless."""
    ship(sink, "../../escape", [document(1, index="logs-../../x-default")])
    (name,) = files(tmp_path / "archive")
    assert name == "dataset=.._.._x/date=1970-01-01/.._.._escape.ndjson.zst"


def test_files_are_for_their_owner_alone(sink, tmp_path):
    """Logs hold secrets: 0600 and 0700 whatever the umask."""
    ship(sink, "one", [document(1)])
    (path,) = (tmp_path / "archive").rglob("*.zst")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_path_that_is_no_folder_is_a_configuration_mistake(tmp_path):
    """The message names sink and path."""
    (tmp_path / "file").write_text("")
    sink = ArchiveSink("archive", tmp_path / "file")
    with pytest.raises(ConfigError, match=r"sinks\.archive"):
        sink.prepare()
    assert [problem.serious for problem in sink.problems()] == [True]
