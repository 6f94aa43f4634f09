"""Links planted where the program keeps or writes files: none is followed below what the operator named."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from shipper import cli
from shipper.checkpoints.sqlite import SqliteCheckpoints
from shipper.deadletters.sqlite import SqliteDeadLetters
from shipper.enrich.memory_file import MemoryFile
from shipper.errors import ConfigError
from shipper.ports import Stop
from shipper.sinks.splunk_app import APP, write_app

OTHERS = b"of another user"


class Kept(msgspec.Struct):
    """A value of a memory."""

    name: str


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file that must stay as it is."""
    path = tmp_path / "outside"
    path.write_bytes(OTHERS)
    return path


def memory(path: Path) -> MemoryFile[Kept]:
    stop = Stop()
    stop.request()
    return MemoryFile(path, "kept", Kept, stop, most=10)


@pytest.mark.parametrize("target", ["outside", "missing"])
def test_a_memory_is_not_written_through_a_link(target: str, tmp_path: Path, outside: Path) -> None:
    """Sessions and interfaces of earlier runs: the memory is lost, the link's target is not touched or made."""
    path = tmp_path / "sessions.sqlite"
    path.symlink_to(tmp_path / target)
    kept = memory(path)
    with capture_logs() as logged:
        assert list(kept.load()) == []
        kept.put("a", 1.0, Kept("x"))
        kept.close()
    assert any("cannot be" in entry["event"] for entry in logged)
    assert outside.read_bytes() == OTHERS
    assert not (tmp_path / "missing").exists()


def test_a_memory_is_not_read_through_a_link(tmp_path: Path) -> None:
    """Nor is another file's content believed."""
    other = memory(tmp_path / "other.sqlite")
    other.put("a", 1.0, Kept("forged"))
    other.close()
    (tmp_path / "sessions.sqlite").symlink_to(tmp_path / "other.sqlite")
    assert list(memory(tmp_path / "sessions.sqlite").load()) == []
    assert [key for key, _ in memory(tmp_path / "other.sqlite").load()] == ["a"]


def test_a_memory_is_its_owners_alone(tmp_path: Path) -> None:
    """It names people and their addresses."""
    kept = memory(tmp_path / "sessions.sqlite")
    kept.put("a", 1.0, Kept("x"))
    kept.close()
    assert (tmp_path / "sessions.sqlite").stat().st_mode & 0o777 == 0o600


def dead_letters(path: Path) -> SqliteDeadLetters:
    return SqliteDeadLetters(path, max_bytes=1 << 20)


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
@pytest.mark.parametrize("store", [SqliteCheckpoints, dead_letters])
def test_sqlites_own_files_are_no_way_out(
    suffix: str, store: Callable[[Path], SqliteCheckpoints | SqliteDeadLetters], tmp_path: Path, outside: Path
) -> None:
    """SQLite makes them beside the store; a link in their place makes it fail, and its target stays."""
    path = tmp_path / "state" / "store.sqlite"
    store(path).close()
    Path(f"{path}{suffix}").symlink_to(outside)
    with pytest.raises((ConfigError, sqlite3.OperationalError)):
        store(path)
    assert outside.read_bytes() == OTHERS


def test_dead_letters_in_a_folder_that_others_can_write_are_not_opened(tmp_path: Path) -> None:
    """The commands that look at a state refuse what the daemon would."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    with pytest.raises(ConfigError, match="can be written by others"):
        dead_letters(tmp_path / "state" / "dead-letters.sqlite")


def test_an_export_is_not_written_through_a_link(tmp_path: Path) -> None:
    """Not even to a file that is not there yet."""
    path = tmp_path / "shipper.yaml"
    (tmp_path / "key").write_text("key")
    (tmp_path / "key").chmod(0o600)
    path.write_text(
        f"state: {{path: {tmp_path}/state}}\nsources: {{t: {{type: s3, bucket: my-trail}}}}\n"
        "sinks: {e: {type: elasticsearch, hosts: ['https://es:9200'], api_key_file: key}}\n"
    )
    target = tmp_path / "out.ndjson"
    target.symlink_to(tmp_path / "missing")
    assert cli.run(["deadletters", "export", "-c", str(path), "--to", str(target)]) == 2
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("place", ["", "default", "default/data", "default/data/ui"])
def test_the_splunk_app_is_not_written_through_a_linked_folder(place: str, tmp_path: Path) -> None:
    """Whoever can write in the app's folder cannot have `setup splunk` write elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "apps" / APP / place
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere)
    with pytest.raises(ConfigError, match="is a link"):
        write_app(tmp_path / "apps", ["main"], {})
    assert list(elsewhere.iterdir()) == []


def test_a_linked_file_of_the_splunk_app_is_replaced(tmp_path: Path, outside: Path) -> None:
    """And so is a link under the name that files on their way had."""
    default = tmp_path / "apps" / APP / "default"
    default.mkdir(parents=True)
    (default / "macros.conf").symlink_to(outside)
    (default / "macros.conf.part").symlink_to(outside)
    assert default / "macros.conf" in write_app(tmp_path / "apps", ["main"], {})
    assert not (default / "macros.conf").is_symlink()
    assert "aws_log_shipper" in (default / "macros.conf").read_text()
    assert outside.read_bytes() == OTHERS
