"""The decompressed bytes of an object, gzip or plain, within its limit."""

from __future__ import annotations

from collections.abc import Iterator

from isal import igzip_lib, isal_zlib

from shipper.errors import BadInputError
from shipper.model import Payload, ReadLimits

_PIECE = 1 << 18


def decompressed(payload: Payload, limits: ReadLimits) -> Iterator[bytes]:
    """Yield the payload's bytes in pieces of at most 256 kB; gzip is told by its first two bytes.

    Raises:
        BadInputError: damaged, truncated, or larger than allowed; what was yielded before stands.
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
        if len(head) >= 2:
            break
    if not head.startswith(b"\x1f\x8b"):
        yield head
        yield from chunks
        return
    member = isal_zlib.decompressobj(31)
    pending = head
    while True:
        while pending:
            try:
                piece = member.decompress(pending, _PIECE)
            except igzip_lib.IsalError as error:  # type: ignore[misc]  # the stubs declare an instance
                raise BadInputError(f"not readable as gzip: {error}") from error
            if piece:
                yield piece
            if member.eof:
                pending = member.unused_data.lstrip(b"\0")
                if pending:
                    member = isal_zlib.decompressobj(31)
            else:
                pending = member.unconsumed_tail
                if not pending and not piece:
                    break
        following = next(chunks, None)
        if following is None:
            break
        if member.eof:
            following = following.lstrip(b"\0")
            if not following:
                continue
            member = isal_zlib.decompressobj(31)
        pending = following
    if not member.eof:
        raise BadInputError("the gzip stream is truncated")
