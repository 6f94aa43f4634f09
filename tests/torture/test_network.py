"""Connections that are slow, cut, reset or silent, by a real Toxiproxy before S3, Elasticsearch and Splunk."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from tests.fakes.elasticsearch import FakeElasticsearch
from tests.fakes.splunk_hec import TOKEN, FakeSplunk
from tests.parts.elasticsearch import ElasticsearchServer
from tests.parts.moto import Moto
from tests.parts.toxiproxy import Link, Toxiproxy, toxiproxy
from tests.torture.campaign import scenes
from tests.torture.scene import BATCH, LONG, Scene, event_ids

TOXICS = {
    "latency": {"latency": 700, "jitter": 300},
    "bandwidth": {"rate": 4},
    "slow_close": {"delay": 900},
    "timeout": {"timeout": 300},
    "reset_peer": {"timeout": 20},
    "slicer": {"average_size": 64, "size_variation": 32, "delay": 3000},
    "limit_data": {"bytes": 60},
}
OBJECTS = 4
REQUEST_SECONDS = 3
ACK = {"ack": True, "ack_poll_seconds": 0.2, "ack_timeout_seconds": 6}


@pytest.fixture(scope="module")
def proxies() -> Iterator[Toxiproxy]:
    """One Toxiproxy for all tests of this file."""
    with toxiproxy() as server:
        yield server


def endure(scene: Scene, link: Link, arrived: Callable[[], Counter[str]]) -> None:
    """One fault after the other; in the long form each in both directions."""
    faults = [(kind, stream) for kind in TOXICS for stream in ("downstream", "upstream")]
    scene.chance.shuffle(faults)
    if not LONG:
        faults = faults[:2]
    scene.put(OBJECTS)
    scene.daemon.start()
    scene.recover("start", arrived)
    for kind, stream in faults:
        with link.toxic(kind, TOXICS[kind], stream=stream):
            scene.put(OBJECTS)
            time.sleep(scene.chance.uniform(0.8, 1.4))
        scene.recover(f"{kind} {stream}", arrived)
    with link.down():
        scene.put(OBJECTS)
        time.sleep(1)
    scene.recover("no connection", arrived)


@pytest.mark.parametrize("seed", scenes())
def test_before_elasticsearch(
    seed: int, tmp_path, moto: Moto, proxies: Toxiproxy, elasticsearch9: ElasticsearchServer
) -> None:
    """A real server: what is sent again is recognised by its id, and stands once."""
    link = proxies.before(elasticsearch9.url)
    namespace = f"toxic{seed}"
    sink = {
        "type": "elasticsearch",
        "hosts": [link.url],
        "data_stream_namespace": namespace,
        "batch_documents": BATCH,
        "request_timeout_seconds": REQUEST_SECONDS,
    }

    def arrived() -> Counter[str]:
        with contextlib.suppress(AssertionError):  # the data stream is not there yet
            found = elasticsearch9.documents(f"logs-aws.cloudtrail-{namespace}")
            return Counter(document["event"]["id"] for document in found.values())
        return Counter()

    with Scene(seed, tmp_path, moto, {"siem": sink}) as scene:
        endure(scene, link, arrived)
        scene.finish()
        scene.judge(arrived())


@pytest.mark.parametrize("ack", [ACK, {}] if LONG else [ACK], ids=lambda ack: "acknowledged" if ack else "received")
@pytest.mark.parametrize("seed", scenes())
def test_before_splunk(seed: int, ack: dict[str, Any], tmp_path, moto: Moto, proxies: Toxiproxy) -> None:
    """Only the batches whose answer was lost can stand twice; each fault meets what is on its way at most."""
    with FakeSplunk() as splunk:
        splunk.tokens[TOKEN].ack = bool(ack)
        splunk.acks.after_polls = 1
        link = proxies.before(splunk.url)
        sink = {
            "type": "splunk_hec",
            "urls": [link.url],
            "token": TOKEN,
            "batch_documents": BATCH,
            "request_timeout_seconds": REQUEST_SECONDS,
            **ack,
        }

        def arrived() -> Counter[str]:
            with splunk.lock:
                events = [event.event for event in splunk.events]
            return Counter(orjson.loads(e)["eventID"] if isinstance(e, str) else e["eventID"] for e in events)

        with Scene(seed, tmp_path, moto, {"siem": sink}, listen=True) as scene:
            endure(scene, link, arrived)
            possible = scene.metric("shipper_possible_duplicates_total")
            scene.finish()
            scene.judge(arrived(), most_duplicates=int(possible))


@pytest.mark.parametrize("seed", scenes())
def test_before_s3(seed: int, tmp_path, moto: Moto, proxies: Toxiproxy) -> None:
    """Listings and objects that break off are read again; none is skipped, none is cut short."""
    link = proxies.before(moto.url)
    with FakeElasticsearch() as elasticsearch:
        sink = {"type": "elasticsearch", "hosts": [elasticsearch.url], "batch_documents": BATCH}

        def arrived() -> Counter[str]:
            with elasticsearch.lock:
                return event_ids(list(elasticsearch.stored.values()))

        with Scene(seed, tmp_path, moto, {"siem": sink}, s3=link.url) as scene:
            endure(scene, link, arrived)
            scene.finish()
            scene.judge(arrived())
        assert set(elasticsearch.writes.values()) == {1}
