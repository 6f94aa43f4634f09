"""SIGKILL at random moments: nothing is lost, nothing is doubled, in Elasticsearch and in the archive."""

from __future__ import annotations

import collections
import io
import json
import random
import time
from pathlib import Path

import zstandard

from tests.fakes import cloudtrail
from tests.process.daemon import Daemon

KILLS = 20
SEED = 20260101


def settings(tmp_path: Path, endpoint: str, elasticsearch: str, namespace: str) -> dict[str, object]:
    return {
        "state": {"path": str(tmp_path / "state")},
        "listen": "off",
        "aws": {"region": "us-east-1", "endpoint_url": endpoint},
        "sources": {
            "trail": {"type": "s3", "bucket": namespace, "prefix": "AWSLogs/", "start": "-7d", "interval_seconds": 1}
        },
        "sinks": {
            "siem": {
                "type": "elasticsearch",
                "hosts": [elasticsearch],
                "data_stream_namespace": namespace,
                "batch_documents": 20,  # many requests, so that kills fall between and into them
            },
            "archive": {"type": "archive", "path": str(tmp_path / "archive")},
        },
        "workers": {"threads": 4},
        "log": {"level": "warning"},
    }


def archived(folder: Path) -> collections.Counter[str]:
    """How often each eventID stands in the archive's files; what a crash left half-written does not count."""
    ids: collections.Counter[str] = collections.Counter()
    for path in folder.rglob("*.ndjson.zst"):
        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
            for line in io.TextIOWrapper(reader):
                ids[json.loads(line)["event"]["id"]] += 1
    return ids


def test_sigkill_at_random_moments_loses_and_doubles_nothing(tmp_path, moto, elasticsearch9):
    """After 20 kills, while objects keep coming, one run to the end delivers each record exactly once."""
    chance = random.Random(SEED)
    trail = cloudtrail.recent(SEED)
    s3 = moto.client("s3")
    s3.create_bucket(Bucket="kills")

    def put(count: int) -> None:
        for key, body in trail.objects(count, 25):
            s3.put_object(Bucket="kills", Key=key, Body=body)

    daemon = Daemon(tmp_path, settings(tmp_path, moto.url, elasticsearch9.url, "kills"))
    put(100)
    for _ in range(KILLS):
        daemon.start()
        time.sleep(chance.uniform(0.4, 1.6))
        assert daemon.running, daemon.log()
        daemon.kill()
        put(10)
    code, summary = daemon.once()
    assert code == 0, (summary, daemon.log())
    expected = collections.Counter(trail.event_ids)
    stored = elasticsearch9.documents("logs-aws.cloudtrail-kills").values()
    assert collections.Counter(document["event"]["id"] for document in stored) == expected
    assert archived(tmp_path / "archive") == expected
    assert daemon.once()[1]["sources"] == {}, "all is settled: another run finds nothing"
