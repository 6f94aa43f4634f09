"""The delivery ledger's tables: a line for each settled split and sink, and their sums for ever."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from shipper.model import LedgerLine, LedgerTotal, Receipt

Run = Callable[..., sqlite3.Cursor]
"""Runs one statement within a transaction."""

_PAGE = 1000
_SUMS = ("splits", "read", "delivered", "present", "filtered", "dead_lettered", "bytes_in", "bytes_out", "repaired")
_LINE = "split_id, source, sink, read, delivered, present, filtered, dead_lettered, bytes_in, bytes_out, newest_ms"


def read_lines(run: Run, after: int, source: str | None, since: float) -> list[tuple[int, LedgerLine]]:
    """Return a page of numbered lines after a number, oldest first; empty at the end."""
    query = (
        f"SELECT seq, {_LINE}, settled_at, repaired FROM receipts"
        f" WHERE seq > ?1 AND (?2 IS NULL OR source = ?2) AND settled_at >= ?3 ORDER BY seq LIMIT {_PAGE}"
    )
    return [(row[0], LedgerLine(*row[1:])) for row in run(query, (after, source, since))]


def read_totals(run: Run, source: str | None) -> list[LedgerTotal]:
    """Return the sums by source and sink."""
    query = (
        f"SELECT source, sink, {', '.join(_SUMS[:-1])}, newest_ms, settled_at, repaired FROM totals"
        " WHERE ?1 IS NULL OR source = ?1 ORDER BY source, sink"
    )
    return [LedgerTotal(*row) for row in run(query, (source,))]


def put_receipt(run: Run, receipt: Receipt, now: float) -> None:
    """Add the receipt's lines to the ledger and to its sums."""
    sums = ", ".join(f"{name} = {name} + excluded.{name}" for name in _SUMS)
    for sink, tally in receipt.sinks.items():
        numbers = (receipt.read, tally.delivered, tally.present, tally.filtered, tally.dead_lettered)
        ends = (receipt.bytes_in, tally.bytes_out, receipt.newest_ms, now, tally.repaired)
        run(
            "INSERT INTO receipts VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (receipt.split_id, receipt.source, sink, *numbers, *ends),
        )
        run(
            f"INSERT INTO totals VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET {sums},"
            " newest_ms = coalesce(max(newest_ms, excluded.newest_ms), newest_ms, excluded.newest_ms),"
            " settled_at = excluded.settled_at",
            (receipt.source, sink, *numbers, *ends),
        )
