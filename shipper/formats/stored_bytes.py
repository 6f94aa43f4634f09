"""The decompressed bytes of an object, gzip or plain, within its limit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from isal import igzip_lib

from shipper.errors import BadInputError
from shipper.model import Payload, ReadLimits

PIECE_BYTES = 1 << 18

STEP_BYTES = 1 << 14
"""Compressed bytes are taken in such steps: what follows a member is copied, and an object may hold a member a byte."""

GZIP = b"\x1f\x8b"
"""How gzip begins."""


def decompressed(payload: Payload, limits: ReadLimits) -> Iterator[bytes]:
    """Yield the payload's bytes; gzip (of any number of members) is told by its first two bytes.

    Pieces of gzip have at most 256 kB, whatever is hidden in the object; pieces of plain bytes come as they are.

    Raises:
        BadInputError: damaged, truncated, or larger than allowed; what was yielded before stands.
        RetryableError: from the payload's own chunks.
    """
    total = 0
    for piece in _pieces(payload.chunks):
        total += len(piece)
        if total > limits.object_bytes:
            raise BadInputError(f"larger than {limits.object_bytes} bytes when decompressed")
        yield piece


def _pieces(chunks: Iterator[bytes]) -> Iterator[bytes]:
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= len(GZIP):
            break
    if head.startswith(GZIP):
        whole = itertools.chain([head], chunks)
        steps = (chunk[at : at + STEP_BYTES] for chunk in whole for at in range(0, len(chunk), STEP_BYTES))
        yield from _gathered(_members(next(steps), steps))
    else:
        yield head
        yield from chunks


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield pieces that are not tiny: whoever takes them apart joins each to what is held of a line or record."""
    held: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            if not held and len(piece) >= STEP_BYTES:
                yield piece
                continue
            held.append(piece)
            size += len(piece)
            if size >= STEP_BYTES:
                yield b"".join(held)
                held, size = [], 0
    except BadInputError:
        if held:  # what was read before stands
            yield b"".join(held)
        raise
    if held:
        yield b"".join(held)


def _members(data: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    while data:
        member = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP)
        while not member.eof:
            try:
                piece = member.decompress(data, PIECE_BYTES)
            except igzip_lib.IsalError as error:  # type: ignore[misc]  # the stubs declare an instance
                raise BadInputError(f"not readable as gzip: {error}") from error
            if piece:
                yield piece
            data = b""
            if member.needs_input and not member.eof:
                data = next(filter(None, chunks), b"")
                if not data:
                    raise BadInputError("the gzip stream is truncated")
        data = _next_member(member.unused_data, chunks)


def _next_member(data: bytes, chunks: Iterator[bytes]) -> bytes:
    """What follows a member; zeros that fill up a block are nothing, nor is the line end that Firehose may add."""
    data = data.lstrip(b"\0\n")
    while not data:
        following = next(chunks, None)
        if following is None:
            return b""
        data = following.lstrip(b"\0\n")
    return data
