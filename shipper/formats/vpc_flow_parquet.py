"""Flow logs as Apache Parquet: each row becomes the line that the text format would have, and goes the same way on.

Needs pyarrow (requirements/parquet.txt), which is large and parses untrusted input in native code, so it
is no part of an ordinary installation. Source: "Publish flow logs to Amazon S3" and the fields' Parquet types in
"Available fields" (Amazon VPC User Guide); columns are named with underscores.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator
from typing import Any

from shipper.errors import BadInputError
from shipper.flow_layouts import MAX_FIELDS, Layout, layout_from_header
from shipper.model import Payload, ReadLimits, Record, Rejected

MAGIC = b"PAR1"

_IN_MEMORY_BYTES = 16 << 20
_ROWS = 4096
_SLICE_BYTES = 8 << 20
# What the directory at a file's end may hold: AWS's own has tens of columns and a few groups of rows.
_MOST_ENTRIES = 20_000
_MOST_WORD_BYTES = 1 << 20


def parquet_records(payload: Payload, limits: ReadLimits) -> Iterator[Record | Rejected]:
    """Yield a Parquet object's rows as lines, row group by row group; positions are 1-based row numbers.

    The object is stored aside first, as its directory stands at its end: in memory up to 16 MB, in a temporary file
    beyond.

    Raises:
        BadInputError: damaged, no flow log, over the limit, or pyarrow is not installed.
        RetryableError: from the payload's own chunks.
    """
    parquet, arrow, compute = _libraries()
    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as file:
        _store(payload, limits, file)
        try:
            yield from _rows(_opened(parquet, arrow, file), compute, arrow, limits)
        except (arrow.ArrowException, OSError, OverflowError) as error:
            raise BadInputError(f"not readable as Parquet: {error}") from error


def _libraries() -> tuple[Any, Any, Any]:
    try:
        names = ("pyarrow.parquet", "pyarrow", "pyarrow.compute")
        parquet, arrow, compute = (importlib.import_module(name) for name in names)
    except ImportError as error:
        raise BadInputError(
            "Parquet needs pyarrow: pip install --require-hashes -r requirements/parquet.txt, then ship the object"
            " again: shipper deadletters replay --reread"
        ) from error
    return parquet, arrow, compute


def _store(payload: Payload, limits: ReadLimits, file: Any) -> None:
    size = 0
    for chunk in payload.chunks:
        size += len(chunk)
        if size > limits.object_bytes:
            raise BadInputError(f"larger than {limits.object_bytes} bytes")
        file.write(chunk)
    file.seek(0)


def _opened(parquet: Any, arrow: Any, file: Any) -> Any:
    """Open a file so that texts stay in their dictionaries: a long one may stand in any number of rows."""
    bounds = {"thrift_string_size_limit": _MOST_WORD_BYTES, "thrift_container_size_limit": _MOST_ENTRIES}
    source = arrow.PythonFile(file, mode="r")
    schema = parquet.ParquetFile(source, **bounds).schema_arrow
    _layout(schema.names)
    if any(arrow.types.is_nested(kind) for kind in schema.types):
        raise BadInputError("its columns are not those of a flow log: some are lists or structures")
    file.seek(0)
    return parquet.ParquetFile(source, read_dictionary=schema.names, **bounds)


def _rows(file: Any, compute: Any, arrow: Any, limits: ReadLimits) -> Iterator[Record | Rejected]:
    layout = _layout(file.schema_arrow.names)
    groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
    stored = sum(group.total_byte_size for group in groups)
    # A row of nothing still is a line of dashes and spaces.
    written = 2 * len(layout) * sum(group.num_rows for group in groups)
    if max(stored, written) > limits.object_bytes:
        raise _too_large(limits)
    position, size, spaces = 0, 0, len(layout) - 1
    for batch in file.iter_batches(batch_size=_ROWS, use_threads=False):
        for line in _lines(batch, compute, arrow):
            position += 1
            raw = line.encode()
            size += len(raw)
            if size > limits.object_bytes:
                raise _too_large(limits)
            if raw.count(b" ") != spaces:
                yield Rejected(raw[:4096], position, "a field contains a space")
            elif len(raw) > limits.record_bytes:
                yield Rejected(raw[:4096], position, "the row is longer than allowed")
            else:
                yield Record(raw, position, layout)


def _lines(batch: Any, compute: Any, arrow: Any) -> Iterator[str]:
    """Yield a batch's rows as lines, so few at once that they are never much longer than a slice may be."""
    text = arrow.string()
    longest = 0
    for column in batch.columns:
        values = column.dictionary if arrow.types.is_dictionary(column.type) else column
        if arrow.types.is_string(values.type) or arrow.types.is_binary(values.type):
            longest += compute.max(compute.binary_length(values)).as_py() or 0
    rows = max(1, _SLICE_BYTES // (longest + 20 * batch.num_columns + 1))
    for begin in range(0, batch.num_rows, rows):
        part = batch.slice(begin, rows)
        columns = [compute.fill_null(compute.cast(column, text), "-") for column in part.columns]
        yield from compute.binary_join_element_wise(*columns, " ").to_pylist()


def _too_large(limits: ReadLimits) -> BadInputError:
    return BadInputError(f"larger than {limits.object_bytes} bytes when decompressed")


def _layout(names: list[str]) -> Layout:
    layout = layout_from_header(" ".join(names).encode()) if len(names) <= MAX_FIELDS else None
    if layout is None or len(layout) != len(names):
        raise BadInputError("its columns are not those of a flow log")
    return layout
