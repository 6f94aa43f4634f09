"""The S3 reader over HTTP: broken connections, short bodies, refusals, and what is fetched ahead."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from shipper.errors import RetryableError, UnreadableError
from shipper.model import Payload, S3Object, S3Split
from shipper.sources import s3_objects
from shipper.sources.s3_objects import S3Reader
from tests.fakes.s3_server import TroubledS3, running
from tests.parts.moto import set_credentials

KEY = "AWSLogs/123456789012/CloudTrail/us-east-1/2026/01/05/123456789012_CloudTrail_us-east-1_20260105T0000Z_{}.json.gz"
LARGE = 9_000_000


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[TroubledS3, Any]]:
    """One server and client for all tests here: making a client takes longer than most of them."""
    with pytest.MonkeyPatch.context() as patch, running() as server:
        set_credentials(patch)
        yield server, server.client()


@pytest.fixture
def s3(served: tuple[TroubledS3, Any]) -> TroubledS3:
    server, _ = served
    server.clear()
    return server


@pytest.fixture
def reader(served: tuple[TroubledS3, Any]) -> Iterator[S3Reader]:
    made = S3Reader(served[1])
    yield made
    made.close()


def put(s3: TroubledS3, name: str, size: int) -> S3Object:
    key = KEY.format(name)
    s3.objects[f"trail/{key}"] = random.Random(name).randbytes(size)
    return S3Object("trail", key, size, "x", 0.0)


def fault(s3: TroubledS3, item: S3Object, *kinds: str, after: int = 0) -> None:
    s3.faults[f"trail/{item.key}"] = list(kinds)  # type: ignore[arg-type]  # tests name the kinds literally
    s3.after = after


def split_of(*items: S3Object) -> S3Split:
    return S3Split("id", "trail", "scope", "cloudtrail", items)


def read(reader: S3Reader, *items: S3Object) -> list[bytes | Exception]:
    opened = reader.open(split_of(*items))
    return [b"".join(one.chunks) if isinstance(one, Payload) else one[1] for one in opened]


def body(s3: TroubledS3, item: S3Object) -> bytes:
    return s3.objects[f"trail/{item.key}"]


@pytest.mark.parametrize("size", [0, 1, 5000, LARGE])
def test_payloads_carry_the_stored_bytes_and_their_origin(s3, reader, size):
    """Bytes, size, account and region arrive as stored and as the key says."""
    item = put(s3, "a", size)
    (payload,) = reader.open(split_of(item))
    assert isinstance(payload, Payload)
    assert (payload.origin.uri, payload.origin.account, payload.origin.region) == (
        item.uri,
        "123456789012",
        "us-east-1",
    )
    assert payload.size == size


def test_objects_come_in_order(s3, reader):
    """However many are fetched at once, small and large, the split's order is kept."""
    items = [put(s3, str(number), LARGE if number == 7 else number * 100) for number in range(20)]
    assert read(reader, *items) == [body(s3, item) for item in items]


@pytest.mark.parametrize("kind", ["truncate", "reset"])
@pytest.mark.parametrize("size", [5000, LARGE])
def test_a_broken_connection_is_mended_out_of_sight(s3, reader, kind, size):
    """Two breaks in a row cost a retry each, and neither a byte twice nor one missing."""
    item = put(s3, "a", size)
    fault(s3, item, kind, kind, after=size // 2)
    assert read(reader, item) == [body(s3, item)]


def test_a_large_object_goes_on_where_it_broke(s3, reader):
    """What has been read is not fetched again."""
    item = put(s3, "a", LARGE)
    fault(s3, item, "truncate", after=4_000_000)
    assert read(reader, item) == [body(s3, item)]
    spans = [span for _, span in s3.requests]
    assert spans[0] is None
    first = int(spans[1].removeprefix("bytes=").rstrip("-"))
    assert 2_900_000 <= first <= 4_000_000


def test_a_large_object_that_changed_is_not_stitched_together(s3, reader):
    """When the object is overwritten while it is read, the split is tried again as a whole."""
    item = put(s3, "a", LARGE)
    fault(s3, item, "truncate", after=4_000_000)
    look = reader.open(split_of(item))
    opened = next(look)
    assert isinstance(opened, Payload)
    next(opened.chunks)
    s3.objects[f"trail/{item.key}"] = bytes(LARGE)
    with pytest.raises(RetryableError, match="PreconditionFailed"):
        list(opened.chunks)


@pytest.mark.parametrize("size", [5000, LARGE])
def test_a_connection_that_stays_broken_is_given_back(s3, reader, size):
    """After three attempts without progress the split is tried again later."""
    item = put(s3, "a", size)
    fault(s3, item, *["truncate"] * 10)
    with pytest.raises(RetryableError, match="trail"):
        read(reader, item)
    assert len(s3.requests) == 3


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("denied", "forbidden"), ("kms", "forbidden"), ("archived", "archived"), ("missing", "missing")],
)
@pytest.mark.parametrize("size", [5000, LARGE])
def test_an_unreadable_object_leaves_its_neighbours_alone(s3, reader, kind, expected, size):
    """It is yielded in its place with its kind; the others are read."""
    items = [put(s3, "a", 10), put(s3, "b", size), put(s3, "c", 10)]
    if kind == "missing":
        del s3.objects[f"trail/{items[1].key}"]
    else:
        fault(s3, items[1], kind)
    first, error, last = read(reader, *items)
    assert (first, last) == (body(s3, items[0]), body(s3, items[2]))
    assert isinstance(error, UnreadableError)
    assert error.kind == expected


def test_throttling_is_waited_out_by_the_client(s3, reader):
    """S3's own SlowDown is retried by boto3 before we hear of it."""
    item = put(s3, "a", 10)
    fault(s3, item, "slow-down")
    assert read(reader, item) == [body(s3, item)]


def test_no_more_is_fetched_ahead_than_allowed(s3, reader):
    """A worker that is slow keeps a few objects, not the whole split."""
    items = [put(s3, str(number), 100_000) for number in range(60)]
    opened = reader.open(split_of(*items))
    next(opened)
    opened.close()
    reader.close()
    assert len(s3.requests) <= 6


def test_very_small_objects_come_in_runs(s3, reader):
    """In order, each with its own end; no more than two runs are there before they are asked for."""
    items = [put(s3, str(number), 10 + number) for number in range(40)]
    s3.forbidden.add(f"trail/{items[3].key}")
    opened = reader.open(split_of(*items))
    first = next(opened)
    assert isinstance(first, Payload)
    assert b"".join(first.chunks) == body(s3, items[0])
    rest = [b"".join(one.chunks) if isinstance(one, Payload) else one for one in itertools.islice(opened, 4)]
    assert rest[2] == (items[3], rest[2][1])
    assert isinstance(rest[2][1], UnreadableError)
    assert [*rest[:2], rest[3]] == [body(s3, item) for item in (items[1], items[2], items[4])]
    opened.close()
    reader.close()
    assert len({path for path, _ in s3.requests}) <= 16


def test_a_run_of_liars_is_not_held_in_memory(s3, reader):
    """Where very small objects turn out to be large, the rest of their run is streamed."""
    items = [put(s3, str(number), 5_000_000) for number in range(4)]
    liars = [replace(item, size=5) for item in items]
    pieces = [[len(chunk) for chunk in one.chunks] for one in reader.open(split_of(*liars)) if isinstance(one, Payload)]
    assert [sum(lengths) for lengths in pieces] == [5_000_000] * 4
    assert [max(lengths) > 1_048_576 for lengths in pieces] == [True, True, False, False]


def test_a_stream_that_is_left_is_closed(s3, reader):
    """Leaving a large object unread gives its connection back, so that the pool does not run dry."""
    items = [put(s3, str(number), LARGE) for number in range(25)]
    for opened in reader.open(split_of(*items)):
        assert isinstance(opened, Payload)
        next(opened.chunks)


def test_large_objects_are_streamed(s3, reader):
    """No chunk is larger than a megabyte."""
    item = put(s3, "a", LARGE)
    (sizes,) = [
        [len(chunk) for chunk in opened.chunks] for opened in reader.open(split_of(item)) if isinstance(opened, Payload)
    ]
    assert max(sizes) <= s3_objects._CHUNK_BYTES
    assert sum(sizes) == LARGE
