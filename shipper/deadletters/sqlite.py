"""Dead letters in SQLite: durable before the record counts as done, bounded by refusing, never by dropping."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shipper.deadletters.rows import COLUMNS, PURGE, PURGED, PUT, VERSION, letter_of, migrate, row_of
from shipper.errors import ConfigError, RetryableError
from shipper.model import DeadLetter, Document
from shipper.safe_files import make_private, refuse_shared

_PAGE = 100
# Longer than receipts are kept one by one, so that no audit misses it.
_PURGED_SECONDS = 60 * 86_400.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are meant; None means any.

    Attributes:
        uri: the beginning of the origin's address.
        since, until: when they were put, seconds since the epoch; until is not included.
        ids: the store's numbers.
    """

    source: str | None = None
    sink: str | None = None
    reason: str | None = None
    logs: str | None = None
    uri: str | None = None
    since: float | None = None
    until: float | None = None
    document_id: str | None = None
    ids: tuple[int, ...] = ()

    def where(self) -> tuple[str, list[object]]:
        """The condition in SQL, and its values."""
        terms: list[tuple[str, object]] = [
            (f"{name} = ?", getattr(self, name))
            for name in ("source", "sink", "reason", "logs", "document_id")
            if getattr(self, name) is not None
        ]
        if self.uri is not None:
            terms.append(("substr(uri, 1, length(?)) = ?", self.uri))
        if self.since is not None:
            terms.append(("time >= ?", self.since))
        if self.until is not None:
            terms.append(("time < ?", self.until))
        words, values = [], []
        for term, value in terms:
            words.append(term)
            values += [value] * term.count("?")
        if self.ids:
            words.append(f"id IN ({', '.join('?' * len(self.ids))})")
            values += self.ids
        return " AND ".join(words) or "1", values


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
        coming = sum(len(letter.payload) + len(letter.document) for letter in letters)
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
                    self._connection.executemany(PUT, map(row_of, letters))
            except sqlite3.Error as error:
                raise RetryableError(f"the dead-letter store {self.path} cannot be written: {error}") from error

    def letters(self, wanted: Wanted | None = None, limit: int | None = None) -> Iterator[DeadLetter]:
        """Yield the letters that match, oldest first, a page in memory at a time."""
        where, values = (wanted or Wanted()).where()
        last, left = 0, limit
        while left is None or left > 0:
            most = _PAGE if left is None else min(_PAGE, left)
            query = f"SELECT {COLUMNS}, id FROM letters WHERE id > ? AND {where} ORDER BY id LIMIT ?"
            with self._lock:
                rows = self._connection.execute(query, (last, *values, most)).fetchall()
            if not rows:
                return
            last = rows[-1][-1]
            left = None if left is None else left - len(rows)
            yield from map(letter_of, rows)

    def reasons(self, wanted: Wanted) -> list[tuple[str, str, int]]:
        """How many letters match, by sink and reason, the most frequent first."""
        where, values = wanted.where()
        query = f"SELECT sink, reason, count(*) FROM letters WHERE {where} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2"
        with self._lock:
            return [(str(a), str(b), int(c)) for a, b, c in self._connection.execute(query, values)]

    def remove(self, wanted: Wanted) -> int:
        """Remove the letters that match, in one transaction; return how many there were.

        Raises:
            RetryableError: the disk fails; nothing was removed.
        """
        where, values = wanted.where()
        with self._lock:
            try:
                with self._connection:
                    self._connection.execute("BEGIN IMMEDIATE")
                    return self._connection.execute(f"DELETE FROM letters WHERE {where}", values).rowcount
            except sqlite3.Error as error:
                raise RetryableError(f"the dead-letter store {self.path} cannot be written: {error}") from error

    def purge(self, wanted: Wanted) -> int:
        """Remove letters as `remove` does, for a person who gives them up: which they were stays known for 60 days.

        Raises:
            RetryableError: the disk fails; nothing was removed.
        """
        where, values = wanted.where()
        now = time.time()
        with self._lock:
            try:
                with self._connection:
                    self._connection.execute("BEGIN IMMEDIATE")
                    self._connection.execute("DELETE FROM purged WHERE time < ?", (now - _PURGED_SECONDS,))
                    self._connection.execute(PURGE + where, (now, *values))
                    return self._connection.execute(f"DELETE FROM letters WHERE {where}", values).rowcount
            except sqlite3.Error as error:
                raise RetryableError(f"the dead-letter store {self.path} cannot be written: {error}") from error

    def was_purged(self, sink: str, document: Document) -> bool:
        """Whether a document, or the record that it is made of, was a dead letter that a person gave up."""
        values = (sink, document.id, document.origin.uri, document.record.position)
        with self._lock:
            return self._connection.execute(PURGED, values).fetchone() is not None

    def discard(self, ids: Sequence[int]) -> None:
        """Remove letters by their numbers.

        Raises:
            RetryableError: the disk fails; nothing was removed.
        """
        if ids:
            self.remove(Wanted(ids=tuple(ids)))

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
        refuse_shared(path.parent)
        make_private(path)
        connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"cannot open the dead-letter store {path}: {error}", hint) from error
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version <= VERSION:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            migrate(connection, version)
    except sqlite3.Error as error:
        connection.close()
        raise ConfigError(
            f"the dead-letter store {path} cannot be used: {error}", f"move it away to keep its letters; {hint}"
        ) from error
    if version > VERSION:
        connection.close()
        raise ConfigError(f"{path} was written by a newer shipper (schema {version})", "run that version again")
    return connection
