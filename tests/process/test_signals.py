"""Signals at the worst of times, and two processes that want the same state."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.fakes import cloudtrail, s3_server
from tests.fakes.elasticsearch import Bulk, FakeElasticsearch, Reply
from tests.process.daemon import Daemon

OBJECTS, RECORDS = 10, 20


@pytest.fixture
def elasticsearch() -> Iterator[FakeElasticsearch]:
    """A sink of one test's own."""
    with FakeElasticsearch() as server:
        yield server


def settings(tmp_path: Path, elasticsearch: FakeElasticsearch, s3: str, **changes: Any) -> dict[str, Any]:
    """A small daemon from a bucket `trail` into Elasticsearch."""
    return {
        "state": {"path": str(tmp_path / "state")},
        "listen": "off",
        "aws": {"region": "us-east-1", "endpoint_url": s3},
        "sources": {"trail": {"type": "s3", "bucket": "trail", "start": "-7d", "interval_seconds": 1}},
        "sinks": {"siem": {"type": "elasticsearch", "hosts": [elasticsearch.url], "batch_documents": RECORDS}},
        **changes,
    }


def filled(moto: Any) -> list[str]:
    """Fill the bucket; return the ids of its records."""
    trail = cloudtrail.recent()
    s3 = moto.client("s3")
    s3.create_bucket(Bucket="trail")
    for key, body in trail.objects(OBJECTS, RECORDS):
        s3.put_object(Bucket="trail", Key=key, Body=body)
    return trail.event_ids


def stored(elasticsearch: FakeElasticsearch) -> Counter[str]:
    """How often each eventID is there."""
    return Counter(orjson.loads(source)["event"]["id"] for source in elasticsearch.stored.values())


def await_true(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait for a condition of another process."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} seconds: {what}"
        time.sleep(0.02)


def held_until(event: threading.Event) -> Callable[[FakeElasticsearch, Bulk], Reply]:
    """A step that stores and answers only when the event is set, or the server ends."""

    def step(server: FakeElasticsearch, request: Bulk) -> Reply:
        while not event.wait(0.02) and not server.stopping.is_set():
            pass
        return server.store(request)

    return step


def test_a_stop_right_after_the_start_is_an_ordered_one(tmp_path, aws_environment, elasticsearch):
    """A supervisor may stop what it has just started, before it has reached anything."""
    elasticsearch.down = True
    daemon = Daemon(tmp_path, settings(tmp_path, elasticsearch, "http://127.0.0.1:9"))
    for _ in range(3):
        daemon.start()
        daemon.await_start()
        assert daemon.terminate() == 0, daemon.log()


def test_the_first_sigterm_lets_sends_finish_and_settles_them(tmp_path, moto, elasticsearch):
    """What is on its way is delivered and settled before the process ends with 0; the rest comes with the next run."""
    expected = filled(moto)
    answer = threading.Event()
    elasticsearch.script = [held_until(answer)] * OBJECTS
    daemon = Daemon(tmp_path, settings(tmp_path, elasticsearch, moto.url))
    daemon.start()
    assert elasticsearch.arrived.wait(60), daemon.log()
    daemon.send(signal.SIGTERM)
    await_true(lambda: '"stopping' in daemon.log(), "the signal is heard")
    assert daemon.running, "a request is on its way"
    answer.set()
    assert daemon.wait() == 0, daemon.log()
    elasticsearch.script = []
    before = stored(elasticsearch)
    assert before
    code, summary = daemon.once()
    assert code == 0
    assert stored(elasticsearch) == Counter(expected)
    read = summary["sources"].get("trail", {"read": 0})["read"]
    assert read == len(expected) - before.total(), "what was sent before the end is settled, and not read again"


def test_the_grace_time_ends_what_does_not_end_by_itself(tmp_path, moto, elasticsearch):
    """A sink that never answers holds nobody up beyond `grace_seconds`; nothing of it counts as delivered."""
    expected = filled(moto)
    elasticsearch.script = [lambda *_: Reply(429, b"{}")] * 10_000
    daemon = Daemon(tmp_path, settings(tmp_path, elasticsearch, moto.url, grace_seconds=1))
    daemon.start()
    assert elasticsearch.arrived.wait(60), daemon.log()
    assert daemon.terminate() == 0, daemon.log()
    assert "the grace time is over" in daemon.log()
    elasticsearch.script = []
    assert daemon.once()[0] == 0
    assert stored(elasticsearch) == Counter(expected)


def test_the_second_sigterm_kills(tmp_path, moto, elasticsearch):
    """The process dies of the signal at once, and the next run loses and doubles nothing."""
    expected = filled(moto)
    never = threading.Event()
    elasticsearch.script = [held_until(never)] * OBJECTS
    daemon = Daemon(tmp_path, settings(tmp_path, elasticsearch, moto.url, grace_seconds=600))
    daemon.start()
    assert elasticsearch.arrived.wait(60), daemon.log()
    daemon.send(signal.SIGTERM)
    await_true(lambda: '"stopping' in daemon.log(), "the first signal is heard")
    assert daemon.terminate() == -signal.SIGTERM, daemon.log()
    never.set()
    elasticsearch.script = []
    assert daemon.once()[0] == 0
    assert stored(elasticsearch) == Counter(expected)
    assert set(elasticsearch.writes.values()) == {1}


def test_a_second_daemon_on_the_same_state_refuses_to_start(tmp_path, moto, elasticsearch):
    """It says who has the state, and the first one goes on."""
    filled(moto)
    daemon = Daemon(tmp_path, settings(tmp_path, elasticsearch, moto.url))
    daemon.start()
    assert elasticsearch.arrived.wait(60), daemon.log()
    code, _ = daemon.once()
    assert code == 78, "a mistake of whoever set it up: the supervisor does not try again"
    assert "another shipper" in daemon.log()
    assert str(tmp_path / "state") in daemon.log()
    assert daemon.running
    assert daemon.terminate() == 0


def test_once_ends_with_1_when_not_all_is_delivered_and_says_so(tmp_path, aws_environment, elasticsearch):
    """An object that is refused is told and left for the next run, which delivers it and ends with 0."""
    trail = cloudtrail.recent()
    with s3_server.running() as s3:
        s3.objects = {f"trail/{key}": body for key, body in trail.objects(2, RECORDS)}
        refused = max(s3.objects)
        s3.forbidden.add(refused)
        sources = {"trail": {"type": "s3", "bucket": "trail", "prefix": "AWSLogs/", "start": "-7d"}}
        daemon = Daemon(tmp_path, settings(tmp_path, elasticsearch, s3.url, sources=sources))
        code, summary = daemon.once()
        assert (code, summary["ok"], summary["unread_objects"]) == (1, False, 1), daemon.log()
        assert summary["sources"]["trail"]["sinks"]["siem"]["delivered"] == RECORDS
        s3.forbidden.clear()
        daemon.command("checkpoints", "reset", "--source", "trail", "--yes")
        code, summary = daemon.once()
    assert (code, summary["ok"]) == (0, True), daemon.log()
    assert stored(elasticsearch) == Counter(trail.event_ids)
    delivery = summary["sources"]["trail"]["sinks"]["siem"]
    assert (delivery["delivered"], delivery["present"]) == (RECORDS, RECORDS)


def test_a_storm_of_429_delays_and_loses_nothing(tmp_path, moto, elasticsearch):
    """Two requests of three are refused for a while; in the end each record is there once."""
    expected = filled(moto)
    refuse = [lambda *_: Reply(429, b"{}", headers={"Retry-After": "0"})] * 2
    elasticsearch.script = [*refuse, lambda server, request: server.store(request)] * 5
    daemon = Daemon(tmp_path, settings(tmp_path, elasticsearch, moto.url))
    code, summary = daemon.once()
    assert code == 0, (summary, daemon.log())
    assert stored(elasticsearch) == Counter(expected)
    assert set(elasticsearch.writes.values()) == {1}
