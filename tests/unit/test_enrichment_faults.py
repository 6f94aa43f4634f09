"""Whatever becomes of enrichment, delivery is whole: each record arrives once, in order, with what is known."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from shipper.build.log_types import LOG_TYPES
from shipper.delivery import Patience
from shipper.enrich.background import Policy
from shipper.enrich.geo import Geo
from shipper.enrich.iam import IamPrincipals
from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.model import IamPrincipal, ReadLimits, Receipt, S3Object, S3Split
from shipper.ports import Lookups
from shipper.shipping import Lane, Route, Shipper
from tests.fakes.interfaces import ACCOUNT, NOW, PLACE, REGION, InterfaceBench, interface
from tests.fakes.pipeline import HastyStop, LinesReader, MemoryDeadLetters, MemorySink

THROTTLED = RetryableError("Throttling: Rate exceeded")
DENIED = RetryableError("AccessDenied: not authorized (needs iam:GetRole)", paused=True)


class Bench:
    """A shipper of both log types into one sink of each kind, with lookups that fail."""

    def __init__(self) -> None:
        self.metrics, self.stop = Metrics(), HastyStop()
        self.interfaces = InterfaceBench(metrics=self.metrics, stop=self.stop)
        self.letters = MemoryDeadLetters()

    def ship(self, logs: str, content: bytes, lookups: Lookups, *kinds: str) -> tuple[Receipt, list[dict[str, Any]]]:
        """Ship one object to both kinds of sink, or some; return its account and the documents of the first."""
        log_type = LOG_TYPES[logs]
        makers = {"ecs": lambda: log_type.ecs("default", lookups), "splunk": lambda: log_type.splunk("", "", lookups)}
        chosen = kinds or tuple(makers)
        sinks = [MemorySink(kind) for kind in chosen]
        schemas = [makers[kind]() for kind in chosen]
        lanes = tuple(Lane({logs: schema}, (sink,)) for schema, sink in zip(schemas, sinks, strict=True))
        shipper = Shipper(
            formats={logs: log_type.format(ReadLimits())},
            routes={"s": Route(LinesReader({"key.gz": gzip.compress(content, 1)}), lanes)},
            dead_letters=self.letters,
            metrics=self.metrics,
            stop=self.stop,
            patience=Patience(0.0),
        )
        split = S3Split("1", "s", "scope", logs, (S3Object("bucket", "key.gz", 10, "etag", 1000.0),))
        receipt = shipper.ship(split)
        assert {len(sink.stored) for sink in sinks} == {receipt.read}
        return receipt, [json.loads(body) for body in sinks[0].stored.values()]

    def whole(self, receipt: Receipt, records: int) -> None:
        """Each record was newly stored in both, and none is a dead letter."""
        assert (receipt.read, receipt.unaccounted) == (records, 0)
        assert {tally.delivered for tally in receipt.sinks.values()} == {records}
        assert self.letters.count() == 0

    def principals(self, fetch: Callable[[str], IamPrincipal | None]) -> IamPrincipals:
        return IamPrincipals(fetch, self.metrics, self.stop, Policy(most=10_000, requests_per_second=5_000.0))

    def lookups(self, outcome: str) -> float:
        value = self.metrics.registry.get_sample_value("shipper_iam_lookups_total", {"outcome": outcome})
        return value or 0.0


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.interfaces.ec2.gate.set()
    made.stop.request()


def trail(principals: int, first: int = 0) -> bytes:
    """An object with one record of each of many roles."""
    return json.dumps({"Records": [_record(number) for number in range(first, first + principals)]}).encode()


def _record(number: int) -> dict[str, Any]:
    role = {"type": "Role", "arn": f"arn:aws:iam::{ACCOUNT}:role/r{number}", "userName": f"r{number}"}
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/r{number}/s"
    who = {"type": "AssumedRole", "arn": arn, "accountId": ACCOUNT, "sessionContext": {"sessionIssuer": role}}
    fields = {"eventTime": "2026-01-05T12:00:01Z", "eventSource": "s3.amazonaws.com", "eventName": "ListBuckets"}
    fields |= {"awsRegion": REGION, "recipientAccountId": ACCOUNT, "eventID": f"id-{number}"}
    return fields | {"userIdentity": who, "sourceIPAddress": f"198.51.100.{number % 250}", "eventVersion": "1.11"}


def flow(lines: int) -> bytes:
    """A flow log between one machine and its neighbours."""
    names = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end"
    names += " action log-status"
    rest = f"443 6 1 40 {int(NOW)} {int(NOW) + 60} ACCEPT OK"
    made = [f"2 {ACCOUNT} eni-web 10.0.0.5 10.0.{n >> 8}.{n & 255} {1024 + n} {rest}" for n in range(lines)]
    return "\n".join((names, *made)).encode()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.parametrize(("error", "outcome"), [(THROTTLED, "failed"), (DENIED, "denied")])
def test_iam_that_throttles_or_refuses_costs_tags_alone(bench, error, outcome):
    """All records are delivered without tags, and each failure is counted."""

    def fetch(_: str) -> IamPrincipal | None:
        raise error

    principals = bench.principals(fetch)
    for _ in range(2):
        receipt, documents = bench.ship("cloudtrail", trail(300), Lookups(principals=principals))
        bench.whole(receipt, 300)
        assert not [document for document in documents if "iam" in document["aws"]]
        until(lambda: bench.lookups(outcome) >= 1)


def test_a_hundred_thousand_principals_through_a_cache_of_ten_thousand(bench):
    """Ten times what is remembered: every record arrives, memory and what waits keep their bounds."""
    principals = bench.principals(lambda arn: IamPrincipal("/", None, {"name": arn}))
    for first in range(0, 100_000, 10_000):
        receipt, documents = bench.ship("cloudtrail", trail(10_000, first), Lookups(principals=principals), "ecs")
        bench.whole(receipt, 10_000)
        for document in documents:
            found = document["aws"].get("iam")
            assert found is None or found["tags"]["name"] == found["arn"]
        assert principals.waiting() <= 10_000
    until(lambda: principals.waiting() == 0)
    remembered = bench.metrics.registry.get_sample_value("shipper_iam_principals")
    assert remembered == min(10_000, bench.lookups("found")) > 0


@pytest.mark.parametrize("kind", ["interfaces", "instances"])
@pytest.mark.parametrize("error", [THROTTLED, RetryableError("needs ec2:Describe*", paused=True), KeyError("odd")])
def test_ec2_that_refuses_costs_names_alone(bench, kind, error):
    """Denied, throttled or answering oddly: each line is delivered, before and after the failure is known."""
    ec2 = bench.interfaces.ec2
    ec2.of_places[PLACE] = [interface("eni-web", since=NOW - 900, instance="i-web")]
    ec2.failures[kind] = error
    found = bench.interfaces.interfaces()
    receipt, _ = bench.ship("vpcflow", flow(300), Lookups(interfaces=found))
    bench.whole(receipt, 300)
    bench.interfaces.listed(found)
    assert bench.interfaces.outcomes("denied" if getattr(error, "paused", False) else "failed") >= 1
    receipt, documents = bench.ship("vpcflow", flow(300), Lookups(interfaces=found))
    bench.whole(receipt, 300)
    instances = {document["cloud"].get("instance", {}).get("id") for document in documents}
    assert instances == ({None} if kind == "interfaces" else {"i-web"})


def test_a_database_that_breaks_costs_nothing(bench, tmp_path):
    """A corrupt file in place of a good one: what was known goes on, each record arrives."""
    path = tmp_path / "city.mmdb"
    _write(path)
    geo = Geo(path, None, look_seconds=0.0)
    for content in (None, b"no database", path.read_bytes()[:-50], b""):
        if content is not None:
            (tmp_path / "new").write_bytes(content)
            (tmp_path / "new").replace(path)
        for logs, data in (("cloudtrail", trail(50)), ("vpcflow", flow(50))):
            receipt, documents = bench.ship(logs, data, Lookups(geo=geo))
            bench.whole(receipt, 50)
            if logs == "cloudtrail":
                assert {document["source"]["geo"]["country_iso_code"] for document in documents} == {"SE"}


def _write(path: Path) -> None:
    writer = MMDBWriter(4, "Test-City", languages=["en"], description="test")
    writer.insert_network(IPSet(["198.51.100.0/24"]), {"country": {"iso_code": "SE"}})
    writer.to_db_file(str(path))
