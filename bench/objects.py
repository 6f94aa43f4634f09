"""Input for the benchmarks: objects as AWS writes them, below a folder."""

from __future__ import annotations

import gzip
import itertools
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.vpc_flow_mapping import lines as flow_lines
from shipper.demo.networks import write_geoip
from shipper.demo.organisation import records
from shipper.flow_layouts import V2

Maker = Callable[[Path], int]

_LAST = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
_DISTINCT = 20_000


def cloudtrail(objects: int, records_each: int) -> Maker:
    """Objects of so many records each, five minutes apart; no two records share an eventID."""

    def make(folder: Path) -> int:
        write_geoip(folder)
        chance = random.Random(7)
        pool = list(records(min(objects * records_each, _DISTINCT)))
        supply = itertools.cycle(pool)
        for number in range(objects):
            when = _LAST - timedelta(minutes=5 * (number % 200))
            chosen = [_renumbered(next(supply), chance) for _ in range(records_each)]
            name = f"111122223333_CloudTrail_eu-central-1_{when:%Y%m%dT%H%MZ}_{number:016d}.json.gz"
            path = folder / f"objects/AWSLogs/111122223333/CloudTrail/eu-central-1/{when:%Y/%m/%d}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress(b'{"Records":[' + b",".join(chosen) + b"]}", 6))
        return objects * records_each

    return make


def flow_logs(objects: int, lines_each: int) -> Maker:
    """Flow log objects of the default format with a header line, five minutes apart."""

    def make(folder: Path) -> int:
        write_geoip(folder)
        header = " ".join(V2).encode()
        for number in range(objects):
            when = _LAST - timedelta(minutes=5 * number)
            lines = flow_lines(V2, random.Random(number), lines_each)
            name = f"111122223333_vpcflowlogs_eu-central-1_fl-1_{when:%Y%m%dT%H%MZ}_{number:08x}.log.gz"
            path = folder / f"objects/AWSLogs/111122223333/vpcflowlogs/eu-central-1/{when:%Y/%m/%d}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress(b"\n".join([header, *lines]) + b"\n", 6))
        return objects * lines_each

    return make


def _renumbered(record: bytes, chance: random.Random) -> bytes:
    head, mark, rest = record.partition(b'"eventID":"')
    return head + mark + b"%08x" % chance.getrandbits(32) + rest[8:]
