"""The archive for the sinks' contract: a folder, read back as any reader of zstd and NDJSON does."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import zstandard

from shipper.sinks.archive import ArchiveSink
from tests.contract.sinks import SinkCase
from tests.contract.sinks.elasticsearch import document


def folder(request: pytest.FixtureRequest, folder: Path) -> Iterator[SinkCase]:
    """A folder on this machine; it takes any document, and has no server that could fail."""
    path = folder / "archive"
    sink = ArchiveSink("archive", path)
    ids = {str(number): document(number).id for number in range(8000)}

    def stored() -> dict[str, int]:
        found: Counter[str] = Counter()
        for file in path.rglob("*.ndjson.zst"):
            with file.open("rb") as stream:
                text = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
                found.update(ids[orjson.loads(line)["event"]["id"]] for line in io.TextIOWrapper(text))
        return dict(found)

    yield SinkCase(sink, document, stored)
    sink.close()
