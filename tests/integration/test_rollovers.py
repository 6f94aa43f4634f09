"""Nothing is stored twice over rollovers: real servers, the program's own commands, three backing indices and more."""

from __future__ import annotations

import shutil
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.test_audit import OLD, Place
from tests.parts.moto import Moto

SERVERS = ["elasticsearch9", "elasticsearch8", "opensearch"]


@pytest.fixture(params=SERVERS)
def place(request: pytest.FixtureRequest, tmp_path: Path, moto: Moto) -> Place:
    """A place at each server, without an archive."""
    found = Place(tmp_path, moto, request.getfixturevalue(request.param))
    del found.sinks["files"]
    return found


def roll_over(place: Place, times: int = 3) -> None:
    """Roll the data stream over, leaving what was stored last without a refresh."""
    for _ in range(times):
        answer = place.server.request("POST", f"{place.names}/_rollover")
        assert answer.status == 200, answer


def copies(place: Place) -> Counter[str]:
    """How often each id stands in all backing indices together."""
    place.refresh()
    found = place.server.request("POST", f"{place.names}/_search", {"size": 10_000, "_source": False})
    return Counter(hit["_id"] for hit in found.body["hits"]["hits"])


def test_what_was_reset_is_shipped_again_and_stands_once(place: Place) -> None:
    """Three rollovers, nothing refreshed, and a state that knows nothing any more."""
    place.put(6, 20)
    assert place("run", "--once") == 0
    roll_over(place)
    assert place("checkpoints", "reset", "--source", "s3", "--yes") == 0
    place.put(2, 20)
    assert place("run", "--once") == 0
    assert (len(copies(place)), set(copies(place).values())) == (160, {1})


def test_a_lost_state_doubles_nothing(place: Place) -> None:
    """Nobody told the program that it was there before."""
    place.put(4, 10)
    place.ship()
    roll_over(place)
    shutil.rmtree(place.folder / "state")
    place.ship()
    assert (len(copies(place)), set(copies(place).values())) == (40, {1})


def test_a_backfill_finds_what_is_in_each_of_many_indices(place: Place) -> None:
    """Objects that were shipped before each of three rollovers, and some that were not."""
    for _ in range(3):
        place.put(3, 10)
        place.ship()
        roll_over(place, 1)
    place.put(2, 10)
    day, until = f"{OLD - timedelta(days=1):%Y-%m-%d}", f"{OLD + timedelta(days=1):%Y-%m-%d}"
    assert place("backfill", "--source", "s3", "--since", day, "--until", until) == 0
    assert (len(copies(place)), set(copies(place).values())) == (110, {1})
    place.ship()
    assert set(copies(place).values()) == {1}
