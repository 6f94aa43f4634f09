"""What a memory of this process holds, written behind to a SQLite file, so that a restart remembers."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import structlog

from shipper.ports import Stop
from shipper.safe_files import make_private

Value = TypeVar("Value")

_FLUSH_SECONDS = 1.0

log = structlog.get_logger(__name__)


class MemoryFile(Generic[Value]):
    """One table of a file. Safe to use from many threads.

    A disk that fails costs the memory of the next start, never a record.

    Args:
        path: the SQLite file; other tables may be in it.
        table: also what the log calls what is in it.
        kind: of the values, for msgspec.
        most: rows kept; those with the lowest rank go first.
    """

    def __init__(self, path: Path, table: str, kind: type[Value], stop: Stop, *, most: int) -> None:
        self._path = path
        self._table = table
        self._decode = msgspec.json.Decoder(kind).decode
        self._encode = msgspec.json.Encoder().encode
        self._stop = stop
        self._most = most
        self._lock = threading.Lock()
        self._unwritten: dict[str, tuple[float, Value]] = {}
        self._failing = False
        self._thread: threading.Thread | None = None

    def put(self, key: str, rank: float, value: Value) -> None:
        """Have a value written within a second; never blocks on the disk."""
        with self._lock:
            self._unwritten[key] = (rank, value)
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_behind, name=self._table, daemon=True)
                self._thread.start()

    def load(self) -> Iterator[tuple[str, Value]]:
        """Yield what an earlier run wrote, the lowest rank first; a damaged file ends early, and is logged."""
        if not self._path.exists():
            return
        query = f"select key, body from (select * from {self._table} order by at desc limit ?) order by at"
        try:
            with closing(self._connect()) as connection:
                connection.execute(self._made())
                for key, body in connection.execute(query, (self._most,)):
                    yield key, self._decode(body)
        except (OSError, sqlite3.Error, msgspec.MsgspecError) as error:
            self._complain(f"{self._table} of earlier runs cannot be read", error)

    def close(self) -> None:
        """Write what is not written yet."""
        self._flush(prune=True)

    def _write_behind(self) -> None:
        written = 0
        while not self._stop.rest(_FLUSH_SECONDS):
            written += self._flush(prune=written > self._most)
            written %= self._most + 1

    def _flush(self, *, prune: bool) -> int:
        with self._lock:
            batch, self._unwritten = self._unwritten, {}
        if not batch:
            return 0
        rows: list[tuple[str, float, Any]] = [(key, rank, self._encode(value)) for key, (rank, value) in batch.items()]
        table = self._table
        try:
            with closing(self._connect()) as connection, connection:
                connection.execute(self._made())
                connection.executemany(f"insert or replace into {table} values (?, ?, ?)", rows)
                if prune:
                    oldest = f"select key from {table} order by at desc limit ?"
                    connection.execute(f"delete from {table} where key not in ({oldest})", (self._most,))
        except (OSError, sqlite3.Error) as error:
            self._complain(f"{table} cannot be written, a restart will not know them", error)
        else:
            self._failing = False
        return len(rows)

    def _connect(self) -> sqlite3.Connection:
        make_private(self._path)  # a link in its place is an error
        return sqlite3.connect(self._path, timeout=5.0)

    def _made(self) -> str:
        return f"create table if not exists {self._table} (key text primary key, at real not null, body blob not null)"

    def _complain(self, what: str, error: Exception) -> None:
        if not self._failing:
            self._failing = True
            log.warning(what, path=str(self._path), why=str(error))
