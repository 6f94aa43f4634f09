"""What the SQLite file guards against: a second process, damage, foreign and newer files, a full disk."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from shipper.checkpoints.sqlite import SqliteCheckpoints
from shipper.checkpoints.sqlite_file import set_aside
from shipper.checkpoints.sqlite_schema import VERSION
from shipper.errors import ConfigError, FatalError
from shipper.model import Receipt, S3Split, Tally

FILE = "checkpoints.sqlite"


def test_a_second_process_is_refused_by_name(tmp_path: Path):
    """Two daemons never share a state: the second is told the first one's process id."""
    first = SqliteCheckpoints(tmp_path / FILE)
    with pytest.raises(ConfigError, match=rf"another shipper \(process {os.getpid()}\)"):
        SqliteCheckpoints(tmp_path / FILE)
    first.close()
    SqliteCheckpoints(tmp_path / FILE).close()


def test_looking_needs_no_lock(tmp_path: Path):
    """`checkpoints show` reads while the daemon runs, and sees what is committed."""
    daemon = SqliteCheckpoints(tmp_path / FILE)
    daemon.set_cursors("trail", {"x": {"hot": 1.0}})
    looker = SqliteCheckpoints(tmp_path / FILE, read_only=True)
    assert looker.cursors("trail") == {"x": {"hot": 1.0}}
    with pytest.raises(FatalError, match="readonly"):
        looker.set_cursors("trail", {"x": {"hot": 2.0}})
    looker.close()
    daemon.close()


def test_looking_at_nothing_says_so(tmp_path: Path):
    """A look before the first run makes no files."""
    with pytest.raises(ConfigError, match="no checkpoints"):
        SqliteCheckpoints(tmp_path / "state" / FILE, read_only=True)
    assert not (tmp_path / "state").exists()


def test_state_is_private(tmp_path: Path):
    """Folder 0700, every file 0600, whatever the umask."""
    before = os.umask(0)
    try:
        store = SqliteCheckpoints(tmp_path / "state" / FILE)
        store.set_cursors("trail", {"x": {"hot": 1.0}})
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert len(modes) == 4
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("damage", [b"this is not SQLite at all" * 100, None])
def test_a_damaged_store_is_refused_with_a_way_out(tmp_path: Path, damage: bytes | None):
    """Neither garbage nor a torn page is taken for an empty store; setting it aside lets the next start begin anew."""
    store = SqliteCheckpoints(tmp_path / FILE)
    store.mark_done("trail", "x", [(day, day) for day in range(2000)])
    store.close()
    path = tmp_path / FILE
    data = bytearray(path.read_bytes())
    data[8192:40960] = os.urandom(32768)
    path.write_bytes(damage or data)
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        SqliteCheckpoints(tmp_path / FILE)
    assert "checkpoints reset" in caught.value.hint
    aside = set_aside(tmp_path / FILE, clock=lambda: 5.0)
    assert aside is not None
    assert aside.name == "checkpoints.sqlite.damaged-5"
    fresh = SqliteCheckpoints(tmp_path / FILE)
    assert fresh.cursors("trail") == {}
    fresh.close()


def test_the_beginning_of_a_store_is_no_new_store(tmp_path: Path):
    """What is shorter than a page is damaged, and not taken for an empty database."""
    SqliteCheckpoints(tmp_path / FILE).close()
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:1000])
    for read_only in (True, False):
        with pytest.raises(ConfigError, match="cannot be used") as caught:
            SqliteCheckpoints(path, read_only=read_only)
        assert "checkpoints reset --damaged" in caught.value.hint


def test_a_store_that_is_only_just_made_holds_nothing_yet(tmp_path: Path):
    """The process was killed before its first commit: a look says so, and the next run goes on."""
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    with pytest.raises(ConfigError, match="no checkpoints"):
        SqliteCheckpoints(tmp_path / FILE, read_only=True)
    SqliteCheckpoints(tmp_path / FILE).close()
    SqliteCheckpoints(tmp_path / FILE, read_only=True).close()


def test_nothing_to_set_aside(tmp_path: Path):
    """Without a store there is nothing to move."""
    assert set_aside(tmp_path / "state" / FILE) is None


def test_a_newer_store_is_refused(tmp_path: Path):
    """An older program never touches a newer program's state."""
    SqliteCheckpoints(tmp_path / FILE).close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    with pytest.raises(ConfigError, match=f"newer shipper .*version {VERSION + 1}"):
        SqliteCheckpoints(tmp_path / FILE)


def test_a_foreign_database_is_refused(tmp_path: Path):
    """A file of another program is left alone."""
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(ConfigError, match="not a checkpoint store"):
        SqliteCheckpoints(tmp_path / FILE)


def test_an_unwritable_state_is_a_configuration_error(tmp_path: Path):
    """A path that cannot be a folder is named, with what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="state folder"):
        SqliteCheckpoints(tmp_path / "file" / "state" / FILE)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "checkpoints.lock").mkdir()
    with pytest.raises(ConfigError, match="cannot write"):
        SqliteCheckpoints(tmp_path / "state" / FILE)


def test_a_full_disk_stops_the_process_and_commits_nothing(tmp_path: Path):
    """When a commit fails the error is fatal, and neither half of the transaction is there."""
    store = SqliteCheckpoints(tmp_path / FILE)
    split = S3Split("s", "trail", "x", "cloudtrail", ())
    store.pin([split])
    store._connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(FatalError, match="full") as caught:
        store.settle(split, Receipt("s", "trail", 1, 1, {"a": Tally(1)}), [(1, n) for n in range(5000)], [])
    assert "shipped again" in caught.value.hint
    store.close()
    again = SqliteCheckpoints(tmp_path / FILE)
    assert again.pinned("trail") == [split]
    assert again.done("trail", "x", 0, 9) == {}
    assert list(again.receipts()) == []
    again.close()


def test_old_receipts_are_dropped_and_their_sums_stay(tmp_path: Path):
    """The ledger is bounded; totals are not affected."""
    now = [0.0]
    store = SqliteCheckpoints(tmp_path / FILE, receipt_days=1, clock=lambda: now[0])
    store._settled = 998
    for _ in range(2):
        split = S3Split("s", "trail", "x", "cloudtrail", ())
        store.settle(split, Receipt("s", "trail", 1, 1, {"a": Tally(1)}), [], [])
        now[0] += 100_000
    assert [line.settled_at for line in store.receipts()] == [100_000.0]
    assert [(total.splits, total.read) for total in store.totals()] == [(2, 2)]
    store.close()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o722])
def test_a_folder_that_others_can_write_in_is_refused(tmp_path: Path, mode: int) -> None:
    """They could put a link in the place of a file, and this process would write where it leads."""
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(ConfigError, match="can be written by others") as caught:
        SqliteCheckpoints(folder / "checkpoints.sqlite")
    assert caught.value.hint == f"chmod go-w {folder}"


@pytest.mark.parametrize("name", ["checkpoints.sqlite", "checkpoints.lock"])
def test_no_link_is_followed_in_the_state_folder(tmp_path: Path, name: str) -> None:
    """Neither the store nor its lock is opened through a symbolic link."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    target = tmp_path / "elsewhere"
    target.write_bytes(b"")
    (folder / name).symlink_to(target)
    with pytest.raises(ConfigError):
        SqliteCheckpoints(folder / "checkpoints.sqlite")
    assert target.read_bytes() == b""
