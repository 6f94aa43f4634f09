"""How checkpoint stores write splits, objects and hashes as bytes."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable

import msgspec

from shipper.model import S3Object, S3Split, Split, WindowSplit

# The kind is stored beside each split. A kind once written stays readable.
_KINDS: dict[str, type[Split]] = {"s3": S3Split, "window": WindowSplit}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def pack_split(split: Split) -> tuple[str, bytes]:
    """Return the split's kind and its bytes."""
    return _NAMES[type(split)], msgspec.json.encode(split)


def unpack_split(kind: str, packed: bytes) -> Split:
    """Return the split that `pack_split` wrote."""
    return msgspec.json.decode(packed, type=_KINDS[kind])


def pack_object(item: S3Object) -> bytes:
    """Return an object's bytes."""
    return msgspec.json.encode(item)


def unpack_object(packed: bytes) -> S3Object:
    """Return the object that `pack_object` wrote."""
    return msgspec.json.decode(packed, type=S3Object)


def pack_hashes(hashes: Iterable[int]) -> bytes:
    """Return 8 bytes for each hash, least significant first on every machine."""
    packed = array("q", hashes)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack_hashes(pieces: Iterable[bytes]) -> array[int]:
    """Return the hashes of any number of packed pieces, each once."""
    together = array("q")
    for piece in pieces:
        together.frombytes(piece)
    if sys.byteorder == "big":
        together.byteswap()
    distinct = set(together)
    return together if len(distinct) == len(together) else array("q", distinct)


def count_and_xor(hashes: Iterable[int]) -> tuple[int, int]:
    """Return what is kept of a closed bucket of time: how many hashes, and all of them xor-ed."""
    count = xor = 0
    for value in hashes:
        count += 1
        xor ^= value
    return count, xor
