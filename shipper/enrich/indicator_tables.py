"""Compact tables of indicators: a million of them in some tens of megabytes, found in well under a microsecond.

Numbers stand sorted in arrays; an index by their first 16 bits leaves the search a few steps, and a bit tells of most
of what is not there that it need not be searched for.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from itertools import accumulate
from socket import AF_INET, AF_INET6, inet_pton

NONE = 0
"""The number of no detail; those of details begin with 1."""

_DETAIL_BITS = 26
MOST_DETAILS = 2**_DETAIL_BITS - 1
_DETAIL_MASK = MOST_DETAILS
_HASH_MASK = 2**64 - 1
_BUCKETS = 65_536
_IPV4_IN_IPV6 = b"\0\0\0\0\0\0\0\0\0\0\xff\xff"
_PAGES = 2**24
_BITS = 2**25
_BITS_MASK = (_BITS >> 3) - 1
_MOST_INTERNED = 65_536


class Details:
    """What is known of indicators, as bytes one behind another; equal ones that come near one another are kept once."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("Q", [0])
        self._numbers: dict[bytes, int] = {}

    def add(self, detail: bytes) -> int:
        """Keep one; return its number."""
        number = self._numbers.get(detail)
        if number is None:
            self._bytes += detail
            self._ends.append(len(self._bytes))
            number = len(self._ends) - 1
            if len(self._numbers) >= _MOST_INTERNED:
                self._numbers.clear()
            self._numbers[detail] = number
        return number

    def get(self, number: int) -> bytes:
        """One by its number."""
        return bytes(self._bytes[self._ends[number - 1] : self._ends[number]])

    def finish(self) -> None:
        """Nothing more will be added."""
        self._numbers = {}


class Networks:
    """Networks that may lie in one another; an address is found in the smallest. A single address is one, too.

    Args:
        bits: of an address, 32 or 64.
        packed: `packed_network` of each, in any order; of equal networks the least detail counts.
    """

    def __init__(self, bits: int, packed: Iterable[int]) -> None:
        self._shift = bits - 16
        self._starts = array("I" if bits == 32 else "Q")
        self._details = array("I")
        self._last = 2**bits - 1
        self._flatten(bits, sorted(packed))
        self._index = _index(self._starts, self._shift)

    def __len__(self) -> int:
        return len(self._starts)

    def finder(self) -> Callable[[int], int]:
        """Return what finds the detail of the smallest network that holds an address, or NONE."""
        starts, details, index, shift = self._starts, self._details, self._index, self._shift
        if not starts:
            return _nothing
        pages, page_shift = self._pages(), self._shift - 8

        def find(address: int) -> int:
            page = address >> page_shift
            if not pages[page >> 3] >> (page & 7) & 1:  # nearly always the end
                return NONE
            bucket = address >> shift
            place = bisect_right(starts, address, index[bucket], index[bucket + 1]) - 1
            return details[place] if place >= 0 else NONE

        return find

    def _pages(self) -> bytes:
        """A bit for each value of the first 24 bits, set where an address may be in a network."""
        pages = bytearray(_PAGES >> 3)
        shift = self._shift - 8
        for place, start in enumerate(self._starts):
            if self._details[place] == NONE:
                continue
            end = self._starts[place + 1] - 1 if place + 1 < len(self._starts) else self._last
            first, last = start >> shift, end >> shift
            if last - first > 16:
                inner = range((first >> 3) + 1, last >> 3)
                pages[inner.start : inner.stop] = b"\xff" * len(inner)
                edges = (*range(first, inner.start << 3), *range(max(inner.stop, inner.start) << 3, last + 1))
            else:
                edges = tuple(range(first, last + 1))
            for page in edges:
                pages[page >> 3] |= 1 << (page & 7)
        return bytes(pages)

    def _flatten(self, bits: int, ordered: list[int]) -> None:
        """Write where each stretch begins that belongs to one network, or to none."""
        around: list[tuple[int, int]] = []
        before = (-1, -1)
        for packed in ordered:
            first, length, detail = _unpacked(packed)
            if (first, length) == before:
                continue
            before = (first, length)
            while around and around[-1][0] < first:
                self._leave(around)
            self._begin(first, detail)
            around.append((first | ((1 << (bits - length)) - 1), detail))
        while around:
            self._leave(around)

    def _leave(self, around: list[tuple[int, int]]) -> None:
        last, _ = around.pop()
        if last < self._last:
            self._begin(last + 1, around[-1][1] if around else NONE)

    def _begin(self, start: int, detail: int) -> None:
        if self._starts and self._starts[-1] == start:
            self._details[-1] = detail
        elif not self._details or self._details[-1] != detail:
            self._starts.append(start)
            self._details.append(detail)


class Hashes:
    """Texts by 64-bit hashes of this process; two of a million texts share one once in ten million starts.

    Args:
        packed: `packed_hash` of each, in any order; of equal ones the least detail counts.
    """

    def __init__(self, packed: Iterable[int]) -> None:
        self._keys = array("Q")
        self._details = array("I")
        for each in sorted(packed):
            key = each >> _DETAIL_BITS
            if not self._keys or self._keys[-1] != key:
                self._keys.append(key)
                self._details.append(each & _DETAIL_MASK)
        self._index = _index(self._keys, 48)

    def __len__(self) -> int:
        return len(self._keys)

    def finder(self) -> Callable[[str | bytes], int]:
        """Return what finds the detail of a text, or NONE."""
        keys, details, index = self._keys, self._details, self._index
        if not keys:
            return _nothing
        bits = bytearray(_BITS >> 3)
        for key in keys:
            bits[key >> 3 & _BITS_MASK] |= 1 << (key & 7)
        known = bytes(bits)

        def find(text: str | bytes) -> int:
            key = hash(text)
            if not known[key >> 3 & _BITS_MASK] >> (key & 7) & 1:  # nearly always the end
                return NONE
            key &= _HASH_MASK
            bucket = key >> 48
            end = index[bucket + 1]
            place = bisect_left(keys, key, index[bucket], end)
            return details[place] if place < end and keys[place] == key else NONE

        return find


def packed_network(first: int, length: int, detail: int) -> int:
    """A network as one number that sorts by where it begins, larger ones before those in them.

    Args:
        length: of the prefix, in bits.
    """
    return (first << 7 | length) << _DETAIL_BITS | detail


def packed_hash(text: str | bytes, detail: int) -> int:
    """A text as one number for `Hashes`."""
    return (hash(text) & _HASH_MASK) << _DETAIL_BITS | detail


def packed_address(text: str) -> bytes | None:
    """An address as 4 or 16 bytes in network order, None where it is none; IPv4 inside IPv6 is IPv4."""
    try:
        if ":" not in text:
            return inet_pton(AF_INET, text)
        packed = inet_pton(AF_INET6, text)
    except (OSError, ValueError):  # ValueError: a NUL, or what UTF-8 cannot write
        return None
    return packed[12:] if packed.startswith(_IPV4_IN_IPV6) else packed


def _nothing(_: object) -> int:
    return NONE


def _unpacked(packed: int) -> tuple[int, int, int]:
    network = packed >> _DETAIL_BITS
    return network >> 7, network & 127, packed & _DETAIL_MASK


def _index(ordered: array[int], shift: int) -> array[int]:
    """Where the numbers of each first 16 bits begin, and where the last ones end."""
    counts = array("I", bytes(4 * (_BUCKETS + 1)))
    for number in ordered:
        counts[(number >> shift) + 1] += 1
    return array("I", accumulate(counts))
