"""The order of entries in a Java `HashMap`, which Elastic's integration shows to rules by writing maps with `toString`.

A map is a table of buckets; an entry's bucket depends on its key's hash and on the table's size, which grows with the
number of entries. Iteration goes through the buckets, and in each through its entries as they were inserted, unless so
many keys share a bucket that it becomes a tree (`java_trees`).
Source: https://github.com/openjdk/jdk/blob/master/src/java.base/share/classes/java/util/HashMap.java
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from shipper.schemas.ecs.java_trees import Bucket

_FIRST_SIZE = 16
# With so many keys in one bucket Java enlarges a small table, and makes a tree of the bucket of a large one.
_CROWDED = 9
_LONGEST_CACHED = 64
_SMALLEST_WITH_TREES = 64
_CACHED_KEYS = 32_768
_CACHED_MAPS = 8_192
_CACHED_MAP_KEYS = 24


def in_order(keys: Collection[str]) -> Collection[str]:
    """Return a map's keys in the order of a `HashMap` into which they were put one after the other."""
    count = len(keys)
    if count < 2:
        return keys
    if count <= _CACHED_MAP_KEYS and max(map(len, keys)) <= _LONGEST_CACHED:
        return _cached(tuple(keys))
    return _ordered(tuple(keys))


def _ordered(keys: tuple[str, ...]) -> tuple[str, ...]:
    hashes = [_short_hash(key) if len(key) <= _LONGEST_CACHED else spread_hash(key) for key in keys]
    if len(keys) >= _CROWDED and _is_crowded(hashes):
        return _built(keys, hashes)
    mask = _table_size(len(keys)) - 1
    return tuple(key for _, key in sorted(zip((each & mask for each in hashes), keys, strict=True), key=_bucket))


_cached = lru_cache(_CACHED_MAPS)(_ordered)


def _bucket(entry: tuple[int, str]) -> int:
    return entry[0]


def spread_hash(key: str) -> int:
    """Return `String.hashCode` of a key, over its UTF-16 code units, with its upper half mixed into the lower one."""
    units = key.encode("utf-16-le", "surrogatepass") if not key.isascii() else b""
    code = 0
    for unit in memoryview(units).cast("H") if units else key.encode():
        code = (code * 31 + unit) & 0xFFFFFFFF
    return code ^ code >> 16


_short_hash = lru_cache(_CACHED_KEYS)(spread_hash)


def _table_size(count: int) -> int:
    size = _FIRST_SIZE
    while count * 4 > size * 3:
        size *= 2
    return size


def _is_crowded(hashes: list[int]) -> bool:
    """Whether any bucket may ever have been crowded: keys that shared one share it in the smallest table too."""
    counts = [0] * _FIRST_SIZE
    for each in hashes:
        counts[each & (_FIRST_SIZE - 1)] += 1
    return max(counts) >= _CROWDED


def _built(keys: tuple[str, ...], hashes: list[int]) -> tuple[str, ...]:
    """Put keys into a table one after the other, as Java does."""
    size = _FIRST_SIZE
    table: dict[int, Bucket] = {}
    for count, (each, key) in enumerate(zip(hashes, keys, strict=True), 1):
        place = each & (size - 1)
        bucket = table.get(place)
        if bucket is None:
            bucket = table[place] = Bucket()
        crowded = bucket.add(each, key) >= _CROWDED
        if crowded and size < _SMALLEST_WITH_TREES:
            size, table = size * 2, _split(table, size)
        elif crowded:
            bucket.make_tree()
        if count * 4 > size * 3:
            size, table = size * 2, _split(table, size)
    return tuple(key for place in sorted(table) for key in table[place].in_order())


def _split(table: dict[int, Bucket], size: int) -> dict[int, Bucket]:
    """Double a table: a bucket's entries stay in it, or go as many buckets on as the table had."""
    parts = [
        (new_place, part)
        for place, bucket in table.items()
        for new_place, part in zip((place, place + size), bucket.split(size), strict=True)
    ]
    return {place: part for place, part in parts if part is not None}
