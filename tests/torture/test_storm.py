"""All together, at random: signals, freezes, cut connections and a misbehaving server, around the running daemon."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.fakes.elasticsearch import FakeElasticsearch
from tests.parts.moto import Moto
from tests.parts.toxiproxy import Link, Toxiproxy, toxiproxy
from tests.torture.campaign import scenes
from tests.torture.faults import FAULTS, storm
from tests.torture.scene import BATCH, LONG, Scene, event_ids
from tests.torture.test_network import TOXICS

TIMES = 5 if LONG else 1


@pytest.fixture
def proxy() -> Iterator[Toxiproxy]:
    """A Toxiproxy of one test's own."""
    with toxiproxy() as server:
        yield server


class Storm:
    """The faults of one seed; each leaves the daemon running, or to be started."""

    def __init__(self, scene: Scene, server: FakeElasticsearch, to_s3: Link, to_sink: Link) -> None:
        self._scene = scene
        self._server = server
        self._links = (to_s3, to_sink)
        self.kinds: list[Callable[[], None]] = [
            self.kill,
            self.stop,
            self.stop_twice,
            self.freeze,
            self.harm_connections,
            self.answer_badly,
        ]

    def kill(self) -> None:
        """SIGKILL."""
        self._scene.daemon.kill()

    def stop(self) -> None:
        """SIGTERM: an ordered end, whatever is on its way."""
        self._scene.daemon.await_start()
        code = self._scene.daemon.terminate()
        assert code == 0, self._scene.daemon.log()

    def stop_twice(self) -> None:
        """A second SIGTERM, which does not wait."""
        self._scene.daemon.await_start()
        self._scene.daemon.send(signal.SIGTERM)
        time.sleep(self._scene.chance.uniform(0, 0.2))
        assert self._scene.daemon.terminate() in (0, -signal.SIGTERM), self._scene.daemon.log()

    def freeze(self) -> None:
        """SIGSTOP for a while: everyone else's time goes on."""
        self._scene.daemon.freeze()
        time.sleep(self._scene.chance.uniform(0.2, 1.5))
        self._scene.daemon.thaw()

    def harm_connections(self) -> None:
        """One of Toxiproxy's toxics, before the source or the sink."""
        kind = self._scene.chance.choice(sorted(TOXICS))
        stream = self._scene.chance.choice(("upstream", "downstream"))
        with self._scene.chance.choice(self._links).toxic(kind, TOXICS[kind], stream=stream):
            time.sleep(self._scene.chance.uniform(0.3, 1.5))

    def answer_badly(self) -> None:
        """The next answers are wrong in one way or another."""
        names = [name for name in FAULTS if name != "413"]  # the daemon's batches are never so many documents
        with self._server.lock:
            self._server.script = storm(self._scene.chance, names, 5)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", scenes())
def test_all_together(seed, tmp_path, moto: Moto, proxy: Toxiproxy):
    """Each record stands once, the dead letters are what was planted, and all is well soon after the last fault."""
    with FakeElasticsearch() as elasticsearch:
        to_s3, to_sink = proxy.before(moto.url), proxy.before(elasticsearch.url)
        sink = {
            "type": "elasticsearch",
            "hosts": [to_sink.url],
            "batch_documents": BATCH,
            "request_timeout_seconds": 3,
        }

        def arrived() -> Counter[str]:
            with elasticsearch.lock:
                return event_ids(list(elasticsearch.stored.values()))

        with Scene(seed, tmp_path, moto, {"siem": sink}, s3=to_s3.url) as scene:
            faults = Storm(scene, elasticsearch, to_s3, to_sink)
            for fault in scene.chance.sample(faults.kinds * TIMES, len(faults.kinds) * TIMES):
                if not scene.daemon.running:
                    scene.daemon.start()
                scene.put(scene.chance.randint(1, 6))
                time.sleep(scene.chance.uniform(0, 2))
                scene.say(fault.__name__)
                fault()
            if not scene.daemon.running:
                scene.daemon.start()
            with elasticsearch.lock:
                elasticsearch.script = []
            scene.recover("the storm", arrived)
            scene.finish()
            scene.judge(arrived())
            assert set(elasticsearch.writes.values()) == {1}
