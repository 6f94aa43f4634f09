"""What the bytes of an object are, told by how they begin: archives, other encodings, other tables than logs."""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Iterator

from shipper.errors import BadInputError

HEAD_BYTES = 512
"""So much of the beginning is looked at: a tar archive's mark stands at 257."""

_BOM = codecs.BOM_UTF8
_UNPACK = "unpack it and upload what is in it, plain or as gzip"
_AS_TEXT = "shipper reads AWS's own text and JSON objects; leave it out of the prefix, or export the logs as text"
_MARKS: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a zip archive", _UNPACK),
    (b"PK\x05\x06", "an empty zip archive", "nothing can be shipped from it"),
    (b"\xfd7zXZ\x00", "an xz file", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd file", _UNPACK),
    (b"\x04\x22\x4d\x18", "a lz4 file", _UNPACK),
    (b"\xff\x06\x00\x00sNaPpY", "a snappy file", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"PAR1", "a Parquet file", "only flow logs are read from Parquet: set `logs: vpcflow` if it holds them"),
    (b"ORC\x01", "an ORC file", _AS_TEXT),
    (b"ORC\x08", "an ORC file", _AS_TEXT),
    (b"Obj\x01", "an Avro file", _AS_TEXT),
    (b"SQLite format 3\x00", "an SQLite database", _AS_TEXT),
    (b"%PDF-", "a PDF document", _AS_TEXT),
    (b"\x89PNG\r\n\x1a\n", "a PNG image", _AS_TEXT),
    (b"\x7fELF", "a program", _AS_TEXT),
)
_BZIP2, _BZIP2_BLOCKS = b"BZh", (b"1AY&SY", b"\x17rE8P\x90")
_TAR, _TAR_AT = b"ustar", 257
_WIDE_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16's, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Which of four bytes are zero where text is ASCII in the main, as all of AWS's logs are.
_WIDE_FORMS = (
    ((False, True, True, True), "utf-32-le"),
    ((True, True, True, False), "utf-32-be"),
    ((False, True, False, True), "utf-16-le"),
    ((True, False, True, False), "utf-16-be"),
)
_PROBED = 16
_STEP_BYTES = 1 << 17


def refuse_binary(head: bytes) -> None:
    """Refuse what is no text, by the marks that such files begin with.

    Args:
        head: the first `HEAD_BYTES` bytes, or all of a smaller object.

    Raises:
        BadInputError: with what it is and what to do.
    """
    for mark, name, advice in _MARKS:
        if head.startswith(mark):
            raise BadInputError(f"this is {name}: {advice}")
    if head.startswith(_BZIP2) and head[4:10] in _BZIP2_BLOCKS:
        raise BadInputError(f"this is a bzip2 file: {_UNPACK}")
    if head[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR:
        raise BadInputError(f"this is a tar archive: {_UNPACK}")


def as_text(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield an object's bytes as UTF-8 without a byte order mark, from UTF-8, UTF-16 or UTF-32.

    Pieces of UTF-8, which nearly all are, come as they are.

    Raises:
        BadInputError: it is no text, but a kind of file that its beginning tells; or from the pieces.
    """
    head, failure = b"", None
    try:
        for piece in pieces:
            head = head + piece if head else piece
            if len(head) >= HEAD_BYTES:
                break
    except BadInputError as error:  # what came before it stands
        failure = error
    if encoding := _wide_encoding(head):
        yield from _decoded(itertools.chain([head], pieces), encoding)
    else:
        while head.startswith(_BOM):
            head = head[len(_BOM) :]
        refuse_binary(head)
        if head:
            yield head
        yield from pieces
    if failure is not None:
        raise failure


def _wide_encoding(head: bytes) -> str | None:
    """Return the encoding of text whose characters are 2 or 4 bytes wide; None for any other."""
    for bom, encoding in _WIDE_BOMS:
        if head.startswith(bom):
            return encoding
    probed = head[:_PROBED]
    zeros = tuple(byte == 0 for byte in probed)
    if len(probed) < _PROBED:
        return None
    return next((encoding for form, encoding in _WIDE_FORMS if zeros == form * (_PROBED // len(form))), None)


def _decoded(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    first = True
    for piece in _in_steps(pieces):
        text = decoder.decode(piece)
        if first:
            text = text.lstrip("\ufeff")
            first = not text
        if text:
            yield text.encode("utf-8", "replace")
    if text := decoder.decode(b"", final=True):
        yield text.encode("utf-8", "replace")


def _in_steps(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield pieces of bounded size: decoded text takes several times the bytes."""
    for piece in pieces:
        yield from (piece[at : at + _STEP_BYTES] for at in range(0, len(piece), _STEP_BYTES))
