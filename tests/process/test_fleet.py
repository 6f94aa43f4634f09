"""Four daemons on one queue through duplicates, reordering, poison, refusals, SIGKILL and an expired visibility."""

from __future__ import annotations

import collections
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shipper.deadletters.sqlite import SqliteDeadLetters
from shipper.model import S3Object
from tests.fakes import cloudtrail
from tests.fakes.s3_server import TroubledS3, running
from tests.fakes.sqs import bridge_event, s3_event, sns
from tests.parts.elasticmq import ElasticMq
from tests.process.daemon import Daemon

SEED = 20260102
DAEMONS = 4
OBJECTS = 2_000
KILLS = 12
VISIBILITY_SECONDS = 5
# More receipts than kills, so that no good message ends among the poison.
MOST_RECEIVES = 8
POISON = ["rubbish", "{}", '{"Records": [7]}', json.dumps(s3_event(S3Object("attacker", "AWSLogs/x", 1, "e", 0.0)))]


class Queue:
    """The queue and its dead-letter queue, as a test sees them."""

    def __init__(self, server: ElasticMq) -> None:
        self._client = server.client()
        self.dead_url = self._client.create_queue(QueueName="fleet-dead")["QueueUrl"]
        arn = self._client.get_queue_attributes(QueueUrl=self.dead_url, AttributeNames=["QueueArn"])
        redrive = {"deadLetterTargetArn": arn["Attributes"]["QueueArn"], "maxReceiveCount": str(MOST_RECEIVES)}
        attributes = {"VisibilityTimeout": str(VISIBILITY_SECONDS), "RedrivePolicy": json.dumps(redrive)}
        self.url = self._client.create_queue(QueueName="fleet", Attributes=attributes)["QueueUrl"]

    def send(self, bodies: list[str]) -> None:
        for first in range(0, len(bodies), 10):
            some = bodies[first : first + 10]
            entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(some)]
            assert "Failed" not in self._client.send_message_batch(QueueUrl=self.url, Entries=entries)

    def left(self) -> int:
        found = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])["Attributes"]
        return int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesNotVisible"])

    def dead(self) -> list[str]:
        found: list[str] = []
        while messages := self._client.receive_message(QueueUrl=self.dead_url, MaxNumberOfMessages=10).get("Messages"):
            found += [message["Body"] for message in messages]
        return found


@pytest.fixture
def s3() -> Iterator[TroubledS3]:
    with running() as server:
        yield server


def bodies_of(items: list[S3Object], chance: random.Random) -> list[str]:
    """Messages of every form that name all objects, some together, some twice, in no order."""
    bodies: list[str] = []
    left = list(items)
    while left:
        some = [left.pop() for _ in range(min(chance.choice((1, 1, 1, 1, 3)), len(left)))]
        event = chance.choice((s3_event, lambda *found: sns(s3_event(*found))))(*some)
        bodies.append(json.dumps(bridge_event(some[0]) if len(some) == 1 and chance.random() < 0.2 else event))
    bodies += chance.sample(bodies, len(bodies) // 8)
    chance.shuffle(bodies)
    return bodies


def settings(folder: Path, s3: TroubledS3, queue: Queue, elasticsearch: str) -> dict[str, Any]:
    return {
        "state": {"path": str(folder / "state")},
        "listen": "off",
        "aws": {"region": "us-east-1", "endpoint_url": s3.url},
        "sources": {
            "q": {
                "type": "s3_notifications",
                "queue_url": queue.url,
                "buckets": ["trail/AWSLogs/"],
                "missing_seconds": 4,
            }
        },
        "sinks": {
            "siem": {
                "type": "elasticsearch",
                "hosts": [elasticsearch],
                "data_stream_namespace": "fleet",
                "batch_documents": 40,
            }
        },
        "workers": {"threads": 2},
        "log": {"level": "info"},
    }


def put(trail: cloudtrail.Trail, s3: TroubledS3, count: int) -> list[S3Object]:
    items: list[S3Object] = []
    for number, (key, body) in enumerate(trail.objects(count, 3)):
        s3.objects[f"trail/{key}"] = body
        items.append(S3Object("trail", key, len(body), f"e{number}", trail.now.timestamp()))
    return items


def torment(daemons: list[Daemon], chance: random.Random) -> None:
    """Kill one after the other; freeze one until its messages are visible again."""
    for number in range(KILLS):
        time.sleep(chance.uniform(0.3, 1.5))
        daemon = chance.choice(daemons)
        if number == KILLS // 2:
            daemon.freeze()
            time.sleep(VISIBILITY_SECONDS + 1)
            daemon.thaw()
            continue
        assert daemon.running, daemon.log()
        daemon.kill()
        daemon.start()


@pytest.mark.timeout(600)
def test_a_fleet_loses_and_doubles_nothing(tmp_path, aws_environment, s3, elasticmq, elasticsearch9):
    """Every record once in Elasticsearch; no message left but the poison, and that in the dead-letter queue."""
    chance = random.Random(SEED)
    trail = cloudtrail.recent(SEED)
    items = put(trail, s3, OBJECTS)
    gone = [S3Object("trail", f"{items[0].key}.{n}", 9, "e", 0.0) for n in range(5)]
    s3.forbidden = {f"trail/{item.key}" for item in chance.sample(items, 20)}
    for item in chance.sample(items, 20):
        s3.faults[f"trail/{item.key}"] = ["missing", "reset"]
    queue = Queue(elasticmq)
    bodies = bodies_of([*items, *gone], chance) + POISON
    chance.shuffle(bodies)
    queue.send(bodies[: len(bodies) // 2])
    folders = [tmp_path / f"daemon-{n}" for n in range(DAEMONS)]
    for folder in folders:
        folder.mkdir()
    daemons = [Daemon(folder, settings(folder, s3, queue, elasticsearch9.url)) for folder in folders]
    try:
        for daemon in daemons:
            daemon.start()
        torment(daemons[: DAEMONS // 2], chance)
        queue.send(bodies[len(bodies) // 2 :])
        torment(daemons, chance)
        s3.forbidden = set()  # somebody has mended the permission
        for daemon in daemons:
            daemon.await_start()
            assert daemon.terminate() == 0, daemon.log()
            daemon.start()
        deadline = time.monotonic() + 240
        while queue.left() and time.monotonic() < deadline:
            time.sleep(0.5)
        assert queue.left() == 0
        for daemon in daemons:
            daemon.await_start()
            assert daemon.terminate() == 0, daemon.log()
    finally:
        for daemon in daemons:
            if daemon.running:
                daemon.kill()
    stored = elasticsearch9.documents("logs-aws.cloudtrail-fleet").values()
    assert collections.Counter(document["event"]["id"] for document in stored) == collections.Counter(trail.event_ids)
    assert sorted(queue.dead()) == sorted(POISON)
    assert not [path for path, _ in s3.requests if not path.startswith("trail/AWSLogs/")]
    assert given_up(folders) == {(item.uri, "object_deleted") for item in gone}


def given_up(folders: list[Path]) -> set[tuple[str, str]]:
    letters: set[tuple[str, str]] = set()
    for folder in folders:
        store = SqliteDeadLetters(folder / "state" / "dead_letters.sqlite", 2**30)
        letters |= {(letter.origin.uri, letter.reason) for letter in store.letters()}
        store.close()
    return letters
