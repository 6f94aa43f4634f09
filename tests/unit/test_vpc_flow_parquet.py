"""Flow logs in Parquet: the same documents as the text lines, and what happens to damage."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from shipper.errors import BadInputError
from shipper.flow_layouts import layout_from_header
from shipper.formats.vpc_flow import VpcFlowFormat
from shipper.model import Origin, Payload, ReadLimits, Record, Rejected

DATA = Path(__file__).parent.parent / "data" / "vpc_flow"


def read(stored: bytes, cut: int = 1000, limits: ReadLimits | None = None) -> list[Record | Rejected]:
    chunks = iter([stored[i : i + cut] for i in range(0, len(stored), cut)])
    payload = Payload(Origin("s3://b/k.log.parquet"), chunks, len(stored))
    return list(VpcFlowFormat(limits or ReadLimits()).records(payload))


def stored(name: str) -> bytes:
    return (DATA / f"{name}.parquet").read_bytes()


@pytest.mark.parametrize("name", ["default", "every_field_any_order", "transit_gateway", "version_11"])
@pytest.mark.parametrize("cut", [1, 1 << 20])
def test_rows_are_the_lines_of_the_text_format(name, cut):
    """Typed columns, nulls included, come back as AWS's own lines, under the layout of the columns."""
    header, *lines = (DATA / f"{name}.log").read_bytes().splitlines()
    layout = layout_from_header(header)
    assert read(stored(name), cut) == [Record(line, n, layout) for n, line in enumerate(lines, 1)]


@pytest.mark.parametrize("kept", [4, 100, -1])
def test_a_damaged_object_is_bad_input(kept):
    """A truncated file has no directory."""
    with pytest.raises(BadInputError, match="Parquet"):
        read(stored("default")[:kept])


@pytest.mark.parametrize("limit", [200, 1000])
def test_an_object_beyond_the_limit_is_bad_input(limit):
    """The limit holds for what is stored."""
    with pytest.raises(BadInputError, match="larger"):
        read(stored("default"), limits=ReadLimits(object_bytes=limit))


def test_another_table_is_bad_input():
    """Columns that no flow log has are refused as a whole."""
    with pytest.raises(BadInputError, match="columns"):
        read(stored("other"))


def test_values_that_make_no_line_are_rejected():
    """A value with a space would shift the fields: that row is a dead letter, the next goes on."""
    first, second = read(stored("space"))
    assert isinstance(first, Rejected)
    assert isinstance(second, Record)


def test_without_pyarrow_the_object_says_what_it_needs(monkeypatch):
    """An ordinary installation keeps Parquet objects as dead letters that name what it lacks."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as if it were not installed
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(BadInputError, match=r"requirements/parquet\.txt"):
        read(stored("default"))
