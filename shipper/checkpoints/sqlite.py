"""Checkpoints in one SQLite file: what must survive a crash, committed durably and by one process."""

from __future__ import annotations

import sqlite3
import threading
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from shipper.checkpoints.packing import (
    count_and_xor,
    pack_hashes,
    pack_object,
    pack_split,
    unpack_hashes,
    unpack_object,
    unpack_split,
)
from shipper.checkpoints.sqlite_file import lock_state, open_file
from shipper.checkpoints.sqlite_ledger import (
    Run,
    prune,
    put_receipt,
    put_split,
    read_lines,
    read_settled,
    read_totals,
)
from shipper.errors import FatalError
from shipper.model import LedgerLine, LedgerTotal, Receipt, Retry, SettledSplit, Split
from shipper.ports import Clock, wall_clock

_RECEIPT_DAYS = 35
_PRUNE_EVERY = 1000


class SqliteCheckpoints:
    """Implements `ports.CheckpointStore`; safe to use from many threads.

    A commit returns when the disk has it (WAL with synchronous=FULL, https://sqlite.org/pragma.html#pragma_synchronous).

    Args:
        path: the store's file; its folder is made with mode 0700 where it is missing.
        read_only: look while a daemon may be running: takes no lock, changes nothing.
        receipt_days: for how long single receipts are kept; their sums are kept for ever.

    Raises:
        ConfigError: another process uses the state, or the file is damaged, another program's, or a newer shipper's.
    """

    def __init__(
        self, path: Path, *, read_only: bool = False, receipt_days: float = _RECEIPT_DAYS, clock: Clock = wall_clock
    ) -> None:
        self.path = path
        self._clock = clock
        self._receipt_seconds = receipt_days * 86400
        self._mutex = threading.Lock()
        self._scope_ids: dict[tuple[str, str], int] = {}
        self._settled = 0
        self._lock = None if read_only else lock_state(path)
        try:
            self._connection = open_file(path, read_only=read_only)
        except BaseException:
            if self._lock:
                self._lock.close()
            raise

    def cursors(self, source: str) -> dict[str, dict[str, float]]:
        """See ports.CheckpointStore."""
        found: dict[str, dict[str, float]] = {}
        query = "SELECT scope, name, value FROM cursors JOIN scopes ON scopes.id = scope_id WHERE source = ?"
        with self._transaction() as run:
            for scope, name, value in run(query, (source,)):
                found.setdefault(scope, {})[name] = value
        return found

    def set_cursors(self, source: str, cursors: Mapping[str, Mapping[str, float]]) -> None:
        """See ports.CheckpointStore."""
        with self._transaction() as run:
            for scope, values in cursors.items():
                self._set_cursor(run, self._scope_id(run, source, scope), values)

    def pin(self, splits: Sequence[Split]) -> None:
        """See ports.CheckpointStore."""
        with self._transaction() as run:
            for split in splits:
                _put_pin(run, split)

    def pinned(self, source: str) -> list[Split]:
        """See ports.CheckpointStore."""
        with self._transaction() as run:
            rows = run("SELECT kind, split FROM pins WHERE source = ? ORDER BY seq", (source,)).fetchall()
        return [unpack_split(kind, packed) for kind, packed in rows]

    def unpin(self, splits: Sequence[Split]) -> None:
        """See ports.CheckpointStore."""
        with self._transaction() as run:
            for split in splits:
                run("DELETE FROM pins WHERE source = ? AND id = ?", (split.source, split.id))
                _forget_attempts(run, split)

    def replace_pins(self, split: Split, parts: Sequence[Split]) -> None:
        """See ports.CheckpointStore."""
        with self._transaction() as run:
            for part in parts:
                _put_pin(run, part)
            if split not in parts:
                run("DELETE FROM pins WHERE source = ? AND id = ?", (split.source, split.id))
            _forget_attempts(run, split)

    def begin_attempt(self, split: Split) -> int:
        """See ports.CheckpointStore. Nothing waits for the disk here: a process that ends leaves it to the system."""
        statement = "INSERT INTO attempts VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1 RETURNING count"
        with self._transaction(durable=False) as run:
            count: int = run(statement, (split.source, split.id)).fetchone()[0]
        return count

    def end_attempt(self, split: Split) -> None:
        """See ports.CheckpointStore."""
        with self._transaction(durable=False) as run:
            run("UPDATE attempts SET count = count - 1 WHERE source = ? AND split_id = ?", (split.source, split.id))

    def attempts(self, source: str) -> dict[str, int]:
        """See ports.CheckpointStore."""
        query = "SELECT split_id, count FROM attempts WHERE source = ? AND count > 0"
        with self._transaction() as run:
            return dict(run(query, (source,)).fetchall())

    def done(self, source: str, scope: str, first: int, last: int) -> dict[int, array[int]]:
        """See ports.CheckpointStore."""
        query = (
            "SELECT bucket, hashes FROM done JOIN scopes ON scopes.id = scope_id"
            " WHERE source = ? AND scope = ? AND bucket >= ? AND bucket < ?"
        )
        pieces: dict[int, list[bytes]] = {}
        with self._transaction() as run:
            for bucket, hashes in run(query, (source, scope, first, last)):
                pieces.setdefault(bucket, []).append(hashes)
        return {bucket: unpack_hashes(found) for bucket, found in pieces.items()}

    def mark_done(self, source: str, scope: str, done: Sequence[tuple[int, int]]) -> None:
        """See ports.CheckpointStore."""
        with self._transaction() as run:
            self._add_done(run, self._scope_id(run, source, scope), done)

    def settle(self, split: Split, receipt: Receipt, done: Sequence[tuple[int, int]], retries: Sequence[Retry]) -> None:
        """See ports.CheckpointStore."""
        now = self._clock()
        with self._transaction() as run:
            run("DELETE FROM pins WHERE source = ? AND id = ?", (split.source, split.id))
            _forget_attempts(run, split)
            self._add_done(run, self._scope_id(run, split.source, split.scope), done)
            for item in split.objects:
                run("DELETE FROM retries WHERE source = ? AND hash = ?", (split.source, item.hash))
            for retry in retries:
                _put_retry(run, split.source, retry)
            put_receipt(run, receipt, now)
            put_split(run, split, receipt, now)
            self._settled += 1
            if self._settled % _PRUNE_EVERY == 0:
                prune(run, now - self._receipt_seconds)

    def retries(self, source: str) -> list[Retry]:
        """See ports.CheckpointStore."""
        query = (
            "SELECT object, scope, logs, kind, reason, attempts, next_at FROM retries WHERE source = ? ORDER BY next_at"
        )
        with self._transaction() as run:
            rows = run(query, (source,)).fetchall()
        return [Retry(unpack_object(row[0]), *row[1:]) for row in rows]

    def close_before(
        self, source: str, scope: str, bucket: int, cursor: Mapping[str, float], *, keep: int = 35
    ) -> None:
        """See ports.CheckpointStore."""
        earlier = "FROM done WHERE scope_id = ? AND bucket < ?"
        with self._transaction() as run:
            scope_id = self._scope_id(run, source, scope)
            for (closing,) in run(
                f"SELECT DISTINCT bucket {earlier} AND bucket >= ?", (scope_id, bucket, bucket - keep)
            ).fetchall():
                pieces = run("SELECT hashes FROM done WHERE scope_id = ? AND bucket = ?", (scope_id, closing))
                count, xor = count_and_xor(unpack_hashes(piece for (piece,) in pieces))
                run("INSERT OR REPLACE INTO closed VALUES (?, ?, ?, ?)", (scope_id, closing, count, xor))
            run(f"DELETE {earlier}", (scope_id, bucket))
            run("DELETE FROM closed WHERE scope_id = ? AND bucket < ?", (scope_id, bucket - keep))
            self._set_cursor(run, scope_id, cursor)

    def closed(self, source: str, scope: str) -> dict[int, tuple[int, int]]:
        """See ports.CheckpointStore."""
        query = (
            "SELECT bucket, count, xor FROM closed JOIN scopes ON scopes.id = scope_id WHERE source = ? AND scope = ?"
        )
        with self._transaction() as run:
            return {bucket: (count, xor) for bucket, count, xor in run(query, (source, scope))}

    def receipts(self, source: str | None = None, since: float | None = None) -> Iterator[LedgerLine]:
        """See ports.CheckpointStore."""
        seen = 0
        while True:
            with self._transaction() as run:
                page = read_lines(run, seen, source, since or 0.0)
            if not page:
                return
            seen = page[-1][0]
            yield from (line for _, line in page)

    def settled(self, source: str, since: float = 0.0) -> Iterator[SettledSplit]:
        """See ports.CheckpointStore."""
        seen = 0
        while True:
            with self._transaction() as run:
                page = read_settled(run, seen, source, since)
            if not page:
                return
            seen = page[-1][0]
            yield from (found for _, found in page)

    def totals(self, source: str | None = None) -> list[LedgerTotal]:
        """See ports.CheckpointStore."""
        with self._transaction() as run:
            return read_totals(run, source)

    def reset(self, source: str, scope: str | None = None) -> int:
        """See ports.CheckpointStore."""
        mine = "WHERE source = :source AND (:scope IS NULL OR scope = :scope)"
        named = {"source": source, "scope": scope}
        with self._transaction() as run:
            self._scope_ids.clear()
            for table in ("cursors", "done", "closed"):
                run(f"DELETE FROM {table} WHERE scope_id IN (SELECT id FROM scopes {mine})", named)
            for table in ("pins", "retries"):
                run(f"DELETE FROM {table} {mine}", named)
            left = "SELECT id FROM pins WHERE source = :source"
            run(f"DELETE FROM attempts WHERE source = :source AND split_id NOT IN ({left})", named)
            return run(f"DELETE FROM scopes {mine}", named).rowcount

    def close(self) -> None:
        """See ports.CheckpointStore."""
        with self._mutex:
            self._connection.close()
        if self._lock:
            self._lock.close()

    @contextmanager
    def _transaction(self, *, durable: bool = True) -> Iterator[Run]:
        """Run statements as one transaction.

        Args:
            durable: wait for the disk at its end. Without it the transaction survives the process, though not
                the machine, and the file is never damaged (https://sqlite.org/pragma.html#pragma_synchronous).
        """
        with self._mutex:
            try:
                if not durable:
                    self._connection.execute("PRAGMA synchronous = NORMAL")
                self._connection.execute("BEGIN")
                try:
                    yield self._connection.execute
                    self._connection.execute("COMMIT")
                except BaseException:
                    self._scope_ids.clear()
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
                finally:
                    if not durable:
                        self._connection.execute("PRAGMA synchronous = FULL")
            except sqlite3.Error as error:
                raise FatalError(
                    f"the checkpoint store {self.path} fails: {error}",
                    "free disk space or repair the disk; nothing is lost, what was not settled is shipped again",
                ) from error

    def _scope_id(self, run: Run, source: str, scope: str) -> int:
        known = self._scope_ids.get((source, scope))
        if known is None:
            run("INSERT OR IGNORE INTO scopes (source, scope) VALUES (?, ?)", (source, scope))
            known = run("SELECT id FROM scopes WHERE source = ? AND scope = ?", (source, scope)).fetchone()[0]
            self._scope_ids[source, scope] = known
        return known

    @staticmethod
    def _set_cursor(run: Run, scope_id: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            run("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", (scope_id, name, value))

    @staticmethod
    def _add_done(run: Run, scope_id: int, done: Sequence[tuple[int, int]]) -> None:
        by_bucket: dict[int, list[int]] = {}
        for bucket, value in done:
            by_bucket.setdefault(bucket, []).append(value)
        for bucket, hashes in by_bucket.items():
            run(
                "INSERT INTO done SELECT :scope, :bucket, coalesce(max(seq), 0) + 1, :hashes FROM done"
                " WHERE scope_id = :scope AND bucket = :bucket",
                {"scope": scope_id, "bucket": bucket, "hashes": pack_hashes(hashes)},
            )


def _put_pin(run: Run, split: Split) -> None:
    run(
        "INSERT OR IGNORE INTO pins (source, id, scope, kind, split) VALUES (?, ?, ?, ?, ?)",
        (split.source, split.id, split.scope, *pack_split(split)),
    )


def _forget_attempts(run: Run, split: Split) -> None:
    run("DELETE FROM attempts WHERE source = ? AND split_id = ?", (split.source, split.id))


def _put_retry(run: Run, source: str, retry: Retry) -> None:
    run(
        "INSERT OR REPLACE INTO retries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            source,
            retry.object.hash,
            retry.scope,
            retry.logs,
            pack_object(retry.object),
            retry.kind,
            retry.reason,
            retry.attempts,
            retry.next_at,
        ),
    )
