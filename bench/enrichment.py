"""What each enrichment costs by itself, with warm caches: µs of CPU that it adds to a record.

python -m bench.enrichment [--rounds N]
"""

from __future__ import annotations

import argparse
import gc
import random
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from bench.cloudtrail_mapping import RECORDS, made, tagged
from bench.vpc_flow_mapping import inventory
from bench.vpc_flow_mapping import lines as flow_lines
from shipper.build.log_types import LOG_TYPES
from shipper.demo.networks import write_geoip
from shipper.enrich.accounts import AccountsFile
from shipper.enrich.aws_addresses import AwsAddresses
from shipper.enrich.background import Policy
from shipper.enrich.geo import Geo
from shipper.enrich.indicator_files import Kind, Source
from shipper.enrich.indicators import Indicators
from shipper.enrich.regions import region_names
from shipper.enrich.resources import ResourceTags
from shipper.enrich.sessions import Sessions
from shipper.enrich.tag_choice import TagChoice
from shipper.flow_layouts import V5
from shipper.formats.cloudtrail import CloudTrailFormat
from shipper.metrics import Metrics
from shipper.model import Origin, Payload, ReadLimits, Record, Resource, Session
from shipper.ports import Lookups, Redact, Schema, Stop
from shipper.redaction import Redactor

GOAL = 6.0
"""µs that all enrichment together may take of an ECS document."""

_ORIGIN = Origin("s3://example-trail/key", "example-trail", "key")

Part = Callable[[Path], Lookups]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="the fastest of so many counts")
    rounds = parser.parse_args().rounds
    # Addresses that the databases know.
    records = split(re.sub(rb'"89\.160\.(\d+)\.\d+"', _known_address, made(random.Random(1))))
    with tempfile.TemporaryDirectory(prefix="shipper-bench-") as name:
        parts = {part: make(Path(name)) for part, make in PARTS.items()}
        gc.disable()
        _table("µs a CloudTrail record", lambda schema: _costs("cloudtrail", schema, parts, records, rounds))
        print(f"the goal for all of it is {GOAL:.0f}")
        print()
        lines = [Record(line, n, V5) for n, line in enumerate(flow_lines(V5, random.Random(7)), 2)]
        parts = {part: parts[part] for part in _OF_FLOWS} | {"interfaces": _interfaces(Path(name))}
        _table("µs a flow log line", lambda schema: _costs("vpcflow", schema, parts, lines, rounds))


def _table(title: str, costs: Callable[[str], dict[str, float]]) -> None:
    tables = {schema: costs(schema) for schema in ("ecs", "splunk")}
    print(f"{title:26} {'ECS':>8} {'Splunk':>8}")
    for line in tables["ecs"]:
        print(f"{line:26} {tables['ecs'][line]:8.2f} {tables['splunk'][line]:8.2f}")


def _known_address(found: re.Match[bytes]) -> bytes:
    return b'"203.0.113.%d"' % (128 + int(found[1]) % 64)


def split(data: bytes) -> list[Record]:
    """An object's records."""
    found = CloudTrailFormat(ReadLimits()).records(Payload(_ORIGIN, iter([data])))
    return [record for record in found if isinstance(record, Record)]


def _costs(logs: str, schema: str, parts: dict[str, Lookups], records: list[Record], rounds: int) -> dict[str, float]:
    """The mapping alone, what each part adds, and what all of them add together."""
    redact: Redact = Redactor([], secrets=True, count=lambda *_: None)
    combined = {key: value for part in parts.values() for key in part.__slots__ if (value := getattr(part, key))}
    works: dict[str, Callable[[], None]] = {"nothing": _work(_schema(logs, schema, Lookups()), records)}
    works |= {name: _work(_schema(logs, schema, part), records) for name, part in parts.items()}
    if logs == "cloudtrail":  # lines have no names of secrets
        works["redaction of secrets"] = _work(_schema(logs, schema, Lookups()), records, redact)
    works["all"] = _work(_schema(logs, schema, Lookups(**combined)), records, redact)
    best = _fastest(works, rounds, len(records))
    plain = best.pop("nothing")
    return {"mapping without any": plain} | {name: cost - plain for name, cost in best.items()}


def _schema(logs: str, schema: str, lookups: Lookups) -> Schema:
    log_type = LOG_TYPES[logs]
    return log_type.ecs("default", lookups) if schema == "ecs" else log_type.splunk("aws", "", lookups)


def _work(schema: Schema, records: list[Record], redact: Redact | None = None) -> Callable[[], None]:
    encoder = schema.encoder(_ORIGIN)

    def work() -> None:
        for record in records:
            encoder(record if redact is None else redact(record))

    return work


def _fastest(works: dict[str, Callable[[], None]], rounds: int, count: int) -> dict[str, float]:
    """µs a record, the least of some rounds; in turns, so that a busy machine slows all of them alike."""
    best = dict.fromkeys(works, float("inf"))
    for number in range(rounds + 1):
        for name, work in works.items():
            started = time.process_time()
            work()
            if number:  # the first round warms the caches
                best[name] = min(best[name], (time.process_time() - started) * 1e6 / count)
        gc.collect()
    return best


def _geography(folder: Path) -> Lookups:
    city, _ = write_geoip(folder)
    return Lookups(geo=Geo(city, None))


def _both_databases(folder: Path) -> Lookups:
    return Lookups(geo=Geo(*write_geoip(folder)))


def _whose(folder: Path) -> Lookups:
    """The addresses of the input are AWS's."""
    path = folder / "ip-ranges.json"
    path.write_text('{"prefixes": [{"ip_prefix": "203.0.113.0/24", "region": "eu-west-1", "service": "EC2"}]}')
    return Lookups(addresses=AwsAddresses(path))


def _accounts(folder: Path) -> Lookups:
    """The input's accounts are in a file, with two tags each."""
    path = folder / "accounts.json"
    known = {"name": "shop-production", "organizational_unit": "Root/Workloads", "tags": {"team": "shop", "cost": "42"}}
    path.write_bytes(orjson.dumps(dict.fromkeys(("111122223333", "444455556666"), known)))
    return Lookups(accounts=AccountsFile(path, TagChoice()), regions=region_names())


def _tags(_: Path) -> Lookups:
    return Lookups(principals=tagged())


def _persons(_: Path) -> Lookups:
    """Every session of the input is known, and led to by a person."""
    memory = Sessions(None, Metrics(), Stop())
    for number in range(RECORDS // 100):
        caller = f"arn:aws:iam::111122223333:user/someone-{number}"
        session = Session(0.0, f"role-{number}", caller, "AKIAEXAMPLE", f"someone-{number}", None, "89.160.20.112")
        memory.learn(f"ASIAEXAMPLE{number:09d}", session)
    return Lookups(sessions=memory)


def _resources(_: Path) -> Lookups:
    """The bucket of the input's S3 records, a fifth of all, has two tags."""
    policy = Policy(requests_per_second=1000.0)
    known = ResourceTags(lambda _: {"team": "shop", "data-class": "internal"}, Metrics(), Stop(), policy, TagChoice())
    while known(Resource("bucket", "111122223333", "us-east-1", "example-bucket")) is None:
        time.sleep(0.01)
    return Lookups(resources=known)


def _interfaces(_: Path) -> Lookups:
    """CloudTrail's records only teach it: which of them change interfaces has to be told."""
    return Lookups(interfaces=inventory(random.Random(7)))


def _indicators(folder: Path) -> Lookups:
    """A hundred thousand addresses and a few user agents, none of which the input has."""
    addresses, agents = folder / "addresses.txt", folder / "agents.txt"
    addresses.write_text("".join(f"100.{n >> 16}.{n >> 8 & 255}.{n & 255}\n" for n in range(100_000)))
    agents.write_text("sqlmap*\nmasscan/1.3\n")
    kinds: tuple[tuple[Path, Kind], ...] = ((addresses, "address"), (agents, "user_agent"))
    return Lookups(indicators=Indicators([Source(path, "bench", kind) for path, kind in kinds]))


PARTS: dict[str, Part] = {
    "geography": _geography,
    "and network owner": _both_databases,
    "whose addresses are": _whose,
    "accounts and regions": _accounts,
    "tags of principals": _tags,
    "persons behind roles": _persons,
    "tags of buckets": _resources,
    "interfaces, to learn of": _interfaces,
    "indicators": _indicators,
}
"""What is measured by itself; later parts win where two set the same look-up."""

_OF_FLOWS = ("geography", "and network owner", "whose addresses are", "accounts and regions", "indicators")


if __name__ == "__main__":
    main()
