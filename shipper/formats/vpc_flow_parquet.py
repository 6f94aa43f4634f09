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
            yield from _rows(parquet.ParquetFile(arrow.PythonFile(file, mode="r")), compute, arrow, limits)
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


def _rows(file: Any, compute: Any, arrow: Any, limits: ReadLimits) -> Iterator[Record | Rejected]:
    layout = _layout(file.schema_arrow.names)
    groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
    if sum(group.total_byte_size for group in groups) > limits.object_bytes:
        raise BadInputError(f"larger than {limits.object_bytes} bytes when decompressed")
    position, spaces = 0, len(layout) - 1
    for batch in file.iter_batches(batch_size=_ROWS, use_threads=False):
        columns = [compute.fill_null(compute.cast(column, arrow.string()), "-") for column in batch.columns]
        for line in compute.binary_join_element_wise(*columns, " ").to_pylist():
            position += 1
            raw = line.encode()
            if raw.count(b" ") != spaces:
                yield Rejected(raw[:4096], position, "a field contains a space")
            elif len(raw) > limits.record_bytes:
                yield Rejected(raw[:4096], position, "the row is longer than allowed")
            else:
                yield Record(raw, position, layout)


def _layout(names: list[str]) -> Layout:
    layout = layout_from_header(" ".join(names).encode()) if len(names) <= MAX_FIELDS else None
    if layout is None or len(layout) != len(names):
        raise BadInputError("its columns are not those of a flow log")
    return layout
