"""The delivery ledger's tables: a line for each settled split and sink, and their sums for ever."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable
from dataclasses import replace

from shipper.checkpoints.packing import pack_split, unpack_split
from shipper.model import LedgerLine, LedgerTotal, Receipt, S3Split, SettledSplit, Split

Run = Callable[..., sqlite3.Cursor]
"""Runs one statement within a transaction."""

_PAGE = 1000
_SPLIT_PAGE = 50
_SUMS = ("splits", "read", "delivered", "present", "filtered", "dead_lettered", "bytes_in", "bytes_out", "repaired")
_LINE = "split_id, source, sink, read, delivered, present, filtered, dead_lettered, bytes_in, bytes_out, newest_ms"


def read_lines(run: Run, after: int, source: str | None, since: float) -> list[tuple[int, LedgerLine]]:
    """Return a page of numbered lines after a number, oldest first; empty at the end."""
    query = (
        f"SELECT seq, {_LINE}, settled_at, repaired FROM receipts"
        " WHERE seq > :after AND (:source IS NULL OR source = :source) AND settled_at >= :since"
        f" ORDER BY seq LIMIT {_PAGE}"
    )
    return [(row[0], LedgerLine(*row[1:])) for row in run(query, {"after": after, "source": source, "since": since})]


def read_totals(run: Run, source: str | None) -> list[LedgerTotal]:
    """Return the sums by source and sink."""
    query = (
        f"SELECT source, sink, {', '.join(_SUMS[:-1])}, newest_ms, settled_at, repaired FROM totals"
        " WHERE :source IS NULL OR source = :source ORDER BY source, sink"
    )
    return [LedgerTotal(*row) for row in run(query, {"source": source})]


def put_split(run: Run, split: Split, receipt: Receipt, now: float) -> None:
    """Remember which objects the receipt is of. A window of a log group has none, and a queued split no receipt."""
    if isinstance(split, S3Split) and receipt.sinks:
        left_out = {unread.object for unread in receipt.unread}
        read = replace(split, objects=tuple(item for item in split.objects if item not in left_out))
        packed = zlib.compress(pack_split(read)[1], 1)
        run("INSERT OR REPLACE INTO settled VALUES (NULL, ?, ?, ?, ?)", (split.source, split.id, packed, now))


def read_settled(run: Run, after: int, source: str, since: float) -> list[tuple[int, SettledSplit]]:
    """Return a page of numbered splits after a number, with the newest line of each sink; empty at the end."""
    if not run("SELECT count(*) FROM sqlite_master WHERE name = 'settled'").fetchone()[0]:
        return []  # written by an older shipper, and only looked at
    query = (
        "SELECT seq, split_id, split, settled_at FROM settled WHERE seq > ? AND source = ? AND settled_at >= ?"
        f" ORDER BY seq LIMIT {_SPLIT_PAGE}"
    )
    of_split = f"SELECT {_LINE}, settled_at, repaired FROM receipts WHERE split_id = ? AND source = ? ORDER BY seq"
    page: list[tuple[int, SettledSplit]] = []
    for seq, split_id, packed, settled_at in run(query, (after, source, since)).fetchall():
        split = unpack_split("s3", zlib.decompress(packed))
        lines = [LedgerLine(*row) for row in run(of_split, (split_id, source))]
        if isinstance(split, S3Split):
            page.append((seq, SettledSplit(split, settled_at, {line.sink: line for line in lines})))
    return page


def prune(run: Run, before: float) -> None:
    """Drop what was settled before a time; the sums stay."""
    for table in ("receipts", "settled"):
        run(f"DELETE FROM {table} WHERE settled_at < ?", (before,))


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
