"""Fuzzes the native module against Python, which says what a document is, for a given time on one core.

`python -m bench.native_fuzz --seconds 600 --seed 1 [FOLDER]` mutates CloudTrail records (those of FOLDER's JSON
files, and generated ones) and flow log lines. It prints each input that is written differently, or ends in a panic,
and exits with 1 if there was one. The same seed gives the same inputs.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Protocol

import orjson

from shipper import native
from shipper.demo.organisation import records
from shipper.errors import BadInputError
from shipper.flow_layouts import KNOWN_FIELDS
from shipper.model import Document, Origin, Record
from shipper.redaction.secrets import mask_all
from shipper.schemas.ecs.cloudtrail import CloudTrailEcs
from shipper.schemas.ecs.vpc_flow_compiler import compile_layout
from shipper.schemas.ecs.vpc_flow_layout import Caches
from shipper.schemas.ecs.vpc_flow_native import native_lines
from shipper.schemas.ecs.vpc_flow_values import Endpoints, Ports, Times

_ORIGIN = Origin("s3://trail/AWSLogs/1/CloudTrail/eu-west-1/2026/01/15/1_CloudTrail_x.json.gz", "trail", "AWSLogs/1/x")
_MOST_SHOWN = 20
_TOKENS = (
    *(
        b"",
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xf0\x9f\x92\xa9",
        b"\\u0000",
        b"\\ud800",
        b"\\ud83d\\udca9",
        b"\\/",
        b"\\",
    ),
    *(
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"null",
        b"true",
        b"-0",
        b"1e999",
        b"1E-5",
        b"0.1",
        b"18446744073709551616",
    ),
    *(b'"eventID":"x",', b'"password":"p"', b"\t", b"\r", b" ", b"[" * 70, b'{"a":' * 70, b"9" * 400, b"x" * 9000),
)
_LEAVES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        2**63,
        10**30,
        1.5,
        "",
        "-",
        "none",
        "\0",
        "\u2028",
        "é" * 300,
        "a@b.example",
        [],
        {},
        [{}],
    ),
    *(
        "arn:aws:iam::1:role/r",
        "arn:aws:iam::123456789012:user/a/b",
        "::ffff:1.2.3.4",
        "256.1.1.1",
        "0001-01-01T00:00:00Z",
    ),
    *(
        "9999-12-31T23:59:60Z",
        "2024-02-29T00:00:00Z",
        "2026-01-01T00:00:00.123456789Z",
        "x" * 40_000,
        "[]",
        '{"password": "x"}',
    ),
)
_LAYOUTS: tuple[Sequence[str], ...] = (
    (
        *("version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol"),
        *("packets", "bytes", "start", "end", "action", "log-status"),
    ),
    (
        *("srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end"),
        *sorted(KNOWN_FIELDS),
    ),
)
_ADDRESSES = (b"10.0.0.1", b"203.0.113.7", b"::1")
_WORDS = (
    *(b"-", b"", b"0", b"6", b"17", b"132", b"1", b"256", b"-1", b"+5", b"007", b"10.0.0.1", b"203.0.113.7", b"::1"),
    *(b"2001:db8::8", b"1.2.3", b"65535", b"65536", b"1772366765", b"99999999999", b"18446744073709551616", b"ACCEPT"),
    *(
        b"REJECT",
        b"OK",
        b"NODATA",
        b"SKIPDATA",
        b"eni-0123",
        b"ingress",
        b"egress",
        b"\xff",
        b'"',
        b"\\",
        b"\x1b",
        b"\0",
    ),
    *("é".encode(), "\uff11".encode(), b"1_0", b"1e3", b" ", b"x" * 5000),
)


def main() -> int:
    """Fuzz, and say what ran."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="JSON files of CloudTrail records")
    parser.add_argument("--seconds", type=float, default=60.0, help="CPU seconds")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    if native.CloudTrailEncoder is None:
        print("the native module is not installed")
        return 2
    rng = random.Random(chosen.seed)
    pool = [*(_from_folder(chosen.folder) if chosen.folder else ()), *(orjson.loads(raw) for raw in records(400))]
    kinds: tuple[_Kind, ...] = (_CloudTrail(pool), _Secrets(pool), *(_Flow(layout) for layout in _LAYOUTS))
    counts: Counter[str] = Counter()
    shown = 0
    while time.process_time() < chosen.seconds:
        for kind in kinds:
            for _ in range(200):
                raw = kind.input(rng)
                counts[kind.name] += 1
                if (differs := _differs(kind.check, raw)) is not None:
                    counts["different"] += 1
                    shown += 1
                    if shown <= _MOST_SHOWN:
                        print(f"{kind.name}: {differs}: {raw!r}", flush=True)
                counts[f"{kind.name}, compared"] += kind.native
    print(f"seed {chosen.seed}, {len(pool)} records, {time.process_time():.0f} CPU seconds: {dict(counts)}")
    return 1 if counts["different"] else 0


def _differs(check: Callable[[bytes], str | None], raw: bytes) -> str | None:
    try:
        return check(raw)
    except BaseException as error:  # a panic of Rust is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
            raise
        return f"{type(error).__name__}: {error}"


def _from_folder(folder: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(folder.rglob("*.json")):
        text = file.read_text()
        try:
            loaded = json.loads(text)
        except ValueError:
            loaded = [json.loads(line) for line in text.splitlines() if line.strip()]
        some = loaded.get("Records", [loaded]) if isinstance(loaded, dict) else loaded
        yield from (record for record in some if isinstance(record, dict))


def _geography(address: str) -> dict[str, Any] | None:
    return {"geo": {"country_iso_code": "SE"}} if address.startswith("2") else None


def _mutated(raw: bytes, rng: random.Random) -> bytes:
    """Replace, insert, delete or double some bytes."""
    data = bytearray(raw)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0 if at < len(data):
                data[at] = rng.randrange(256)
            case 1 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                data[at:at] = rng.choice(_TOKENS)
            case 3:
                del data[at : at + rng.choice((1, 1, 2, 8, 40))]
            case _:
                data[at:at] = data[at : at + rng.choice((1, 8, 60))]
    return bytes(data)


class _Kind(Protocol):
    """One kind of input. After a check, `native` is 1 where there was something to compare."""

    name: str
    native: int

    def input(self, rng: random.Random) -> bytes: ...
    def check(self, raw: bytes) -> str | None: ...


class _CloudTrail:
    name = "CloudTrail"

    def __init__(self, pool: list[dict[str, Any]]) -> None:
        self._pool = pool
        self._python = CloudTrailEcs("default", _geography, native=False)
        self._native = CloudTrailEcs("default", _geography)
        self._fields = sorted({name for record in pool for name in record})
        self.native = 0

    def input(self, rng: random.Random) -> bytes:
        record = rng.choice(self._pool)
        if rng.random() < 0.4:
            return _mutated(json.dumps(record, ensure_ascii=False).encode(), rng)
        changed = deepcopy(record)
        for _ in range(rng.randrange(1, 4)):
            self._change(changed, rng)
        ascii_only = rng.random() < 0.5
        raw = json.dumps(changed, ensure_ascii=ascii_only, separators=(",", rng.choice((":", ": ")))).encode()
        return _mutated(raw, rng) if rng.random() < 0.2 else raw

    def _change(self, record: dict[str, Any], rng: random.Random) -> None:
        """Put another value in at any depth: one of another record, or one that is seldom there."""
        place: Any = record
        while isinstance(place, dict) and place and rng.random() < 0.7:
            inner = rng.choice(list(place.values()))
            if not isinstance(inner, dict) or not inner:
                break
            place = inner
        other = rng.choice(self._pool)
        name = rng.choice(list(place) if place and rng.random() < 0.6 else self._fields)
        if rng.random() < 0.1:
            place.pop(name, None)
        else:
            place[name] = rng.choice(list(other.values())) if rng.random() < 0.5 else rng.choice(_LEAVES)

    def check(self, raw: bytes) -> str | None:
        expected, found = self._document(self._python, raw), self._document(self._native, raw)
        if expected is None or found is None:
            return None if expected is found else "a document one way alone"
        self.native = 1
        if (found.id, found.index, found.time_ms) != (expected.id, expected.index, expected.time_ms):
            return "another id, index or time"
        return None if orjson.loads(found.body) == orjson.loads(expected.body) else "another document"

    def _document(self, schema: CloudTrailEcs, raw: bytes) -> Document | None:
        self.native = 0
        try:
            return schema.encoder(_ORIGIN)(Record(raw, 0))
        except BadInputError:
            return None


class _Secrets(_CloudTrail):
    """Tells whether a record may hold a secret: it may be wrong in saying yes alone."""

    name = "secret names"

    def check(self, raw: bytes) -> str | None:
        assert native.SecretNames is not None
        said = native.SecretNames().may_be_in(raw)
        self.native = int(not said)
        return "a secret is overlooked" if not said and mask_all(raw)[1] else None


class _Flow:
    def __init__(self, layout: Sequence[str]) -> None:
        self.name = f"flow lines of {len(layout)} fields"
        self._layout = layout
        caches = Caches(Endpoints(_geography, None), Times(), Ports())
        compiled, natively = compile_layout(layout, "1", "r", caches), native_lines(layout, "1", "r", caches)
        assert compiled is not None
        assert natively is not None
        self._compiled, self._native = compiled, natively
        self.native = 0

    def input(self, rng: random.Random) -> bytes:
        usual: dict[str, tuple[bytes, ...]] = {
            **dict.fromkeys(
                ("srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr"), (b"10.0.0.1", b"203.0.113.7", b"::1")
            ),
            **dict.fromkeys(("srcport", "dstport", "bytes", "packets", "tcp-flags"), (b"8", b"22", b"129")),
            **dict.fromkeys(("start", "end"), (b"1772366765", b"1772366710")),
            "protocol": (b"6", b"17"),
            "action": (b"ACCEPT", b"REJECT"),
        }
        odd = rng.choice((0.0, 0.05, 0.3))
        values = [
            rng.choice(_WORDS) if rng.random() < odd else rng.choice(usual.get(name, (b"-", b"a")))
            for name in self._layout
        ]
        line = b" ".join(values)
        return _mutated(line, rng) if rng.random() < 0.3 else line

    def check(self, raw: bytes) -> str | None:
        self.native = 0
        found = self._native(raw, b"", b"")
        if found is None:
            return None  # left to Python
        self.native = 1
        expected = self._compiled(raw, "", "")
        return None if expected is not None and found == (expected[0], expected[1].encode()) else "another document"


if __name__ == "__main__":
    sys.exit(main())
