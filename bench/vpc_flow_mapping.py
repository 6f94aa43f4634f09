"""How long one flow log line takes from bytes to an ECS document and a Splunk envelope, in microseconds of CPU.

python -m bench.vpc_flow_mapping
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from shipper.enrich.background import Policy
from shipper.enrich.interfaces import Choice, Interfaces
from shipper.flow_layouts import V2, V5, Layout
from shipper.metrics import Metrics
from shipper.model import Instance, NetworkInterface, Origin, Record
from shipper.ports import Encoder, Stop
from shipper.schemas.ecs.vpc_flow import VpcFlowEcs
from shipper.schemas.splunk.vpc_flow import VpcFlowSplunk

LINES = 10_000
_GEO = {
    "geo": {"country_iso_code": "SE", "country_name": "Sweden", "location": {"lat": 58.4, "lon": 15.6}},
    "as": {"number": 29518, "organization": {"name": "An Example Network"}},
}


def lines(layout: Layout, rng: random.Random, count: int = LINES) -> list[bytes]:
    """Believable traffic: a few hosts talk with a few hundred peers."""
    peers = [f"89.160.{rng.randrange(256)}.{rng.randrange(1, 255)}" for _ in range(300)]
    own = [f"10.0.{rng.randrange(4)}.{rng.randrange(1, 255)}" for _ in range(40)]
    fixed = {"version": "5", "account-id": "123456789010", "log-status": "OK", "protocol": "6", "type": "IPv4"}
    made = []
    for _ in range(count):
        start = 1_750_000_000 + rng.randrange(300)
        value = fixed | {
            "interface-id": f"eni-{rng.randrange(40):017x}",
            "srcaddr": rng.choice(peers),
            "dstaddr": rng.choice(own),
            "srcport": str(rng.randrange(1024, 65536)),
            "dstport": rng.choice(("22", "443", "443", "3389")),
            "packets": str(rng.randrange(1, 500)),
            "bytes": str(rng.randrange(40, 500_000)),
            "start": str(start),
            "end": str(start + rng.randrange(60)),
            "action": rng.choice(("ACCEPT", "REJECT")),
            "tcp-flags": rng.choice(("2", "3", "18", "19")),
            "vpc-id": "vpc-0123456789abcdef0",
            "subnet-id": "subnet-0123456789abcdef0",
            "instance-id": "i-0123456789abcdef0",
            "region": "us-east-1",
            "az-id": "use1-az5",
            "flow-direction": "ingress",
        }
        value |= {"pkt-srcaddr": value["srcaddr"], "pkt-dstaddr": value["dstaddr"]}
        made.append(" ".join(value.get(name, "-") for name in layout).encode())
    return made


def best_of(times: int, work: Callable[[], object]) -> float:
    """The shortest CPU time of some runs, in microseconds a line."""
    spent = []
    for _ in range(times):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return min(spent) / LINES * 1e6


def drain(encode: Encoder, records: Sequence[Record]) -> None:
    """Encode all and keep nothing, as a sink that takes documents away does."""
    for record in records:
        encode(record)


def geography(address: str) -> Mapping[str, Any] | None:
    """What a database would know: something of public addresses."""
    return None if address.startswith("10.") else _GEO


class Nobody:
    """An EC2 that lists nothing, in any place."""

    def __init__(self) -> None:
        self._there: dict[tuple[str, str], list[Any]] = {}

    def interfaces(self, account: str, region: str) -> Iterable[NetworkInterface]:
        """None."""
        return self._there.get((account, region), [])

    def instances(self, account: str, region: str) -> Iterable[Instance]:
        """None."""
        return self._there.get((account, region), [])


def inventory(rng: random.Random) -> Interfaces:
    """The machines behind the lines that the same random numbers make."""
    found = Interfaces(Nobody(), None, Metrics(), Stop(), Policy(), choice=Choice(tags=frozenset({"*"})))
    for index, address in enumerate(sorted(set(own_addresses(rng)))):
        made = {"networkInterfaceId": f"eni-{index:017x}", "vpcId": "vpc-0123456789abcdef0", "subnetId": "subnet-1"}
        made |= {"privateIpAddress": address}
        tags = {"items": [{"key": "Name", "value": f"web-{index}"}, {"key": "team", "value": "payments"}]}
        machine = {"instanceId": f"i-{index:017x}", "tagSet": tags, "networkInterfaceSet": {"items": [made]}}
        launched = {"instancesSet": {"items": [machine]}}
        found.learn("RunInstances", "123456789010", "us-east-1", ({}, launched), 1.0)
    return found


def own_addresses(rng: random.Random) -> list[str]:
    """Those that `lines` makes of the same random numbers."""
    return [line.split(b" ")[4].decode() for line in lines(V2, rng)]


def main() -> None:
    """Print one figure a layout."""
    gc.disable()
    known = inventory(random.Random(7))
    origin = Origin("s3://bucket/AWSLogs/1/vpcflowlogs/us-east-1/x.log.gz", "bucket", "AWSLogs/1/x.log.gz")
    for name, layout in (("version 2, 14 fields", V2), ("version 5, 29 fields", V5)):
        records = [Record(line, n, layout) for n, line in enumerate(lines(layout, random.Random(7)), 2)]
        for sink, schema in (
            ("ECS   ", VpcFlowEcs("default", geography)),
            ("ECS with machines   ", VpcFlowEcs("default", geography, interfaces=known)),
            ("Splunk", VpcFlowSplunk("flows", "host", geography)),
            ("Splunk with machines", VpcFlowSplunk("flows", "host", geography, interfaces=known)),
        ):
            encode = schema.encoder(origin)
            size = sum(len(document.body) for document in map(encode, records) if document) / LINES
            spent = best_of(5, partial(drain, encode, records))
            print(f"{sink} {name}: {spent:5.2f} us a line, {size:.0f} bytes a document")


if __name__ == "__main__":
    main()
