"""Dead letters in SQLite: durable before the record counts as done, bounded by refusing, never by dropping."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from shipper.errors import ConfigError, RetryableError
from shipper.model import DeadLetter, Origin

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS letters (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL, sink TEXT NOT NULL, uri TEXT NOT NULL, position INTEGER NOT NULL, document_id TEXT NOT NULL,
    split_id TEXT NOT NULL, logs TEXT NOT NULL, bucket TEXT NOT NULL, key TEXT NOT NULL,
    account TEXT NOT NULL, region TEXT NOT NULL,
    reason TEXT NOT NULL, answer TEXT NOT NULL, payload BLOB NOT NULL, time REAL NOT NULL,
    UNIQUE (source, sink, uri, position, document_id)
);
"""
_PUT = """
INSERT INTO letters (source, sink, uri, position, document_id, split_id, logs, bucket, key, account, region,
                     reason, answer, payload, time)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (source, sink, uri, position, document_id) DO UPDATE SET
    split_id = excluded.split_id, logs = excluded.logs, reason = excluded.reason, answer = excluded.answer,
    payload = excluded.payload, time = excluded.time
"""
_WHOLE_OBJECT = -1
_MOST_ANSWER_CHARACTERS = 8_000


class SqliteDeadLetters:
    """Implements `ports.DeadLetters`. Safe to use from many threads; other processes may read beside it.

    Args:
        path: the store's file, made with mode 0600.
        max_bytes: at this size of the file letters are refused, so that reading stops instead of records being lost.

    Raises:
        ConfigError: the file cannot be opened, is damaged, or is a newer shipper's.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._connection = _open(path)

    def put(self, letters: Sequence[DeadLetter]) -> None:
        """Store letters in one transaction; see `ports.DeadLetters`."""
        coming = sum(len(letter.payload) for letter in letters)
        with self._lock:
            if self._size() + coming > self._max_bytes:
                raise RetryableError(
                    f"the dead-letter store {self.path} is full ({self._max_bytes} bytes): look at its letters, "
                    "then raise dead_letters.max_bytes or remove what is no longer needed",
                    paused=True,
                )
            try:
                with self._connection:
                    self._connection.execute("BEGIN IMMEDIATE")
                    self._connection.executemany(_PUT, map(_row, letters))
            except sqlite3.Error as error:
                raise RetryableError(f"the dead-letter store {self.path} cannot be written: {error}") from error

    def letters(
        self, *, source: str | None = None, sink: str | None = None, reason: str | None = None, limit: int | None = None
    ) -> Iterator[DeadLetter]:
        """The letters that match, oldest first."""
        wanted = {"source": source, "sink": sink, "reason": reason}
        chosen = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = :{name}" for name in chosen) or "1"
        with self._lock:
            rows = self._connection.execute(
                "SELECT source, sink, split_id, logs, uri, bucket, key, account, region, position, reason, answer, "
                f"payload, document_id, time FROM letters WHERE {where} ORDER BY id LIMIT :most",
                {**chosen, "most": -1 if limit is None else limit},
            ).fetchall()
        yield from map(_letter, rows)

    def count(self) -> int:
        """How many letters are kept."""
        with self._lock:
            return int(self._connection.execute("SELECT count(*) FROM letters").fetchone()[0])

    def close(self) -> None:
        """Release the store."""
        with self._lock:
            self._connection.close()

    def _size(self) -> int:
        pages, free, page = (
            int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * page


def _open(path: Path) -> sqlite3.Connection:
    hint = "make state.path readable and writable, or set state.path to another folder"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"cannot open the dead-letter store {path}: {error}", hint) from error
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version <= _VERSION:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
    except sqlite3.Error as error:
        connection.close()
        raise ConfigError(
            f"the dead-letter store {path} cannot be used: {error}", f"move it away to keep its letters; {hint}"
        ) from error
    if version > _VERSION:
        connection.close()
        raise ConfigError(f"{path} was written by a newer shipper (schema {version})", "run that version again")
    return connection


def _row(letter: DeadLetter) -> tuple[object, ...]:
    origin = letter.origin
    return (
        letter.source,
        letter.sink,
        origin.uri,
        _WHOLE_OBJECT if letter.position is None else letter.position,
        letter.document_id,
        letter.split_id,
        letter.logs,
        origin.bucket,
        origin.key,
        origin.account,
        origin.region,
        letter.reason,
        letter.answer[:_MOST_ANSWER_CHARACTERS],
        letter.payload,
        letter.time,
    )


def _letter(row: Sequence[object]) -> DeadLetter:
    source, sink, split_id, logs, uri, bucket, key, account, region, position, reason, answer, payload, doc, time = row
    return DeadLetter(
        source=str(source),
        sink=str(sink),
        split_id=str(split_id),
        logs=str(logs),
        origin=Origin(str(uri), str(bucket), str(key), str(account), str(region)),
        position=None if position == _WHOLE_OBJECT else int(str(position)),
        reason=str(reason),
        answer=str(answer),
        payload=payload if isinstance(payload, bytes) else b"",
        document_id=str(doc),
        time=float(str(time)),
    )
