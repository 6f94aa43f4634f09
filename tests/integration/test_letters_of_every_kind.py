"""Dead letters of every kind of object: listed, explained, written out, read again when the object is whole."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from shipper import cli
from tests.fakes.cloudwatch_logs import Event
from tests.fakes.elasticsearch import FakeElasticsearch
from tests.integration.test_subscription_s3 import envelope
from tests.unit.test_access_logs import CLASSIC, NETWORK, REFUSED
from tests.unit.test_waf import BLOCKED

DATA = Path(__file__).parents[1] / "data" / "vpc_flow"
DAY = "2026/01/15"
FLOW_KEY = (
    f"AWSLogs/111122223333/vpcflowlogs/us-east-1/{DAY}/111122223333_vpcflowlogs_us-east-1_fl-1_20260115T1000Z_a.log"
)
WAF_KEY = f"AWSLogs/111122223333/WAFLogs/cloudfront/acl/{DAY}/10/00/1_waflogs_cloudfront_acl_20260115T1000Z_a.log.gz"
FLOWS = len((DATA / "default.log").read_text().splitlines()) - 1
EVENTS = [Event(f"{n:056d}", "s", 1_768_471_200_000 + n, 0, 0, f"line {n}") for n in range(3)]


def lines(*each: str) -> bytes:
    return gzip.compress("".join(f"{line}\n" for line in each).encode())


KINDS = {
    "elb": ("elb", f"AWSLogs/1/elasticloadbalancing/eu-west-1/{DAY}/x.log.gz", lines(NETWORK, CLASSIC), 2),
    "s3access": ("s3access", "access/2026-01-15-10-00-00-0123456789ABCDEF", lines(REFUSED), 1),
    "waf": ("waf", WAF_KEY, lines(json.dumps(BLOCKED)), 1),
    "envelope": ("subscription", "fire/2026/01/15/10/a-2026-01-15-10-00-00-b", envelope("/aws/lambda/a", EVENTS), 3),
    "parquet": ("vpcflow", f"{FLOW_KEY}.parquet", (DATA / "default.parquet").read_bytes(), FLOWS),
    "flow": ("vpcflow", f"{FLOW_KEY}.gz", lines("version", "2"), 1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_that_is_mended_is_shipped_and_settled(tmp_path, moto, kind, capfd):
    """By each command, with filters, and not before it is whole."""
    logs, key, whole, count = KINDS[kind]
    s3 = moto.client("s3")
    s3.create_bucket(Bucket="logs-of-all")
    s3.put_object(Bucket="logs-of-all", Key=key, Body=whole[: len(whole) // 2])
    config = tmp_path / "shipper.yaml"
    with FakeElasticsearch() as server:
        settings = {
            "state": {"path": str(tmp_path / "state")},
            "listen": "off",
            "aws": {"region": "us-east-1", "endpoint_url": moto.url},
            "sources": {"all": {"type": "s3", "bucket": "logs-of-all", "logs": logs, "start": "beginning"}},
            "sinks": {"siem": {"type": "elasticsearch", "hosts": [server.url]}},
            "log": {"level": "error"},
        }
        config.write_text(json.dumps(settings))
        config.chmod(0o600)

        def letters(*arguments: str) -> tuple[int, str]:
            capfd.readouterr()
            code = cli.run(["deadletters", *arguments, "-c", str(config)])
            return code, capfd.readouterr().out

        assert cli.run(["run", "--once", "-c", str(config)]) == 0
        chosen = ("--reason", "unreadable_object", "--uri", f"s3://logs-of-all/{key[:6]}", "--source", "all")
        code, said = letters("list", "--json", *chosen)
        (letter,) = map(json.loads, said.splitlines())
        assert (code, letter["key"], letter["position"]) == (0, key, None)
        assert "the whole object is meant" in letters("show", str(letter["id"]))[1]
        assert "replay --reread" in letters("explain", str(letter["id"]))[1]
        assert letters("export", *chosen)[1] == said
        assert letters("replay", "--reread", *chosen)[0] == 1
        before = set(server.stored)
        s3.put_object(Bucket="logs-of-all", Key=key, Body=whole)
        code, said = letters("replay", "--reread", "--json", *chosen)
        assert (code, json.loads(said)["reread_objects"]) == (0, 1)
        assert before <= set(server.stored)
        assert len(server.stored) == count
        assert letters("list", *chosen)[1] == "none\n"
