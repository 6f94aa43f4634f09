"""Community ids against published values and the properties that the specification asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.schemas.community_id import community_id, packed_address, packed_port

ADDRESSES = st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))
NET = "3ffe:507:0:1:"
PORTS = st.integers(0, 65535).map(packed_port)


def of(protocol: int, source: str, destination: str, source_port: int = 0, destination_port: int = 0) -> str:
    ends = packed_address(source), packed_address(destination)
    assert ends[0] is not None
    assert ends[1] is not None
    return community_id(protocol, ends[0], ends[1], packed_port(source_port), packed_port(destination_port))


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        ((6, "128.232.110.120", "66.35.250.204", 34855, 80), "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
        ((6, "66.35.250.204", "128.232.110.120", 80, 34855), "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
        ((17, "192.168.1.52", "8.8.8.8", 54585, 53), "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
        ((132, "192.168.170.8", "192.168.170.56", 7, 80), "1:jQgCxbku+pNGw8WPbEc/TS/uTpQ="),
        ((1, "192.168.0.89", "192.168.0.1", 8, 0), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
        ((1, "192.168.0.1", "192.168.0.89", 0, 0), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
        ((1, "192.168.0.89", "192.168.0.1", 20, 0), "1:3o2RFccXzUgjl7zDpqmY7yJi8rI="),
        ((58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 135, 0), "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="),
        (
            (58, "3ffe:507:0:1:260:97ff:fe07:69ea", "3ffe:507:0:1:200:86ff:fe05:80da", 3, 0),
            "1:NdobDX8PQNJbAyfkWxhtL2Pqp5w=",
        ),
        ((46, "10.1.24.4", "10.1.12.1"), "1:/nQI4Rh/TtY3mf0R2gJFBkVlgS4="),
    ],
)
def test_published_values(flow, expected):
    """The values that the specification's own baseline lists."""
    assert of(*flow) == expected


@given(st.sampled_from([6, 17, 132, 47, 50]), ADDRESSES, ADDRESSES, PORTS, PORTS)
def test_both_directions_have_one_id(protocol, source, destination, source_port, destination_port):
    """A flow and its answer are the same conversation, whatever the addresses' families."""
    there = community_id(protocol, source, destination, source_port, destination_port)
    back = community_id(protocol, destination, source, destination_port, source_port)
    assert there == back


@pytest.mark.parametrize(
    "text", ["", "-", "1.2.3", "1.2.3.4.5", "01.2.3.4", "::g", "1.2.3.4 ", "\0", "\u0661.1.1.1", "fe80::1%eth0"]
)
def test_what_is_no_address(text):
    """Text that is no address has no packed form and raises nothing."""
    assert packed_address(text) is None
