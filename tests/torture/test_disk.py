"""Disks that fill up (a real tmpfs) and fail (errors that strace injects), under state, dead letters and archive."""

from __future__ import annotations

import collections
import io
import json
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from tests.fakes.elasticsearch import FakeElasticsearch
from tests.parts.debian import unpacked
from tests.parts.moto import Moto
from tests.parts.small_disk import small_disk
from tests.process.test_signals import await_true
from tests.torture.campaign import scenes
from tests.torture.scene import BATCH, LONG, Scene, at_length, event_ids

MEGABYTE = 1 << 20
OBJECTS = 6
FAULTS = [("fsync,fdatasync", "EIO"), ("pwrite64", "ENOSPC"), ("pwrite64", "EIO")]
WAITING = "dead letters cannot be stored"


@pytest.fixture
def elasticsearch() -> Iterator[FakeElasticsearch]:
    """A sink that counts how often each document is stored."""
    with FakeElasticsearch() as server:
        yield server


def siem(server: FakeElasticsearch) -> dict[str, object]:
    return {"type": "elasticsearch", "hosts": [server.url], "batch_documents": BATCH}


def indexed(server: FakeElasticsearch) -> Counter[str]:
    with server.lock:
        return event_ids(list(server.stored.values()))


def archived(folder: Path) -> Counter[str]:
    """How often each eventID stands in complete files."""
    ids: Counter[str] = collections.Counter()
    for path in folder.rglob("*.ndjson.zst"):
        with (
            path.open("rb") as file,
            zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as lines,
        ):
            ids.update(json.loads(line)["event"]["id"] for line in io.TextIOWrapper(lines))
    return ids


@pytest.mark.parametrize("seed", scenes())
def test_a_full_disk_under_the_state(seed, tmp_path, moto: Moto, elasticsearch):
    """Nothing is settled any more and the process ends with words; with room again, nothing is lost or doubled."""
    with small_disk(tmp_path / "state", 2 * MEGABYTE) as disk:
        sinks = {"siem": siem(elasticsearch)}
        with Scene(seed, tmp_path, moto, sinks, state=disk.path, view=disk.view, wrapper=disk.inside) as scene:
            scene.put(OBJECTS)
            scene.daemon.start()
            scene.recover("start", lambda: indexed(elasticsearch))
            disk.fill()
            for _ in range(40):
                scene.put(OBJECTS)
                if not scene.daemon.running:
                    break
            assert scene.daemon.wait() == 1, scene.daemon.log()
            assert "free disk space" in scene.daemon.log()
            disk.fill()  # SQLite gave its log's room back at the end
            scene.put(OBJECTS)
            scene.daemon.start()
            scene.daemon.await_start()
            await_true(lambda: not scene.daemon.running or WAITING in scene.daemon.log(), "it cannot go on either")
            disk.make_room()
            scene.daemon.leave()  # it may be about to end by itself, and a supervisor to start it again
            scene.daemon.start()
            scene.recover("full disk under the state", lambda: indexed(elasticsearch))
            scene.finish()
            scene.judge(indexed(elasticsearch))


@at_length
@pytest.mark.parametrize("seed", scenes())
def test_a_full_disk_under_the_archive(seed, tmp_path, moto: Moto, elasticsearch):
    """Splits wait and are shipped again whole; each record stands once in the archive, and once in the other sink."""
    with small_disk(tmp_path / "archive", MEGABYTE) as disk:
        sinks = {"siem": siem(elasticsearch), "archive": {"type": "archive", "path": str(disk.path)}}
        with Scene(seed, tmp_path, moto, sinks, wrapper=disk.inside) as scene:
            scene.put(OBJECTS)
            scene.daemon.start()
            scene.recover("start", lambda: archived(disk.view))
            disk.fill(leave=scene.chance.choice((0, 4096, 8192)))
            scene.put(OBJECTS)
            await_true(lambda: "No space left on device" in scene.daemon.log(), "the disk is full")
            disk.make_room()
            scene.recover("full disk under the archive", lambda: archived(disk.view))
            scene.finish()
            scene.judge(archived(disk.view))
            scene.judge(indexed(elasticsearch))
            assert not list(disk.view.rglob("*.part"))


def strace(*options: str) -> list[str]:
    """Run a command with faults in its system calls; it keeps its process id (-D)."""
    return [
        unpacked("strace", "strace", "usr/bin/strace"),
        "-D",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        *options,
    ]


def failing(calls: str, error: str, when: str, path: Path | None = None) -> list[str]:
    """Let some system calls fail, as the disk would; `when` as strace(1) has it: each thread counts for itself."""
    only = ["-P", str(path)] if path else []
    return strace("-e", f"trace={calls}", *only, "-e", f"inject={calls}:error={error}:when={when}")


@pytest.mark.parametrize("fault", FAULTS if LONG else FAULTS[:1])
@pytest.mark.parametrize("seed", scenes())
def test_checkpoints_that_cannot_be_written(seed, fault, tmp_path, moto: Moto, elasticsearch):
    """The process ends and says why; what was committed stands, what was not is shipped again under the same ids."""
    with Scene(seed, tmp_path, moto, {"siem": siem(elasticsearch)}) as scene:
        calls, error = fault
        scene.put(OBJECTS)
        first = scene.chance.randint(2, 12)
        scene.daemon.wrapper = failing(calls, error, f"{first}+", tmp_path / "state" / "checkpoints.sqlite-wal")
        scene.daemon.start()
        assert scene.daemon.wait() in (1, 78), scene.daemon.log()
        assert "free disk space" in scene.daemon.log() or "look at the disk" in scene.daemon.log()
        scene.daemon.wrapper = []
        scene.daemon.start()
        scene.recover(f"{error} at {calls} number {first} of the checkpoints", lambda: indexed(elasticsearch))
        scene.finish()
        scene.judge(indexed(elasticsearch))
        assert set(elasticsearch.writes.values()) == {1}


@at_length
@pytest.mark.parametrize("seed", scenes())
def test_dead_letters_that_cannot_be_written(seed, tmp_path, moto: Moto, elasticsearch):
    """Their splits wait, and are not settled before the letters are durable."""
    with Scene(seed, tmp_path, moto, {"siem": siem(elasticsearch)}, threads=1) as scene:
        path = tmp_path / "state" / "dead_letters.sqlite-wal"
        scene.daemon.wrapper = failing("fsync,fdatasync", "EIO", "1..3", path)
        scene.daemon.wrapper, wrapper = [], scene.daemon.wrapper
        assert scene.daemon.once()[0] == 0, "the stores are made while the disk is well"
        scene.daemon.wrapper = wrapper
        while not scene.poison:
            scene.put(1)
        scene.daemon.start()
        scene.daemon.await_start()
        await_true(lambda: WAITING in scene.daemon.log(), "the disk fails")
        scene.recover("EIO at fsync of the dead letters", lambda: indexed(elasticsearch))
        scene.finish()
        scene.judge(indexed(elasticsearch))


@at_length
@pytest.mark.parametrize("seed", scenes())
def test_an_archive_that_cannot_be_written(seed, tmp_path, moto: Moto, elasticsearch):
    """Syncing fails for a while: no file counts that is not on the disk; its split is shipped again, whole."""
    archive = {"type": "archive", "path": str(tmp_path / "archive")}
    with Scene(seed, tmp_path, moto, {"siem": siem(elasticsearch), "archive": archive}, threads=1) as scene:
        scene.put(OBJECTS)
        first = scene.chance.randint(1, 4)
        # SQLite uses fdatasync for its own files.
        scene.daemon.wrapper = failing("fsync", "EIO", f"{first}..{first + 2}")
        scene.daemon.start()
        await_true(lambda: "cannot be written: Input/output error" in scene.daemon.log(), "the disk fails")
        scene.recover(f"EIO at fsync number {first} of the archive", lambda: archived(tmp_path / "archive"))
        scene.finish()
        scene.judge(archived(tmp_path / "archive"))
        scene.judge(indexed(elasticsearch))


@pytest.mark.parametrize("seed", scenes())
def test_what_the_archive_has_is_on_the_disk(seed, tmp_path, moto: Moto, elasticsearch):
    """Before a split is settled its files, and the folders made for them, are synced: a power cut takes none."""
    archive, calls = tmp_path / "archive", tmp_path / "calls"
    sinks = {"siem": siem(elasticsearch), "archive": {"type": "archive", "path": str(archive)}}
    with Scene(seed, tmp_path, moto, sinks) as scene:
        scene.put(3)
        scene.daemon.wrapper = [*strace("-y", "-e", "trace=fsync"), "-o", str(calls)]
        scene.daemon.start()
        scene.recover("start", lambda: archived(archive))
        assert scene.daemon.terminate() == 0, scene.daemon.log()
        synced = set(re.findall(r"fsync\(\d+<([^>]+?)(?:\.[0-9a-f]{16})?(?:\.part)?>", calls.read_text()))
        folders = {folder for file in archive.rglob("*.zst") for folder in file.parents if tmp_path in folder.parents}
        assert folders | {tmp_path} <= {Path(path) for path in synced}
        assert {str(file) for file in archive.rglob("*.zst")} <= synced
        scene.finish()
        scene.judge(archived(archive))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", scenes())
def test_kills_at_each_commit(seed, tmp_path, moto: Moto, elasticsearch):
    """SIGKILL at the n-th sync of whatever file, for growing n: between any two writes the state is whole."""
    archive = {"type": "archive", "path": str(tmp_path / "archive")}
    calls = "fsync,fdatasync"
    with Scene(seed, tmp_path, moto, {"siem": siem(elasticsearch), "archive": archive}) as scene:
        for number in range(1, 30) if LONG else sorted(scene.chance.sample(range(1, 9), 2)):
            scene.daemon.wrapper = strace("-e", f"trace={calls}", "-e", f"inject={calls}:signal=SIGKILL:when={number}")
            scene.daemon.start()
            for _ in range(600):
                scene.put(1)
                if not scene.daemon.running:
                    break
                time.sleep(0.1)
            assert scene.daemon.wait(5) == -signal.SIGKILL, scene.daemon.log()
        scene.daemon.wrapper = []
        scene.finish()
        scene.judge(archived(tmp_path / "archive"))
        scene.judge(indexed(elasticsearch))
        assert set(elasticsearch.writes.values()) == {1}
