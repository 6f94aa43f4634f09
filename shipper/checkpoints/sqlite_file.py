"""The SQLite checkpoint store's file: locked, verified, migrated, or set aside when damaged."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from shipper.checkpoints.lock import StateLock
from shipper.checkpoints.sqlite_schema import check, migrate
from shipper.errors import ConfigError
from shipper.ports import Clock, wall_clock
from shipper.safe_files import make_private, refuse_shared


def set_aside(path: Path, clock: Clock = wall_clock) -> Path | None:
    """Move a damaged store out of the way, so that the next start begins anew, and return its new path.

    Returns:
        None where there is no store.

    Raises:
        ConfigError: a daemon uses it.
    """
    lock = lock_state(path)
    try:
        if not path.exists():
            return None
        aside = path.with_name(f"{path.name}.damaged-{int(clock())}")
        path.rename(aside)
        for suffix in ("-wal", "-shm"):
            companion = path.with_name(path.name + suffix)
            if companion.exists():
                companion.rename(aside.with_name(aside.name + suffix))
        return aside
    finally:
        lock.close()


def lock_state(path: Path) -> StateLock:
    """Make the store's folder where it is missing, and lock the store.

    Raises:
        ConfigError: it cannot be written, or another process holds it.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the state folder {path.parent}: {error.strerror}", "set state.path") from error
    refuse_shared(path.parent)
    return StateLock(path.with_suffix(".lock"))


def open_file(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open the store's file, verify it and bring it to the current schema.

    Raises:
        ConfigError: it cannot be opened, is damaged, another program's, or a newer shipper's.
    """
    if read_only and not path.exists():
        raise ConfigError(f"there are no checkpoints in {path.parent} yet", "run `shipper run` first")
    refuse_shared(path.parent)
    try:
        if not read_only:
            make_private(path)
        uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
        connection = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"cannot open {path}: {error}", "make state.path readable and writable") from error
    try:
        version = check(connection, str(path))
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            migrate(connection, version)
    except sqlite3.DatabaseError as error:
        connection.close()
        if isinstance(error, sqlite3.OperationalError):
            raise ConfigError(
                f"cannot write {path}: {error}", "look at the disk's free space and permissions"
            ) from error
        raise ConfigError(
            f"the checkpoint store {path} cannot be used: {error}",
            "restore it from a backup, or begin anew with `shipper checkpoints reset --damaged`:"
            " what is shipped again keeps its document ids",
        ) from error
    except ConfigError:
        connection.close()
        raise
    if version == 0 and read_only:  # the process that made it was killed before its first commit
        connection.close()
        raise ConfigError(f"there are no checkpoints in {path.parent} yet", "run `shipper run` first")
    return connection
