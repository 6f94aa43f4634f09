"""Which objects an audit finds that nothing is known of, over what the real listing source left in its state."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shipper.model import S3Object
from shipper.sources.s3_inventory import Inventory, Wanted
from shipper.sources.s3_scope import Hashes
from tests.fakes.checkpoints import MemoryCheckpoints
from tests.fakes.s3 import MemoryBucket, TurnedClock, Worker, a_source

NOW = datetime(2026, 3, 20, 12, 0, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86_400.0


def key(moment: float, name: str = "a") -> str:
    when = datetime.fromtimestamp(moment, UTC)
    file = f"111122223333_CloudTrail_us-east-1_{when:%Y%m%dT%H%MZ}_{name}.json.gz"
    return f"AWSLogs/111122223333/CloudTrail/us-east-1/{when:%Y/%m/%d}/{file}"


class World:
    """A bucket, and the state of a source that has read it day by day."""

    def __init__(self) -> None:
        self.bucket = MemoryBucket(page_size=3)
        self.clock = TurnedClock(NOW)
        self.store = MemoryCheckpoints(self.clock)
        for days in reversed(range(8)):
            self.clock.now = NOW - days * DAY
            self.put(self.clock.now - 2 * HOUR, "x")
            self.put(self.clock.now - 2 * HOUR, "y")
            self.look()

    def put(self, moment: float, name: str, written: float | None = None) -> str:
        name = key(moment, name)
        self.bucket.put(name, moment + 300 if written is None else written)
        return name

    def look(self) -> None:
        source = a_source(self.bucket, self.store, self.clock)
        Worker(self.bucket).finish_all(source)

    def unknown(self, **wanted: float) -> tuple[list[str], Inventory]:
        """Ask without any receipts: the state alone has to tell."""
        inventory = self.inventory(Hashes(), **wanted)
        return [each.object.key for each in inventory.unknown()], inventory

    def certain(self, *with_receipt: S3Object) -> dict[str, bool]:
        """Whether what nothing is known of was surely never settled, by the end of its key."""
        inventory = self.inventory(Hashes(item.hash for item in with_receipt))
        return {each.object.key[-9:]: each.certain for each in inventory.unknown()}

    def inventory(self, settled: Hashes, **wanted: float) -> Inventory:
        return Inventory(
            self.bucket,
            "",
            "cloudtrail",
            Wanted(**{"since": NOW - 30 * DAY, **wanted}),  # type: ignore[arg-type]  # one of them is a flag
            names=["trail"],
            store=self.store,
            settled=settled,
            waiting=frozenset(),
            layouts_only=False,
            now=self.clock.now,
        )


@pytest.fixture
def world() -> World:
    return World()


def test_the_state_alone_knows_open_and_closed_days(world: World) -> None:
    """Open days by their hashes, closed ones by number and checksum, though no receipt is kept."""
    found, inventory = world.unknown()
    assert found == []
    assert (inventory.listed, inventory.due_later) == (16, 0)


def test_an_object_that_came_to_a_closed_day_is_found_at_once(world: World) -> None:
    """With the others of its day, which nothing but receipts can tell from it."""
    late = world.put(NOW - 6 * DAY, "late", written=NOW + 60)
    world.clock.now += 120
    found, _ = world.unknown()
    assert late in found
    assert {name[:60] for name in found} == {late[:60]}


def test_an_object_of_an_open_day_is_due_when_a_full_look_was_after_it(world: World) -> None:
    """Not before: the next look finds it. An object that no look finds for a day is due whatever the looks were."""
    new = world.put(NOW - HOUR, "new", written=NOW + 60)
    world.clock.now += 120
    found, inventory = world.unknown()
    assert (found, inventory.due_later) == ([], 1)
    world.clock.now += DAY + HOUR
    assert world.unknown()[0] == [new]


def test_objects_deleted_since_make_a_closed_day_unprovable_without_receipts(world: World) -> None:
    """Its checksum is another then, so that what is left of it is asked for; nothing is concluded from it."""
    gone = key(NOW - 6 * DAY - 2 * HOUR, "x")
    world.bucket.delete(gone)
    assert world.unknown()[0] == [gone.replace("_x.", "_y.")]


def test_what_was_never_settled_is_told_from_what_is_forgotten(world: World) -> None:
    """A closed day keeps a number and a checksum: only the receipts of its objects say which those were."""
    late = world.put(NOW - 6 * DAY, "late", written=NOW + 60)
    empty = world.put(NOW - 20 * DAY, "old", written=NOW + 60)
    world.clock.now += 120
    assert world.certain() == {late[-9:]: False, "x.json.gz": False, "y.json.gz": False, empty[-9:]: True}
    x, y = (world.bucket.put(key(NOW - 6 * DAY - 2 * HOUR, name), NOW - 6 * DAY - 2 * HOUR + 300) for name in "xy")
    assert world.certain(x, y) == {late[-9:]: True, empty[-9:]: True}
    assert world.certain(x) == {late[-9:]: False, "y.json.gz": False, empty[-9:]: True}


def test_objects_before_the_period_are_left_out(world: World) -> None:
    """By their labels, and for a queue by when they were written."""
    assert world.unknown(since=NOW - 2 * DAY)[1].listed == 4
    assert world.unknown(written_since=NOW - 2 * DAY)[1].listed == 4


def test_a_queue_is_given_hours(world: World) -> None:
    """A notification comes within minutes, and a backlog is not a loss."""
    new = world.put(NOW - HOUR, "new", written=NOW + 60)
    world.clock.now += 5 * HOUR
    assert world.unknown(notified=True)[0] == []
    world.clock.now += 2 * HOUR
    assert world.unknown(notified=True)[0] == [new]
