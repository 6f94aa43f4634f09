"""The real command line reads CloudWatch Logs over HTTP and is killed at random moments: none is lost, none doubled."""

from __future__ import annotations

import collections
import gzip
import json
import random
import time
from pathlib import Path
from typing import Any

from tests.fakes import cloudtrail
from tests.fakes.cloudwatch_logs import CloudWatchLogs
from tests.fakes.cloudwatch_server import serving
from tests.process.daemon import Daemon
from tests.process.test_kills import archived

KILLS = 12
SEED = 20260404
NAMESPACE = "cwkills"


def settings(tmp_path: Path, endpoint: str, elasticsearch: str, **source: Any) -> dict[str, Any]:
    common = {"type": "cloudwatch_logs", "start": "-1d", "calls_per_second": 200, "discover_seconds": 10, **source}
    return {
        "state": {"path": str(tmp_path / "state")},
        "listen": "off",
        "aws": {"region": "us-east-1", "endpoint_url": endpoint},
        "sources": {
            "logs": {**common, "log_groups": ["/aws/cloudtrail/*"], "logs": "cloudtrail"},
            "app": {**common, "log_groups": ["/app/*"], "logs": "cloudwatch", "to": ["siem"]},
        },
        "sinks": {
            "archive": {"type": "archive", "path": str(tmp_path / "archive")},
            "siem": {
                "type": "elasticsearch",
                "hosts": [elasticsearch],
                "data_stream_namespace": NAMESPACE,
                "batch_documents": 20,  # many requests, so that kills fall between and into them
            },
        },
        "workers": {"threads": 4},
        "log": {"level": "warning"},
    }


class FastClock:
    """AWS's time, which passes faster than this machine's: looks come due within a test."""

    def __init__(self, speed: float) -> None:
        self._began = time.time()
        self._speed = speed
        self.ahead = 0.0

    def __call__(self) -> float:
        return self._began + (time.time() - self._began) * self._speed + self.ahead


class Writer:
    """Puts CloudTrail records into two log groups and lines of text into a third, and knows them all."""

    def __init__(self, logs: CloudWatchLogs) -> None:
        self._logs = logs
        self._groups = [logs.group(f"/aws/cloudtrail/{name}", created=logs.clock() - 86_400) for name in "ab"]
        self._chance = random.Random(SEED)
        self._trail = cloudtrail.recent(SEED)
        self._app = logs.group("/app/shop", created=logs.clock() - 86_400)
        self.lines: list[str] = []

    @property
    def ids(self) -> collections.Counter[str]:
        """What must have arrived."""
        return collections.Counter(self._trail.event_ids)

    def put(self, count: int, late: float = 0.0) -> None:
        """Store records of the last minutes; each becomes visible up to `late` seconds from now."""
        now = self._logs.clock()
        ((_, body),) = self._trail.objects(1, count)
        for record in json.loads(gzip.decompress(body))["Records"]:
            when = now - self._chance.uniform(0, 120)
            visible = now + self._chance.uniform(0, late)
            stream = f"stream-{self._chance.randrange(3)}"
            group = self._chance.choice(self._groups)
            self._logs.put(group, stream, (int(when * 1000), json.dumps(record)), visible_ms=int(visible * 1000))
            line = f"line {len(self.lines)}"
            self.lines.append(line)
            self._logs.put(self._app, stream, (int(when * 1000), line), visible_ms=int(visible * 1000))


def test_sigkill_at_random_moments_loses_and_doubles_nothing(tmp_path, aws_environment, elasticsearch9):
    """After twelve kills amid late events, throttling, empty pages and failures, each event is there exactly once.

    In Elasticsearch and in the archive; CloudTrail's records and plain lines.
    """
    chance = random.Random(SEED)
    clock = FastClock(speed=150)
    logs = CloudWatchLogs(clock, SEED)
    logs.page_events, logs.empty_pages, logs.throttle_share = 7, 1, 0.2
    with serving(logs) as url:
        writer = Writer(logs)
        writer.put(300)
        daemon = Daemon(tmp_path, settings(tmp_path, url, elasticsearch9.url))
        for _ in range(KILLS):
            logs.faults["/aws/cloudtrail/a"] = [chance.choice(["expired", "repeat", "unavailable-midway", "reset"])]
            daemon.start()
            time.sleep(chance.uniform(0.6, 1.8))
            assert daemon.running, daemon.log()
            daemon.kill()
            writer.put(20, late=900)
        logs.throttle_share = 0.0
        clock.ahead += 7200  # all is visible now, and every look but the deepest is due
        code, summary = daemon.once()
        assert code == 0, (summary, daemon.log())
        assert archived(tmp_path / "archive") == writer.ids
        stored = elasticsearch9.documents(f"logs-aws.cloudtrail-{NAMESPACE}").values()
        assert collections.Counter(document["event"]["id"] for document in stored) == writer.ids
        lines = elasticsearch9.documents(f"logs-aws.cloudwatch_logs-{NAMESPACE}").values()
        assert sorted(document["message"] for document in lines) == sorted(writer.lines)
        assert len(list((tmp_path / "archive").rglob("*.ndjson.zst"))) > 5, "windows were delivered between the kills"
