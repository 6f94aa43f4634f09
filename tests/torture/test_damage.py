"""A state that was damaged while the daemon was away: refused with a way out, or read; nothing is lost."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.elasticsearch import FakeElasticsearch
from tests.parts.moto import Moto
from tests.torture.campaign import scenes
from tests.torture.scene import BATCH, LONG, Scene, event_ids


def truncate(state: Path, chance: random.Random) -> None:
    """The end of the file is missing, as after a copy that was cut short."""
    file = state / "checkpoints.sqlite"
    file.write_bytes(file.read_bytes()[: chance.randrange(1, file.stat().st_size) | 1])
    (state / "checkpoints.sqlite-wal").unlink(missing_ok=True)


def overwrite(state: Path, chance: random.Random) -> None:
    """A page holds something else."""
    file = state / "checkpoints.sqlite"
    content = bytearray(file.read_bytes())
    at = chance.randrange(0, len(content) // 4096) * 4096
    content[at : at + 4096] = chance.randbytes(4096)
    file.write_bytes(content)
    (state / "checkpoints.sqlite-wal").unlink(missing_ok=True)


def garbage(state: Path, chance: random.Random) -> None:
    """It is no database at all."""
    (state / "checkpoints.sqlite").write_bytes(chance.randbytes(20_000))


def older(state: Path, chance: random.Random) -> None:
    """What was written last is missing: the state of an earlier moment."""
    (state / "checkpoints.sqlite-wal").unlink(missing_ok=True)


def empty(state: Path, chance: random.Random) -> None:
    """All files are gone."""
    for file in state.glob("checkpoints.sqlite*"):
        file.unlink()


def torn_log(state: Path, chance: random.Random) -> None:
    """The last commits are torn: SQLite finds that out by their checksums."""
    file = state / "checkpoints.sqlite-wal"
    if file.exists() and file.stat().st_size > 100:
        file.write_bytes(file.read_bytes()[: -chance.randrange(1, 100)])


DAMAGES: list[Callable[[Path, random.Random], None]] = [truncate, overwrite, garbage, older, empty, torn_log]


@pytest.mark.parametrize("seed", scenes())
def test_a_damaged_state(seed, tmp_path, moto: Moto):
    """The start is refused and says `checkpoints reset --damaged`, which helps; each record stands once."""
    with FakeElasticsearch() as elasticsearch:
        sink = {"type": "elasticsearch", "hosts": [elasticsearch.url], "batch_documents": BATCH}

        def arrived() -> Counter[str]:
            with elasticsearch.lock:
                return event_ids(list(elasticsearch.stored.values()))

        with Scene(seed, tmp_path, moto, {"siem": sink}) as scene:
            scene.put(3)
            scene.daemon.start()
            scene.recover("start", arrived)
            refused = 0
            for damage in DAMAGES if LONG else [scene.chance.choice(DAMAGES[1:]), truncate]:
                scene.daemon.await_start()
                ends: list[Callable[[], object]] = [
                    scene.daemon.terminate
                ]  # which brings all from SQLite's log into the file
                if damage not in (truncate, overwrite):
                    ends.append(scene.daemon.kill)
                scene.chance.choice(ends)()
                before = len(scene.daemon.log())
                damage(tmp_path / "state", scene.chance)
                scene.put(2)
                code, said = scene.daemon.command("checkpoints", "show")
                words = scene.daemon.log()[before:]
                anew = code and "there are no checkpoints" in words
                end = "begun anew" if anew else "refused" if code else "read"
                if end == "refused":
                    refused += 1
                    assert "checkpoints reset --damaged" in words, (damage, words)
                    scene.daemon.start()
                    assert scene.daemon.wait() == 78, scene.daemon.log()
                    code, said = scene.daemon.command("checkpoints", "reset", "--damaged", "--yes")
                    assert code == 0, said
                    assert list((tmp_path / "state").glob("*.damaged-*")), "it is kept for whoever wants to look"
                scene.daemon.start()
                scene.recover(f"{damage.__name__} ({end})", arrived)
            assert refused
            scene.finish()
            scene.judge(arrived())
            assert set(elasticsearch.writes.values()) == {1}
