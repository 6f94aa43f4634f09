"""Objects as stored: gzip, plain, damaged, cut into any chunks, and larger than they look."""

from __future__ import annotations

import gzip
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.errors import BadInputError
from shipper.formats.stored_bytes import PIECE_BYTES, decompressed
from shipper.model import Origin, Payload, ReadLimits

TEXT = b"version account-id\n" + b"2 111122223333\n" * 50


def read(stored: bytes, cut: int = 1 << 16, limit: int = 1 << 30) -> list[bytes]:
    chunks = (stored[i : i + cut] for i in range(0, len(stored), cut))
    return list(decompressed(Payload(Origin("s3://b/k"), chunks, len(stored)), ReadLimits(object_bytes=limit)))


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.integers(1, 50), st.integers(0, 9))
def test_members_are_read_as_one_however_they_are_cut(parts, cut, zeros):
    """Any number of gzip members, zeros between and behind them, in chunks of any size."""
    members = [TEXT, *parts]  # begins as text: bytes that begin as another kind of file are refused
    stored = b"".join(gzip.compress(part) + b"\0" * zeros for part in members)
    assert b"".join(read(stored, cut)) == b"".join(members)


@given(st.text(max_size=200).map(lambda text: b"{" + text.encode()), st.integers(1, 50))
def test_plain_bytes_stay_as_they_are(data, cut):
    """What does not begin as gzip does is not gzip; nothing is an empty object."""
    assert b"".join(read(data, cut)) == data


def test_empty_chunks_are_no_end():
    """A source may yield an empty chunk at any time."""
    stored = gzip.compress(TEXT)
    chunks = itertools.chain.from_iterable((b"", stored[i : i + 1]) for i in range(len(stored)))
    assert b"".join(decompressed(Payload(Origin("x"), chunks), ReadLimits())) == TEXT


@given(st.integers(2, len(gzip.compress(TEXT)) - 1), st.integers(1, 99))
def test_a_truncated_object_is_bad_input(kept, cut):
    """Wherever the object ends too early, it is known."""
    with pytest.raises(BadInputError):
        read(gzip.compress(TEXT)[:kept], cut)


@pytest.mark.parametrize("at", [-1, -5, 20])
def test_a_damaged_object_is_bad_input(at):
    """Length, checksum and content are checked."""
    stored = bytearray(gzip.compress(TEXT))
    stored[at] ^= 0xFF
    with pytest.raises(BadInputError):
        read(bytes(stored))


def test_garbage_behind_the_end_is_bad_input_after_the_data():
    """What came before the damage stands."""
    pieces = decompressed(Payload(Origin("x"), iter([gzip.compress(TEXT) + b"garbage"])), ReadLimits())
    assert next(pieces) == TEXT
    with pytest.raises(BadInputError):
        next(pieces)


def test_a_bomb_is_given_up_at_the_limit_in_small_pieces():
    """64 MB hidden in 64 kB: memory holds one piece, and reading ends at the limit."""
    stored = gzip.compress(bytes(64 << 20))
    sizes: list[int] = []
    pieces = decompressed(Payload(Origin("x"), iter([stored])), ReadLimits(object_bytes=3 * PIECE_BYTES))
    with pytest.raises(BadInputError):
        sizes.extend(map(len, pieces))
    assert sum(sizes) <= 3 * PIECE_BYTES
    assert max(sizes) <= PIECE_BYTES


def test_a_source_that_fails_is_not_bad_input():
    """An error of the chunks themselves passes unchanged, so that the object is read again."""

    def chunks():
        yield gzip.compress(TEXT)[:30]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        list(decompressed(Payload(Origin("x"), chunks()), ReadLimits()))
