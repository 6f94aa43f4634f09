"""Groups listed objects into splits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

from shipper.model import S3Object, S3Split

_MOST_OBJECTS = 64
_MOST_BYTES = 4_194_304


def split_of(objects: Sequence[S3Object], *, source: str, scope: str, logs: str) -> S3Split:
    """Return the split of some objects; its id depends on the objects alone."""
    digest = hashlib.blake2b(digest_size=15)
    for item in objects:
        digest.update(f"{item.bucket}\0{item.key}\0{item.etag}\0".encode("utf-8", "surrogatepass"))
    return S3Split(digest.hexdigest(), source, scope, logs, tuple(objects))


def group(objects: Iterable[S3Object]) -> Iterator[list[S3Object]]:
    """Yield groups of objects, in order: at most 64 and at most 4 MB as stored, or a larger one alone."""
    gathered: list[S3Object] = []
    size = 0
    for item in objects:
        if gathered and (len(gathered) == _MOST_OBJECTS or size + item.size > _MOST_BYTES):
            yield gathered
            gathered, size = [], 0
        gathered.append(item)
        size += item.size
    if gathered:
        yield gathered
