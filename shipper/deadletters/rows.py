"""The dead letters' table, and how a letter becomes a row of it and comes back."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from shipper.escaping import without_secrets
from shipper.model import DeadLetter, Origin

# One script a version; a script once released is never changed.
_MIGRATIONS = (
    """
    CREATE TABLE IF NOT EXISTS letters (
        id INTEGER PRIMARY KEY,
        source TEXT NOT NULL, sink TEXT NOT NULL, uri TEXT NOT NULL, position INTEGER NOT NULL,
        document_id TEXT NOT NULL,
        split_id TEXT NOT NULL, logs TEXT NOT NULL, bucket TEXT NOT NULL, key TEXT NOT NULL,
        account TEXT NOT NULL, region TEXT NOT NULL,
        reason TEXT NOT NULL, answer TEXT NOT NULL, payload BLOB NOT NULL, time REAL NOT NULL,
        UNIQUE (source, sink, uri, position, document_id)
    );
    """,
    """
    ALTER TABLE letters ADD COLUMN document BLOB NOT NULL DEFAULT x'';
    ALTER TABLE letters ADD COLUMN doc_index TEXT NOT NULL DEFAULT '';
    ALTER TABLE letters ADD COLUMN doc_time_ms INTEGER NOT NULL DEFAULT 0;
    """,
    """
    CREATE TABLE IF NOT EXISTS purged (
        document_id TEXT NOT NULL, uri TEXT NOT NULL, position INTEGER NOT NULL, sink TEXT NOT NULL,
        time REAL NOT NULL,
        PRIMARY KEY (document_id, uri, position, sink)
    ) WITHOUT ROWID;
    """,
)
VERSION = len(_MIGRATIONS)
COLUMNS = (
    "source, sink, split_id, logs, uri, bucket, key, account, region, position, reason, answer, payload, document_id,"
    " time, document, doc_index, doc_time_ms"
)
_NEWEST = ("split_id", "logs", "reason", "answer", "payload", "time", "document", "doc_index", "doc_time_ms")
PUT = (
    f"INSERT INTO letters ({COLUMNS}) VALUES ({', '.join('?' * (COLUMNS.count(',') + 1))})"
    " ON CONFLICT (source, sink, uri, position, document_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _NEWEST)
)
# What a person purged stays known by its identity, so that an audit does not take it for a loss, nor a loss for it.
PURGE = (
    "INSERT OR REPLACE INTO purged (document_id, uri, position, sink, time)"
    " SELECT document_id, uri, position, sink, ? FROM letters WHERE "
)
PURGED = (
    "SELECT 1 FROM purged WHERE sink IN (?, '') AND (document_id = ? AND document_id != ''"
    " OR document_id = '' AND uri = ? AND position = ?) LIMIT 1"
)
_WHOLE_OBJECT = -1
_MOST_ANSWER_CHARACTERS = 8_000


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a store from an older version to the current one, each step in one transaction."""
    for step, script in enumerate(_MIGRATIONS[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {step}; COMMIT;")


def row_of(letter: DeadLetter) -> tuple[object, ...]:
    """The values of `COLUMNS`."""
    origin = letter.origin
    return (
        letter.source,
        letter.sink,
        letter.split_id,
        letter.logs,
        origin.uri,
        origin.bucket,
        origin.key,
        origin.account,
        origin.region,
        _WHOLE_OBJECT if letter.position is None else letter.position,
        letter.reason,
        without_secrets(letter.answer)[:_MOST_ANSWER_CHARACTERS],
        letter.payload,
        letter.document_id,
        letter.time,
        letter.document,
        letter.index,
        letter.time_ms,
    )


def letter_of(row: Sequence[Any]) -> DeadLetter:
    """A letter from the values of `COLUMNS` and its number."""
    return DeadLetter(
        source=row[0],
        sink=row[1],
        split_id=row[2],
        logs=row[3],
        origin=Origin(*row[4:9]),
        position=None if row[9] == _WHOLE_OBJECT else row[9],
        reason=row[10],
        answer=row[11],
        payload=row[12],
        document_id=row[13],
        time=row[14],
        document=row[15],
        index=row[16],
        time_ms=row[17],
        id=row[18],
    )
