"""Hours in small: a sink that keeps going away, in little address space; memory and open files stay as they are."""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest

from tests.fakes.elasticsearch import FakeElasticsearch
from tests.parts.moto import Moto
from tests.torture.campaign import scenes
from tests.torture.scene import BATCH, Scene, at_length, event_ids

MINUTES = float(os.environ.get("TORTURE_MINUTES", "1"))
ADDRESS_SPACE = 768 << 20
"""Most virtual memory, which threads reserve and mostly do not use; what is resident is bounded by the scene."""
MOST_GROWTH_MEGABYTES = 30
MOST_MORE_FILES = 8


@at_length
@pytest.mark.timeout(MINUTES * 60 + 600)
@pytest.mark.parametrize("seed", scenes()[:1])
def test_nothing_grows(seed, tmp_path, moto: Moto):
    """`TORTURE_MINUTES=240` is the whole of it; what one process holds at the end is what it held at the beginning."""
    with FakeElasticsearch() as elasticsearch:
        sink = {"type": "elasticsearch", "hosts": [elasticsearch.url], "batch_documents": BATCH}
        wrapper = ["prlimit", f"--as={ADDRESS_SPACE}"]

        def arrived() -> Counter[str]:
            with elasticsearch.lock:
                return event_ids(list(elasticsearch.stored.values()))

        with Scene(seed, tmp_path, moto, {"siem": sink}, wrapper=wrapper) as scene:
            scene.daemon.start()
            until = time.monotonic() + MINUTES * 60
            held: list[tuple[float, int]] = []
            while time.monotonic() < until or len(held) < 4:
                scene.put(10)
                elasticsearch.down = scene.chance.random() < 0.5
                time.sleep(scene.chance.uniform(0.5, 4))
                elasticsearch.down = False
                scene.recover("an outage", arrived)
                held.append((scene.daemon.megabytes, scene.daemon.open_files))
            first, last = held[1], held[-1]
            scene.say(f"{first[0]:.0f} MB and {first[1]} files at first, {last[0]:.0f} MB and {last[1]} at the end")
            assert last[0] - first[0] < MOST_GROWTH_MEGABYTES
            assert last[1] - first[1] <= MOST_MORE_FILES
            scene.finish()
            scene.judge(arrived())
            assert set(elasticsearch.writes.values()) == {1}
