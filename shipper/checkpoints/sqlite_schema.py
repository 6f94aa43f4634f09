"""The tables of the SQLite checkpoint store, and how older files become current ones."""

from __future__ import annotations

import sqlite3

from shipper.errors import ConfigError

APPLICATION_ID = 0x73687072
"""What tells our files from other SQLite databases ("shpr"; https://sqlite.org/pragma.html#pragma_application_id)."""

# One script a version; a script once released is never changed.
_MIGRATIONS = (
    """
    CREATE TABLE scopes (id INTEGER PRIMARY KEY, source TEXT NOT NULL, scope TEXT NOT NULL, UNIQUE (source, scope));
    CREATE TABLE cursors (
        scope_id INTEGER NOT NULL, name TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY (scope_id, name)
    ) WITHOUT ROWID;
    CREATE TABLE pins (
        seq INTEGER PRIMARY KEY, source TEXT NOT NULL, id TEXT NOT NULL, scope TEXT NOT NULL, kind TEXT NOT NULL,
        split BLOB NOT NULL, UNIQUE (source, id)
    );
    -- Each row holds some hashes of a bucket of time, 8 bytes each: what one settled split added.
    CREATE TABLE done (
        scope_id INTEGER NOT NULL, bucket INTEGER NOT NULL, seq INTEGER NOT NULL, hashes BLOB NOT NULL,
        PRIMARY KEY (scope_id, bucket, seq)
    ) WITHOUT ROWID;
    CREATE TABLE closed (
        scope_id INTEGER NOT NULL, bucket INTEGER NOT NULL, count INTEGER NOT NULL, xor INTEGER NOT NULL,
        PRIMARY KEY (scope_id, bucket)
    ) WITHOUT ROWID;
    CREATE TABLE retries (
        source TEXT NOT NULL, hash INTEGER NOT NULL, scope TEXT NOT NULL, logs TEXT NOT NULL, object BLOB NOT NULL,
        kind TEXT NOT NULL, reason TEXT NOT NULL, attempts INTEGER NOT NULL, next_at REAL NOT NULL,
        PRIMARY KEY (source, hash)
    ) WITHOUT ROWID;
    CREATE TABLE receipts (
        seq INTEGER PRIMARY KEY, split_id TEXT NOT NULL, source TEXT NOT NULL, sink TEXT NOT NULL,
        read INTEGER NOT NULL, delivered INTEGER NOT NULL, present INTEGER NOT NULL, filtered INTEGER NOT NULL,
        dead_lettered INTEGER NOT NULL, bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL, newest_ms INTEGER,
        settled_at REAL NOT NULL
    );
    CREATE INDEX receipts_settled_at ON receipts (settled_at);
    CREATE TABLE totals (
        source TEXT NOT NULL, sink TEXT NOT NULL, splits INTEGER NOT NULL, read INTEGER NOT NULL,
        delivered INTEGER NOT NULL, present INTEGER NOT NULL, filtered INTEGER NOT NULL,
        dead_lettered INTEGER NOT NULL, bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL, newest_ms INTEGER,
        settled_at REAL NOT NULL, PRIMARY KEY (source, sink)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE receipts ADD COLUMN repaired INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE totals ADD COLUMN repaired INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX receipts_split_id ON receipts (split_id);
    """,
    """
    -- Which objects a receipt is of, compressed, for as long as the receipt itself: what an audit counts against.
    CREATE TABLE settled (
        seq INTEGER PRIMARY KEY, source TEXT NOT NULL, split_id TEXT NOT NULL, split BLOB NOT NULL,
        settled_at REAL NOT NULL, UNIQUE (source, split_id)
    );
    CREATE INDEX settled_settled_at ON settled (settled_at);
    """,
    """
    -- How often the process began to ship a group of objects and died, or was ended, before it was done with it.
    CREATE TABLE attempts (
        source TEXT NOT NULL, split_id TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (source, split_id)
    ) WITHOUT ROWID;
    """,
)

VERSION = len(_MIGRATIONS)


def check(connection: sqlite3.Connection, where: str) -> int:
    """Return the file's schema version; 0 for a new file.

    Raises:
        ConfigError: the file is another program's, or a newer shipper's.
        sqlite3.DatabaseError: it is damaged.
    """
    identity = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and identity != APPLICATION_ID:
        raise ConfigError(f"{where} is not a checkpoint store of shipper", "point state.path at a folder of its own")
    if version > VERSION:
        raise ConfigError(
            f"{where} was written by a newer shipper (its schema is version {version}, this one knows {VERSION})",
            "run the newer shipper again, or give this one a state.path of its own",
        )
    damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if damage != "ok":
        raise sqlite3.DatabaseError(str(damage))
    return version


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a file from an older schema version to the current one, each step in one transaction."""
    for step, script in enumerate(_MIGRATIONS[version:], version + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID}; {script} PRAGMA user_version = {step}; COMMIT;"
        )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
