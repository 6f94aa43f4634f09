"""Parquet objects that unpack to far more than they are: refused in bounded memory, before they are unpacked."""

from __future__ import annotations

import io
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipper.errors import BadInputError
from shipper.flow_layouts import MAX_FIELDS
from shipper.model import ReadLimits
from tests.unit.test_vpc_flow_parquet import read

arrow: Any = pytest.importorskip("pyarrow", reason="Parquet is optional: requirements/parquet.txt")
parquet: Any = pytest.importorskip("pyarrow.parquet")
FIELDS = ("version", "account_id", "interface_id", "srcaddr", "dstaddr")
LIMIT = 32 << 20
MEMORY_KB = 500 << 10  # of a process that reads a bomb; pyarrow alone takes a third
GUARD = 6 << 30  # a reader that is not bounded must not take the machine's memory


def stored(table: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(table, file, **options)
    return file.getvalue()


def table(rows: int, **columns: Any) -> Any:
    made = {name: columns.get(name, arrow.array(["-"] * rows)) for name in FIELDS}
    return arrow.table(made)


def repeated(value: str, rows: int) -> Any:
    return arrow.DictionaryArray.from_arrays(arrow.array([0] * rows, arrow.int32()), [value])


def dictionary_bomb() -> bytes:
    """One long value, and a hundred thousand rows that name it: 100 GB of text in some kilobytes."""
    return stored(table(100_000, srcaddr=repeated("x" * 1_000_000, 100_000)), compression="zstd")


def row_bomb() -> bytes:
    """Rows without anything: each takes a fraction of a bit."""
    rows = 20_000_000
    column = arrow.nulls(rows, arrow.int32())
    return stored(arrow.table({"version": column}), compression="zstd", row_group_size=rows)


def zero_bomb() -> bytes:
    """Plain pages of one letter, a thousand times smaller packed."""
    return stored(table(3, srcaddr=["0" * 100_000_000] * 3), compression="zstd", use_dictionary=False)


def wide_bomb() -> bytes:
    """Thirty thousand columns."""
    column = arrow.array([1], arrow.int8())
    return stored(arrow.table([column] * 30_000, names=[f"c{number}" for number in range(30_000)]))


def nested(depth: int) -> bytes:
    """A field of a flow log that is a list of lists of lists."""
    kind = arrow.string()
    for _ in range(depth):
        kind = arrow.list_(kind)
    return stored(table(1, srcaddr=arrow.nulls(1, kind)))


BOMBS: dict[str, Callable[[], bytes]] = {
    "dictionary": dictionary_bomb,
    "rows": row_bomb,
    "zeros": zero_bomb,
    "columns": wide_bomb,
    "nested": lambda: nested(3),
    "deeply nested": lambda: nested(100),
}


def read_bomb(path: str) -> None:
    """Read a file, and exit with how it ended and the memory that it took."""
    data = Path(path).read_bytes()
    resource.setrlimit(resource.RLIMIT_AS, (GUARD, GUARD))
    try:
        ended = f"{len(read(data, 1 << 20, ReadLimits(object_bytes=LIMIT)))} records"
    except BadInputError as error:
        ended = f"bad input: {str(error)[:200]}"
    status = Path("/proc/self/status").read_text()
    sys.stdout.write(f"{status.partition('VmHWM:')[2].split()[0]} {ended}")  # kB; getrusage counts the parent's


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_a_dead_letter_in_bounded_memory(bomb: str, tmp_path: Path) -> None:
    """The process lives, the object is bad input, and its neighbours go on."""
    path = tmp_path / "bomb.parquet"
    path.write_bytes(BOMBS[bomb]())
    assert path.stat().st_size < 20_000_000
    program = f"from tests.unit.test_parquet_bombs import read_bomb; read_bomb({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stderr[-2000:]
    memory, _, ended = done.stdout.partition(" ")
    assert ended.startswith("bad input:"), ended
    assert "malloc" not in ended
    assert int(memory) < MEMORY_KB


def test_long_but_honest_values_are_read() -> None:
    """What a flow log may hold stays readable: as many fields as there may be, thousands of rows of one value."""
    rows = 10_000
    found = read(stored(table(rows, srcaddr=repeated("2001:db8::8", rows))), 1 << 20)
    assert len(found) == rows
    assert len(FIELDS) < MAX_FIELDS
