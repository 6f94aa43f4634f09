"""`shipper backfill`: a past range beside a running daemon, interrupted and gone on with, and put on a queue."""

from __future__ import annotations

import collections
import json
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.cloudtrail import Trail
from tests.fakes.elasticsearch import FakeElasticsearch
from tests.parts.moto import Moto
from tests.process.daemon import Daemon

SEED = 20260103
DAYS = 12
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
RANGE = ("--source", "trail", "--since", "2026-03-01", "--until", "2026-03-09")
INSIDE = 8


class History:
    """A bucket with some objects of each day, the last of them on 10 March.

    Attributes:
        inside: event ids of the range from 1 to 9 March.
    """

    def __init__(self, moto: Moto, count: int) -> None:
        self.s3 = moto.client("s3")
        self.s3.create_bucket(Bucket="trail")
        self.inside: list[str] = []
        self.objects = 0
        for back in range(DAYS):
            trail = Trail(NOON - timedelta(days=back), seed=back)
            for key, body in trail.objects(count, 4):
                self.s3.put_object(Bucket="trail", Key=key, Body=body)
            if 2 <= back < 2 + INSIDE:
                self.inside += trail.event_ids
                self.objects += count


def settings(folder: Path, endpoint: str, elasticsearch: str, **sources: Any) -> dict[str, Any]:
    trail = {"type": "s3", "bucket": "trail", "start": "now"}
    return {
        "state": {"path": str(folder / "state")},
        "listen": "off",
        "aws": {"region": "us-east-1", "endpoint_url": endpoint},
        "sources": {"trail": trail, **sources},
        "sinks": {"siem": {"type": "elasticsearch", "hosts": [elasticsearch], "batch_documents": 10}},
        "workers": {"threads": 2},
        "log": {"level": "info"},
    }


def ids(elasticsearch: FakeElasticsearch) -> collections.Counter[str]:
    return collections.Counter(json.loads(body)["event"]["id"] for body in elasticsearch.stored.values())


def wait_for_more(elasticsearch: FakeElasticsearch, count: int) -> None:
    """Until so many more documents have come than there are."""
    enough = len(elasticsearch.stored) + count
    deadline = time.monotonic() + 150
    while len(elasticsearch.stored) < enough:
        assert time.monotonic() < deadline, f"{len(elasticsearch.stored)} of {enough} came"
        time.sleep(0.01)


def test_an_interrupted_backfill_goes_on_beside_a_running_daemon(tmp_path, moto):
    """Killed and stopped in the midst of it, it ships the rest; then nothing more, and nothing outside its range."""
    chance = random.Random(SEED)
    history = History(moto, 60)
    with FakeElasticsearch() as elasticsearch:
        config = settings(tmp_path, moto.url, elasticsearch.url)
        daemon, runner = Daemon(tmp_path, config), Daemon(tmp_path, config)
        daemon.start()
        seen: list[int] = []
        for _ in range(3):
            runner.begin("backfill", *RANGE)
            wait_for_more(elasticsearch, chance.randrange(40, 160))
            runner.kill()
            seen.append(len(elasticsearch.stored))
        runner.begin("backfill", *RANGE)
        wait_for_more(elasticsearch, 80)
        assert runner.terminate() == 1, runner.log()
        assert seen == sorted(seen)
        assert 0 < seen[0] < len(elasticsearch.stored) < len(history.inside)
        code, output = runner.command("backfill", *RANGE, "--json")
        assert code == 0, (output, runner.log())
        assert json.loads(output)["ok"]
        assert ids(elasticsearch) == collections.Counter(history.inside)
        assert max(elasticsearch.writes.values()) == 1
        requests = len(elasticsearch.requests)
        code, output = runner.command("backfill", *RANGE, "--json")
        assert code == 0
        assert json.loads(output)["parts"][0]["objects"] == 0
        assert len(elasticsearch.requests) == requests
        daemon.await_start()
        assert daemon.terminate() == 0, daemon.log()


def test_a_fleet_gets_a_backfill_by_its_queue(tmp_path, moto):
    """Each object has a message that the fleet's source understands; nothing is shipped by the backfill itself."""
    history = History(moto, 5)
    url = moto.client("sqs").create_queue(QueueName="fleet")["QueueUrl"]
    queue = {"type": "s3_notifications", "queue_url": url, "buckets": ["trail/AWSLogs/"]}
    with FakeElasticsearch() as elasticsearch:
        config = settings(tmp_path, moto.url, elasticsearch.url, fleet=queue)
        runner = Daemon(tmp_path, config)
        chosen = ("--source", "fleet", *RANGE[2:], "--to-queue", url, "--json")
        code, output = runner.command("backfill", *chosen)
        assert code == 0, (output, runner.log())
        assert sum(part["objects"] for part in json.loads(output)["parts"]) == history.objects
        assert not elasticsearch.stored
        assert runner.command("backfill", *chosen)[0] == 0
        code, summary = runner.once()
        assert code == 0, runner.log()
        assert summary["sources"]["fleet"]["read"] == len(history.inside)
        assert ids(elasticsearch) == collections.Counter(history.inside)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--source", "trial", "--since", "-1d"), 2, "known: trail"),
        (("--source", "trail", "--since", "yesterday"), 2, "must be a date"),
        (("--source", "trail", "--since", "-1d", "--until", "-2d"), 2, "--since must be before --until"),
        (("--source", "trail", "--since", "-1d", "--to-queue", "fleet"), 2, "--to-queue"),
        (("--source", "trail"), 2, "--since"),
    ],
)
def test_mistakes_are_told(tmp_path, aws_environment, arguments, code, words):
    """With a hint, and the exit code of its kind."""
    runner = Daemon(tmp_path, settings(tmp_path, "http://127.0.0.1:9", "http://127.0.0.1:9"))
    assert runner.command("backfill", *arguments)[0] == code
    assert words in runner.log()


def test_the_summary_says_what_was_done(tmp_path, moto):
    """For people: objects, records, and where a later run goes on."""
    history = History(moto, 2)
    with FakeElasticsearch() as elasticsearch:
        runner = Daemon(tmp_path, settings(tmp_path, moto.url, elasticsearch.url))
        code, output = runner.command("backfill", *RANGE)
        assert code == 0, runner.log()
        assert f"cloudtrail of s3://trail/: {history.objects} objects" in output
        assert f"trail → siem: {len(history.inside)} read = {len(history.inside)} delivered" in output
