"""The text of an object, gzip or plain, within its limit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from isal import igzip_lib

from shipper.errors import BadInputError
from shipper.formats.recognise import as_text
from shipper.model import Payload, ReadLimits

PIECE_BYTES = 1 << 18

GZIP = b"\x1f\x8b"
"""How gzip begins."""


HEAD_BYTES = 4096
"""So much of the text's beginning is kept in `Payload.head`."""
_MOST_LAYERS = 2
"""gzip within gzip is read: Firehose makes it of what CloudWatch Logs compressed already. More is a mistake."""


def decompressed(payload: Payload, limits: ReadLimits) -> Iterator[bytes]:
    """Yield the payload's text as UTF-8; gzip (of any number of members, once or twice) is told by its first two bytes.

    Pieces of gzip have at most 256 kB, whatever is hidden in the object; pieces of plain bytes come as they are.

    Raises:
        BadInputError: damaged, truncated, larger than allowed, or another kind of file (`recognise`); what was yielded
            before stands.
        RetryableError: from the payload's own chunks.
    """
    pieces: Iterator[bytes] = iter(payload.chunks)
    for _ in range(_MOST_LAYERS):
        head, pieces = _beginning(pieces)
        if not head.startswith(GZIP):
            pieces = itertools.chain([head], pieces)
            break
        pieces = _bounded(_members(head, pieces), limits)
    else:
        head, pieces = _beginning(pieces)
        if head.startswith(GZIP):
            raise BadInputError("gzip within gzip within gzip: unpack it, and upload it compressed once")
        pieces = itertools.chain([head], pieces)
    for piece in _bounded(as_text(pieces), limits):
        if len(payload.head) < HEAD_BYTES:
            payload.head += piece[: HEAD_BYTES - len(payload.head)]
        yield piece


def _bounded(pieces: Iterator[bytes], limits: ReadLimits) -> Iterator[bytes]:
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > limits.object_bytes:
            raise BadInputError(f"larger than {limits.object_bytes} bytes when decompressed")
        yield piece


def _beginning(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= len(GZIP):
            break
    return head, chunks


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
                    raise BadInputError("the gzip stream is truncated: upload the object again, whole")
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
