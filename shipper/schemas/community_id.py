"""Community ID version 1: the same text for both directions of a flow, in every tool that knows it.

Source: https://github.com/corelight/community-id-spec. Where the specification leaves room (protocols without ports,
ICMP, addresses of two families) the values equal those of Elasticsearch's `community_id` processor.
"""

from __future__ import annotations

import binascii
import hashlib
import socket


def _both_ways(*pairs: tuple[int, int]) -> dict[int, int]:
    return {first: second for pair in pairs for first, second in (pair, pair[::-1])}


_ICMP_PAIRS = {
    1: _both_ways((8, 0), (13, 14), (15, 16), (10, 9), (17, 18)),
    58: _both_ways((128, 129), (133, 134), (135, 136), (130, 131), (139, 140), (144, 145)),
}
"""Types that ask and answer each other, by protocol: they take the place of ports."""

_WITH_PORTS = frozenset((6, 17, 132))
_HEADS = tuple(bytes((protocol, 0)) for protocol in range(256))


def packed_address(address: str) -> bytes | None:
    """The address as 4 or 16 bytes in network order; None where it is none."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except (OSError, ValueError):
        return None


def community_id(protocol: int, source: bytes, destination: bytes, source_port: int, destination_port: int) -> str:
    """Return the id, such as `1:cttDCHp3UNR8SFNTOgVYpAceHf4=`.

    Args:
        protocol: IANA number, 0 to 255.
        source, destination: packed addresses.
        source_port, destination_port: 0 to 65535; ICMP's type and code; any number for protocols without ports.
    """
    one_way = False
    if protocol in _ICMP_PAIRS:
        answer = _ICMP_PAIRS[protocol].get(source_port)
        one_way = answer is None
        destination_port = destination_port if answer is None else answer
    elif protocol not in _WITH_PORTS:
        source_port = destination_port = -1
    if not one_way and _follows(source, source_port, destination, destination_port):
        source, destination, source_port, destination_port = destination, source, destination_port, source_port
    data = b"\0\0" + source + destination + _HEADS[protocol]
    if source_port >= 0:
        data += source_port.to_bytes(2, "big") + destination_port.to_bytes(2, "big")
    digest = hashlib.sha1(data, usedforsecurity=False).digest()
    return "1:" + binascii.b2a_base64(digest, newline=False).decode("ascii")


def _follows(source: bytes, source_port: int, destination: bytes, destination_port: int) -> bool:
    if len(source) == len(destination):
        return (source, source_port) > (destination, destination_port)
    return (int.from_bytes(source, "big"), source_port) > (int.from_bytes(destination, "big"), destination_port)
