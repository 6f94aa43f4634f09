"""Which objects an audit finds that nothing is known of, over what the real listing source left in its state."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

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
        found, inventory = self.judged(Hashes(), **wanted)
        return [key for key, _ in found], inventory

    def judged(self, settled: Hashes, **wanted: float) -> tuple[list[tuple[str, bool]], Inventory]:
        """Return each unknown object, and whether it is certain that it was never settled."""
        inventory = Inventory(
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
        return [(each.object.key, each.certain) for each in inventory.unknown()], inventory


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


def test_receipts_of_all_that_a_closed_day_had_prove_that_a_late_object_was_never_settled(world: World) -> None:
    """Their checksum is the one that the day was closed with; without them, any of the day's may be the new one."""
    late = world.put(NOW - 6 * DAY, "late", written=NOW + 60)
    world.clock.now += 120
    everything = []
    after = ""
    while (page := world.bucket.page("", after)).objects:
        everything += [item for item in page.objects if item.key != late]
        after = page.objects[-1].key
    found, _ = world.judged(Hashes(item.hash for item in everything))
    assert found == [(late, True)]
    some = Hashes(item.hash for item in everything if "_x." in item.key)
    found, _ = world.judged(some)
    assert {certain for _, certain in found} == {False}
    assert late in dict(found)


def test_an_open_day_proves_by_itself_what_was_never_settled(world: World) -> None:
    """Its hashes are all kept, so that no receipt and no sink is needed."""
    new = world.put(NOW - HOUR, "new", written=NOW + 60)
    world.clock.now += DAY + HOUR
    assert world.judged(Hashes())[0] == [(new, True)]


def test_what_no_log_type_takes_is_named_and_bounded(world: World) -> None:
    """Folders once, objects beside the days by name, digests and other log types not at all."""
    account = "AWSLogs/111122223333"
    for name in ("a", "b"):
        world.bucket.put(f"{account}/CloudTrail-Lake/us-east-1/2026/03/10/{name}.gz", NOW)
        world.bucket.put(f"{account}/CloudTrail-Digest/us-east-1/2026/03/10/{name}.gz", NOW)
        world.bucket.put(f"{account}/vpcflowlogs/us-east-1/2026/03/10/{name}.gz", NOW)
    world.bucket.put(f"{account}/CloudTrail/us-east-1/notes.txt", NOW)
    world.bucket.put("reports/a.csv", NOW)
    _, inventory = world.unknown()
    assert sorted(inventory.left_aside) == [
        f"{account}/CloudTrail-Lake/",
        f"{account}/CloudTrail/us-east-1/notes.txt",
        "reports/",
    ]
    assert inventory.any_of_ours
    for number in range(1500):
        world.bucket.put(f"{account}/CloudTrail/us-east-1/z{number}.txt", NOW)
    _, inventory = world.unknown()
    assert len(inventory.left_aside) == 1000
    assert inventory.more_left_aside == 503


def test_an_empty_place_is_said() -> None:
    """Digests and the files by which services try their rights are nothing to ship."""
    world = World()
    world.bucket = MemoryBucket()
    world.bucket.put("AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/03/10/a.gz", NOW)
    _, inventory = world.unknown()
    assert not inventory.any_of_ours
    assert "there is nothing to ship in s3://trail/" in inventory.emptiness


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
