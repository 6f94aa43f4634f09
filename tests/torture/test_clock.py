"""The machine's clock jumps forth and back, by libfaketime, under the running daemon."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.fakes.elasticsearch import FakeElasticsearch
from tests.integration.test_elasticsearch_proxy import server_side
from tests.parts.debian import library
from tests.parts.moto import Moto
from tests.process.test_signals import await_true
from tests.torture.campaign import scenes
from tests.torture.scene import BATCH, LONG, Scene, at_length, event_ids

HOUR = 3600
DAY = 24 * HOUR
JUMPS = [HOUR, -HOUR, DAY, -DAY, 7 * DAY, -7 * DAY, -30, 30]


class Clock:
    """What a process under libfaketime takes for the time: the machine's, and so many seconds."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    def environment(self) -> dict[str, str]:
        """For the process; its monotonic clock stays as it is, as it does when a real clock is set."""
        return {
            "LD_PRELOAD": str(library("libfaketimeMT.so.1", "libfaketime")),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds: int) -> None:
        """Put the clock so far from the real time."""
        beside = self._file.with_suffix(".new")
        beside.write_text(f"{seconds:+d}\n")
        beside.replace(self._file)


@pytest.mark.parametrize("seed", scenes())
def test_the_clock_jumps(seed, tmp_path, moto: Moto):
    """Nothing is lost or doubled, and what comes after a jump is not held up: the time is AWS's, not this machine's."""
    clock = Clock(tmp_path / "clock")
    with FakeElasticsearch() as elasticsearch:
        sink = {"type": "elasticsearch", "hosts": [elasticsearch.url], "batch_documents": BATCH}

        def arrived() -> Counter[str]:
            with elasticsearch.lock:
                return event_ids(list(elasticsearch.stored.values()))

        with Scene(seed, tmp_path, moto, {"siem": sink}, environment=clock.environment()) as scene:
            jumps = scene.chance.sample(JUMPS, len(JUMPS)) if LONG else [7 * DAY, -HOUR]
            scene.put(3)
            scene.daemon.start()
            scene.recover("start", arrived)
            for seconds in [*jumps, 0]:
                clock.set(seconds)
                scene.put(3)
                scene.recover(f"the clock is {seconds:+d} s off", arrived)
            scene.finish()
            scene.judge(arrived())
            assert set(elasticsearch.writes.values()) == {1}


@at_length
@pytest.mark.parametrize("seed", scenes())
def test_a_certificate_that_is_not_valid_now(seed, tmp_path, moto: Moto):
    """Nothing is sent to the server, a person is told, and all is delivered once the certificate is valid."""
    certificate, context = server_side(tmp_path)
    clock = Clock(tmp_path / "clock")
    with FakeElasticsearch(tls=context) as elasticsearch:
        sink = {"type": "elasticsearch", "hosts": [elasticsearch.url], "ca_certs": certificate}

        def arrived() -> Counter[str]:
            with elasticsearch.lock:
                return event_ids(list(elasticsearch.stored.values()))

        with Scene(seed, tmp_path, moto, {"siem": sink}, environment=clock.environment()) as scene:
            clock.set(3 * DAY)
            scene.put(3)
            scene.daemon.start()
            await_true(lambda: "certificate has expired" in scene.daemon.log(), "the certificate is refused")
            assert not elasticsearch.requests
            clock.set(0)
            scene.recover("the certificate is valid", arrived)
            scene.finish()
            scene.judge(arrived())
