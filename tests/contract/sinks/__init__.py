"""What the sinks' contract suite needs of each sink: a factory that yields a `SinkCase`, named in `test_sinks.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from shipper.model import Document, S3Object, S3Split
from shipper.ports import Sink


@dataclass
class SinkCase:
    """One sink under test, ready to use, with a way to look behind it.

    Attributes:
        document: makes the nth document, as this sink's schema has them.
        stored: how often each document id is stored durably now.
        poison: makes a document that the server refuses for good; None where the sink takes anything.
        outage: a context in which the server does not answer; None where there is no server.
        deduplicates: sending the same document again stores nothing new.
    """

    sink: Sink
    document: Callable[[int], Document]
    stored: Callable[[], dict[str, int]]
    poison: Callable[[int], Document] | None = None
    outage: Callable[[], AbstractContextManager[None]] | None = None
    deduplicates: bool = True


SinkFactory = Callable[[pytest.FixtureRequest, Path], Iterator[SinkCase]]


def split(name: str = "one") -> S3Split:
    """A split; documents of different splits are different."""
    return S3Split(name, "trail", "scope", "cloudtrail", (S3Object("b", f"{name}.json.gz", 10, "e", 0.0),))
