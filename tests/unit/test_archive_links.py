"""Attacks on an archive by one who can write in it: links, pipes and other files in the places of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from structlog.testing import capture_logs

from shipper.errors import ConfigError, RetryableError
from shipper.model import Doubled
from shipper.sinks.archive import ArchiveDelivery, ArchiveSink
from shipper.sinks.archive_doubles import doubled_lines
from shipper.sinks.archive_parts import Writer
from tests.fakes.pipeline import lines_split
from tests.unit.test_archive import document, files, ship

DATASET, DAY = "dataset=aws.cloudtrail", "date=1970-01-01"
OTHERS = b"of another user"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that must stay as it is."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_bytes(OTHERS)
    return folder


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def sink(archive: Path) -> ArchiveSink:
    made = ArchiveSink("archive", archive)
    made.prepare()
    return made


def begun(sink: ArchiveSink, days: int = 1) -> ArchiveDelivery:
    """Begin a split; with more days than files are kept open, its first file is closed."""
    delivery = sink.open(lines_split("one"))
    delivery.send([document(day, day=day) for day in range(days)])
    return delivery


def link_dataset(archive: Path, outside: Path) -> None:
    (archive / DATASET).symlink_to(outside)


def link_day(archive: Path, outside: Path) -> None:
    (archive / DATASET).mkdir()
    (archive / DATASET / DAY).symlink_to(outside)


@pytest.mark.parametrize("plant", [link_dataset, link_day])
def test_nothing_is_written_through_a_linked_folder(
    plant: Callable[[Path, Path], None], sink: ArchiveSink, archive: Path, outside: Path
) -> None:
    """The split waits, and the words say which name is a link and what to put in its place."""
    plant(archive, outside)
    with pytest.raises(RetryableError, match=r"is a link.*put a folder or a mount there"):
        begun(sink)
    assert {path.name for path in outside.rglob("*")} == {"file"}


@pytest.mark.parametrize("inner", ["date=1970-01-01", "file.part"])
def test_cleaning_removes_nothing_behind_a_link(inner: str, sink: ArchiveSink, archive: Path, outside: Path) -> None:
    """What looks like a leftover, but is another folder's, stays."""
    day = outside / inner if inner.startswith("date") else outside
    day.mkdir(exist_ok=True)
    (day / "x.part").write_bytes(OTHERS)
    (link_dataset if day != outside else link_day)(archive, outside)
    sink.prepare()
    assert (day / "x.part").read_bytes() == OTHERS


def test_a_leftover_that_is_a_link_goes_alone(sink: ArchiveSink, archive: Path, outside: Path) -> None:
    """The link is removed, its target is not touched; a folder of such a name stays."""
    day = archive / DATASET / DAY
    (day / "folder.part").mkdir(parents=True)
    (day / "x.ndjson.zst.part").symlink_to(outside / "file")
    sink.prepare()
    assert [path.name for path in day.iterdir()] == ["folder.part"]
    assert (outside / "file").read_bytes() == OTHERS


def part_of(archive: Path) -> Path:
    (path,) = (archive / DATASET / DAY).glob("one.*.part")
    return path


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "file"])
def test_a_file_on_its_way_is_not_taken_up_from_another_hand(
    kind: str, sink: ArchiveSink, archive: Path, outside: Path
) -> None:
    """Between two opens: what stands in its place is neither written to nor given the file's name."""
    delivery = begun(sink, days=40)  # the first day's file is closed
    path = part_of(archive)
    path.unlink()
    {
        "link": lambda: path.symlink_to(outside / "file"),
        "hard link": lambda: path.hardlink_to(outside / "file"),
        "pipe": lambda: os.mkfifo(path),
        "file": lambda: path.write_bytes(b"forged"),
    }[kind]()
    with pytest.raises(RetryableError) as caught:
        delivery.send([document(99)])
    assert caught.value.restart
    assert (outside / "file").read_bytes() == OTHERS
    assert not list(archive.rglob("*.zst"))


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_replaced_file_gets_no_name(kind: str, sink: ArchiveSink, archive: Path, outside: Path) -> None:
    """Between the last write and the rename: the split is shipped again instead."""
    delivery = begun(sink)
    path = part_of(archive)
    path.unlink()
    path.symlink_to(outside / "file") if kind == "link" else path.write_bytes(b"forged")
    with pytest.raises(RetryableError, match="replaced by another process"):
        delivery.finish()
    delivery.abandon()
    assert not list(archive.rglob("*.zst"))
    assert (outside / "file").read_bytes() == OTHERS
    ship(sink, "one", [document(1)])
    assert list(files(archive).values()) == [[1]]


def test_a_folder_that_becomes_a_link_is_not_followed_at_the_end(
    sink: ArchiveSink, archive: Path, outside: Path
) -> None:
    """Between the last write and the rename the day's folder is moved away, and a link put there."""
    delivery = begun(sink)
    day = archive / DATASET / DAY
    day.rename(archive / "moved")
    day.symlink_to(outside)
    with pytest.raises(RetryableError, match="is a link"):
        delivery.finish()
    assert {path.name for path in outside.iterdir()} == {"file"}


def test_a_planted_part_is_replaced_and_a_linked_file_too(sink: ArchiveSink, archive: Path, outside: Path) -> None:
    """Links under the names that a split's file will have: they go, their targets stay."""
    day = archive / DATASET / DAY
    day.mkdir(parents=True)
    (day / f"one.ndjson.zst.{sink._writer_name()}.part").symlink_to(outside / "new")
    (day / "one.ndjson.zst").symlink_to(outside / "file")
    ship(sink, "one", [document(1)])
    assert not (day / "one.ndjson.zst").is_symlink()
    assert list(files(archive).values()) == [[1]]
    assert {path.name for path in outside.iterdir()} == {"file"}
    assert (outside / "file").read_bytes() == OTHERS


def test_counting_follows_no_link_and_waits_for_no_pipe(sink: ArchiveSink, archive: Path, outside: Path) -> None:
    """A recount reads what stands in the archive itself; what it leaves out is in the log."""
    ship(sink, "one", [document(1)])
    day = archive / DATASET / DAY
    (outside / "linked.ndjson.zst").write_bytes((day / "one.ndjson.zst").read_bytes())
    (day / "linked.ndjson.zst").symlink_to(outside / "linked.ndjson.zst")
    os.mkfifo(day / "pipe.ndjson.zst")
    (archive / DATASET / "date=1970-01-02").symlink_to(day)
    (archive / "dataset=other").symlink_to(archive / DATASET)
    splits = [lines_split(name) for name in ("one", "linked", "pipe")]
    with capture_logs() as logged:
        assert sink.recount().count(splits) == [1, 0, 0]
        assert list(doubled_lines(archive, 0.0)) == []
    assert {entry["name"] for entry in logged} == {
        "linked.ndjson.zst",
        "pipe.ndjson.zst",
        "date=1970-01-02",
        "dataset=other",
    }


def test_a_file_of_one_endless_line_takes_no_memory(archive: Path) -> None:
    """A planted file of some kilobytes unpacks to a gigabyte without a line's end; looking for doubles stays small."""
    day = archive / DATASET / DAY
    day.mkdir(parents=True)
    packer = zstandard.ZstdCompressor().compressobj()
    zeros = bytes(1 << 20)
    packed = b"".join(packer.compress(zeros) for _ in range(1024)) + packer.compress(b"\nlast\n") + packer.flush()
    for name in ("a", "b"):
        (day / f"{name}.ndjson.zst").write_bytes(packed)
    program = (
        "import resource, sys; from pathlib import Path; from shipper.sinks.archive_doubles import doubled_lines;"
        "resource.setrlimit(resource.RLIMIT_AS, (600 << 20,) * 2); print(*doubled_lines(Path(sys.argv[1]), 0.0))"
    )
    done = subprocess.run([sys.executable, "-c", program, archive], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert str(Doubled(4, 2)) in done.stdout


def test_the_operators_own_link_to_the_archive_is_followed(tmp_path: Path) -> None:
    """The folder that the configuration names may be a link: the operator made it."""
    (tmp_path / "disk").mkdir(mode=0o700)
    (tmp_path / "archive").symlink_to(tmp_path / "disk")
    sink = ArchiveSink("archive", tmp_path / "archive")
    sink.prepare()
    ship(sink, "one", [document(1)])
    assert list(files(tmp_path / "disk").values()) == [[1]]


def test_a_living_process_keeps_its_files_and_a_dead_one_loses_them(archive: Path) -> None:
    """A backfill that starts beside a daemon removes nothing that the daemon is writing."""
    daemon, backfill = ArchiveSink("archive", archive), ArchiveSink("archive", archive)
    daemon.prepare()
    delivery = begun(daemon)
    backfill.prepare()
    ship(backfill, "one", [document(7)])
    delivery.finish()
    assert list(files(archive).values()) == [[0]]
    delivery = begun(daemon)
    assert daemon._writer
    os.close(daemon._writer._lock)  # as the kernel does when a process dies
    daemon._writer._lock = -1
    backfill.prepare()
    assert not list(archive.rglob("*.part"))
    delivery.abandon()
    backfill.close()
    assert [path.name for path in archive.iterdir()] == [DATASET]


def test_a_lock_that_is_a_link_is_no_way_out(sink: ArchiveSink, archive: Path, outside: Path) -> None:
    """Locks are opened without following; what cannot be told stays."""
    (archive / f".shipper-{'a' * 16}.lock").symlink_to(outside / "file")
    day = archive / DATASET / DAY
    day.mkdir(parents=True)
    (day / f"x.ndjson.zst.{'a' * 16}.part").write_bytes(b"")
    sink.prepare()
    assert [path.name for path in day.iterdir()] == [f"x.ndjson.zst.{'a' * 16}.part"]
    writer = Writer(archive)
    assert writer.name != "a" * 16
    writer.close()


def test_an_archive_that_everyone_can_write_is_refused(archive: Path) -> None:
    """The start and `check` say so, and how to mend it."""
    archive.mkdir()
    archive.chmod(0o777)
    sink = ArchiveSink("archive", archive)
    with pytest.raises(ConfigError, match="every user can write") as caught:
        sink.prepare()
    assert caught.value.hint == f"chmod o-w {archive}"
    assert [problem.serious for problem in sink.problems() if "write" in problem.what] == [True]


def test_an_archive_that_its_group_can_write_is_remarked_on(archive: Path) -> None:
    """It may be shared on purpose: a warning, and the daemon starts."""
    archive.mkdir()
    archive.chmod(0o770)
    sink = ArchiveSink("archive", archive)
    with capture_logs() as logged:
        sink.prepare()
    assert any("can write in it" in entry["event"] for entry in logged)
    assert [problem.serious for problem in sink.problems() if "write" in problem.what] == [False]
