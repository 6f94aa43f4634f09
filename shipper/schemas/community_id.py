"""Community ID version 1: the same text for both directions of a flow, in every tool that knows it.

Source: https://github.com/corelight/community-id-spec. Where the specification leaves room (protocols without ports,
ICMP, addresses of two families) the values equal those of Elasticsearch's `community_id` processor.
"""

from __future__ import annotations

import socket
from binascii import b2a_base64
from hashlib import sha1


def _both_ways(*pairs: tuple[int, int]) -> dict[bytes, bytes]:
    return {packed_port(first): packed_port(second) for pair in pairs for first, second in (pair, pair[::-1])}


def packed_port(port: int) -> bytes:
    """A port, or an ICMP type or code, in network order."""
    return port.to_bytes(2, "big")


def packed_address(address: str) -> bytes | None:
    """The address as 4 or 16 bytes in network order; None where it is none."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except (OSError, ValueError):
        return None


_ICMP_PAIRS = {
    1: _both_ways((8, 0), (13, 14), (15, 16), (10, 9), (17, 18)),
    58: _both_ways((128, 129), (133, 134), (135, 136), (130, 131), (139, 140), (144, 145)),
}
"""Types that ask and answer each other, by protocol: they take the place of ports."""

_SEED = b"\0\0"
_WITH_PORTS = frozenset((6, 17, 132))
_HEADS = tuple(bytes((protocol, 0)) for protocol in range(256))


def community_id(protocol: int, source: bytes, destination: bytes, source_port: bytes, destination_port: bytes) -> str:
    """Return the id, such as `1:cttDCHp3UNR8SFNTOgVYpAceHf4=`.

    Args:
        protocol: IANA number, 0 to 255.
        source, destination: packed addresses.
        source_port, destination_port: packed; ICMP's type and code; anything for protocols without ports.
    """
    parts: tuple[bytes, ...]
    if protocol in _WITH_PORTS and len(source) == len(destination):  # nearly all flows
        if source + source_port > destination + destination_port:
            parts = (_SEED, destination, source, _HEADS[protocol], destination_port, source_port)
        else:
            parts = (_SEED, source, destination, _HEADS[protocol], source_port, destination_port)
    else:
        parts = _ordered(protocol, source, destination, source_port, destination_port)
    digest = sha1(b"".join(parts), usedforsecurity=False).digest()
    return f"1:{b2a_base64(digest, newline=False).decode()}"


def _ordered(
    protocol: int, source: bytes, destination: bytes, source_port: bytes, destination_port: bytes
) -> tuple[bytes, ...]:
    one_way = False
    if protocol in _ICMP_PAIRS:
        answer = _ICMP_PAIRS[protocol].get(source_port)
        one_way = answer is None
        destination_port = answer or destination_port
    elif protocol not in _WITH_PORTS:
        source_port = destination_port = b""
    if not one_way and _follows(source, source_port, destination, destination_port):
        source, destination, source_port, destination_port = destination, source, destination_port, source_port
    return _SEED, source, destination, _HEADS[protocol], source_port, destination_port


def _follows(source: bytes, source_port: bytes, destination: bytes, destination_port: bytes) -> bool:
    # The address as a number comes first, as Elasticsearch compares those of two families; then the port.
    numbers = int.from_bytes(source, "big"), int.from_bytes(destination, "big")
    return (numbers[0], source_port) > (numbers[1], destination_port)
