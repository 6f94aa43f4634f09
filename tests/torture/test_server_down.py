"""A real Elasticsearch that is killed in mid-bulk, rolled over under load, blocked and without a primary."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.parts.elasticsearch import ElasticsearchServer, elasticsearch
from tests.parts.moto import Moto
from tests.torture.campaign import scenes
from tests.torture.scene import BATCH, THREADS, Scene, at_length

KILLS = 3


@pytest.fixture(scope="module")
def server() -> Iterator[ElasticsearchServer]:
    """A server that no other test needs alive."""
    with elasticsearch("9") as mine:
        yield mine


class Siem:
    """One test's data streams, or strict indices, on the server."""

    def __init__(self, server: ElasticsearchServer, mode: str, name: str) -> None:
        self.server = server
        self.namespace = f"{name}{mode.replace('_', '')}"
        self.stream = f"logs-aws.cloudtrail-{self.namespace}"
        self.names = f"{'shipper' if mode == 'strict' else 'logs'}-aws.cloudtrail-{self.namespace}*"
        self.settings = {
            "type": "elasticsearch",
            "hosts": [server.url],
            "data_stream_namespace": self.namespace,
            "mode": mode,
            "batch_documents": BATCH,
            "request_timeout_seconds": 5,
        }

    def arrived(self) -> Counter[str]:
        """How often each eventID stands in all indices together."""
        found: Counter[str] = Counter()
        with contextlib.suppress(OSError):  # it is down, or just coming up
            self.server.request("POST", f"{self.names}/_refresh")
            query = {"size": 10_000, "_source": ["event.id"]}
            answer = self.server.request("POST", f"{self.names}/_search", query)
            if answer.status == 200 and not answer.body["_shards"]["failed"]:
                found.update(hit["_source"]["event"]["id"] for hit in answer.body["hits"]["hits"])
        return found

    def roll_over(self) -> str:
        """Begin a new backing index, so that earlier ids are not known to it; return its name."""
        answer = self.server.request("POST", f"{self.stream}/_rollover?wait_for_active_shards=0")
        assert answer.status == 200, answer
        return str(answer.body["new_index"])

    def set(self, path: str, body: dict[str, Any]) -> None:
        """Change settings."""
        answer = self.server.request("PUT", path, body)
        assert answer.status == 200, answer


@at_length
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("mode", ["strict", "data_stream"])
@pytest.mark.parametrize("seed", scenes())
def test_killed_in_mid_bulk_and_rolled_over(seed: int, mode: str, tmp_path, moto: Moto, server) -> None:
    """Strict: each record stands once. Data streams: doubled is at most what was on its way at each kill."""
    siem = Siem(server, mode, f"killed{seed}")
    rollovers = 0
    with Scene(seed, tmp_path, moto, {"siem": siem.settings}) as scene:
        scene.put(4)
        scene.daemon.start()
        scene.recover("start", siem.arrived)
        for _ in range(KILLS):
            scene.put(40)
            time.sleep(scene.chance.uniform(0.8, 2.0))
            server.kill()
            scene.put(4)
            server.start()
            if mode == "data_stream":  # at the worst moment: before what was on its way comes again
                siem.roll_over()
                rollovers += 1
            scene.recover("SIGKILL of Elasticsearch", siem.arrived)
            if mode == "data_stream":
                scene.put(10)
                siem.roll_over()
                rollovers += 1
                scene.recover("rollover under load", siem.arrived)
        scene.finish()
        scene.judge(siem.arrived(), most_duplicates=BATCH * THREADS * rollovers)


@at_length
@pytest.mark.parametrize("seed", scenes())
def test_flood_stage_and_no_primary(seed: int, tmp_path, moto: Moto, server) -> None:
    """A full disk's block (429) and a primary without a place (503) delay; no document is given up or doubled."""
    siem = Siem(server, "data_stream", f"flood{seed}")
    with Scene(seed, tmp_path, moto, {"siem": siem.settings}) as scene:
        scene.put(4)
        scene.daemon.start()
        scene.recover("start", siem.arrived)
        flood = {"index.blocks.read_only_allow_delete": True}
        siem.set(f"{siem.stream}/_settings", flood)
        scene.put(6)
        time.sleep(scene.chance.uniform(2, 6))
        siem.set(f"{siem.stream}/_settings", dict.fromkeys(flood))
        scene.recover("flood-stage block", siem.arrived)
        nowhere = {"persistent": {"cluster.routing.allocation.enable": "none"}}
        siem.set("_cluster/settings", nowhere)
        health = server.request("GET", f"_cluster/health/{siem.roll_over()}").body
        assert health["active_primary_shards"] == 0, "nothing can be written"
        scene.put(6)
        time.sleep(scene.chance.uniform(2, 6))
        siem.set("_cluster/settings", {"persistent": dict.fromkeys(nowhere["persistent"])})
        scene.recover("no primary", siem.arrived)
        scene.finish()
        scene.judge(siem.arrived())
