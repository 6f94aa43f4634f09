"""A running daemon between a bucket and a sink, faults around it, and the judgement over what arrived.

Every draw comes from the seed, which is printed with what was measured; threads of the daemon are the machine's own.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import orjson
import pytest

from shipper.checkpoints.sqlite import SqliteCheckpoints
from shipper.deadletters.sqlite import SqliteDeadLetters
from tests.fakes import cloudtrail
from tests.parts.moto import Moto
from tests.process.daemon import Daemon

MOST_RECOVERY_SECONDS = 60.0
MOST_MEGABYTES = 300
BATCH = 20
THREADS = 4
BUCKET = "trail"
POISON_SHARE = 0.2
LONG = "TORTURE_SEEDS" in os.environ
"""Whether this is `make torture`, and not its short form within `make test`."""
at_length = pytest.mark.skipif(not LONG, reason="`make torture` runs it; a part of it is in the short form")


class Scene:
    """A bucket that keeps filling, with poison planted, and a daemon that ships it.

    Args:
        folder: for configuration, log and, unless `state` says otherwise, the state.
        view: where this process sees the state, if not there.
        s3: where the daemon reads; another address than moto's own where something stands between.
    """

    def __init__(
        self,
        seed: int,
        folder: Path,
        moto: Moto,
        sinks: Mapping[str, Any],
        *,
        s3: str = "",
        listen: bool = False,
        state: Path | None = None,
        view: Path | None = None,
        threads: int = THREADS,
        **daemon: Any,
    ) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.trail = cloudtrail.Trail(_this_minute(), seed, spread_minutes=0)  # late keys have tests of their own
        self.poison: set[bytes] = set()
        self.recoveries: list[tuple[str, float]] = []
        self.peak = 0.0
        self._bucket = moto.client("s3")
        self._bucket.create_bucket(Bucket=BUCKET)
        state = state or folder / "state"
        self._view = view or state
        self._folder = folder
        self._listen = f"127.0.0.1:{_free_port()}" if listen else ""
        settings = {
            "state": {"path": str(state)},
            "listen": self._listen or "off",
            "aws": {"region": "us-east-1", "endpoint_url": s3 or moto.url},
            "sources": {"trail": {"type": "s3", "bucket": BUCKET, "start": "-7d", "interval_seconds": 1}},
            "sinks": sinks,
            "workers": {"threads": threads},
            "grace_seconds": 5,
        }
        self.daemon = Daemon(folder, settings, **daemon)
        again = "make torture" if LONG else "pytest tests/torture"
        self.say(f"begins; to see it again: TORTURE_SEED={seed} {again}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.leave()

    def say(self, words: str) -> None:
        """Print what pytest shows of a test that fails, and of all with -s."""
        sys.stdout.write(f"seed {self.seed}: {words}\n")

    def put(self, objects: int, records: int = BATCH) -> None:
        """Put objects into the bucket; some of them hold what is no record."""
        self.trail.now = _this_minute()
        for _ in range(objects):
            junk = []
            if self.chance.random() < POISON_SHARE:
                junk = [f"poison-{self.chance.getrandbits(64):x}"]
                self.poison.add(orjson.dumps(junk[0]))
            for key, body in self.trail.objects(1, records, junk):
                self._bucket.put_object(Bucket=BUCKET, Key=key, Body=body)

    def recover(self, fault: str, arrived: Callable[[], Counter[str]]) -> None:
        """Measure how long after a fault's end all that was put so far has arrived."""
        self.daemon.await_start()
        began = time.monotonic()
        while missing := set(self.trail.event_ids) - set(arrived()):
            waited = time.monotonic() - began
            assert self.daemon.running, f"seed {self.seed}, {fault}: the daemon is dead: {self.daemon.log()}"
            assert waited < MOST_RECOVERY_SECONDS, (
                f"seed {self.seed}, {fault}: {len(missing)} records are not there after {waited:.0f} s: "
                + self.daemon.log()[-4000:]
            )
            time.sleep(0.05)
        took = time.monotonic() - began
        self.recoveries.append((fault, took))
        self.say(f"{fault}: recovered {took:.1f} s after its end")
        self.peak = max(self.peak, self.daemon.peak_megabytes)

    def metric(self, name: str) -> float:
        """Return the sum of one of the running daemon's metrics over its labels."""
        with urllib.request.urlopen(f"http://{self._listen}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def finish(self) -> dict[str, Any]:
        """Stop the daemon in order, and let one more run ship what is left."""
        if self.daemon.running:
            self.peak = max(self.peak, self.daemon.peak_megabytes)
            assert self.daemon.terminate() == 0, self.daemon.log()
        self.daemon.wrapper = [] if self.daemon.wrapper[:1] != ["nsenter"] else self.daemon.wrapper
        code, summary = self.daemon.once()
        assert code == 0, (summary, self.daemon.log())
        return summary

    def judge(self, stored: Counter[str], *, most_duplicates: int = 0) -> None:
        """Compare what arrived with what was put, and the ledger with both; the daemon has ended.

        Args:
            stored: how often each eventID is in the destination.
        """
        where = f"seed {self.seed}"
        expected = Counter(self.trail.event_ids)
        assert expected - stored == Counter(), f"{where}: lost"
        assert set(stored) - set(expected) == set(), f"{where}: foreign"
        doubled = (stored - expected).total()
        assert doubled <= most_duplicates, f"{where}: {doubled} duplicates, more than {most_duplicates}"
        # SQLite follows /proc/<pid>/root back into this process's own namespace, so that it gets a copy.
        copy = Path(tempfile.mkdtemp(dir=self._folder))
        for file in self._view.glob("*.sqlite*"):
            shutil.copy(file, copy)
        letters = SqliteDeadLetters(copy / "dead_letters.sqlite", 1 << 30)
        kept = Counter(letter.payload for letter in letters.letters())
        letters.close()
        assert set(kept) == self.poison, (
            f"{where}: the dead letters are not what was planted: {self.poison - set(kept)} are missing,"
            f" {set(kept) - self.poison} should not be there"
        )
        store = SqliteCheckpoints(copy / "checkpoints.sqlite", read_only=True)
        for line in store.receipts():
            ends = line.delivered + line.present + line.filtered + line.dead_lettered + line.repaired
            assert line.read == ends, f"{where}: unaccounted {line}"
        assert store.pinned("trail") == [], f"{where}: pinned"
        store.close()
        assert self.peak < MOST_MEGABYTES, f"{where}: {self.peak:.0f} MB"
        self.say(f"{len(expected)} records, {len(self.poison)} dead letters, {doubled} doubled, {self.peak:.0f} MB")


def event_ids(sources: list[bytes]) -> Counter[str]:
    """How often each eventID is among documents in ECS."""
    return Counter(orjson.loads(source)["event"]["id"] for source in sources)


def _this_minute() -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
