"""What the listing source promises beyond its cursor: pins, retries, groups, what is left out, fairness, `--once`."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice, pairwise

import pytest
from structlog.testing import capture_logs

from shipper.errors import RetryableError
from shipper.metrics import Metrics
from tests.fakes.checkpoints import MemoryCheckpoints
from tests.fakes.pipeline import MemoryDeadLetters
from tests.fakes.s3 import MemoryBucket, TurnedClock, Worker, a_source

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC).timestamp()
DAY = 86400.0
HOUR = 3600.0


def key_at(
    moment: float, account: str = "1" * 12, folder: str = "CloudTrail", suffix: str = "a", root: str = ""
) -> str:
    stamp = datetime.fromtimestamp(moment, UTC)
    return (
        f"{root}AWSLogs/{account}/{folder}/us-east-1/{stamp:%Y/%m/%d}/"
        f"{account}_{folder}_us-east-1_{stamp:%Y%m%dT%H%MZ}_{suffix}.json.gz"
    )


class Fixture:
    """A source over an empty bucket at a fixed time."""

    def __init__(self, page_size: int = 1000) -> None:
        self.clock = TurnedClock(NOW)
        self.bucket = MemoryBucket(page_size=page_size)
        self.store = MemoryCheckpoints(self.clock)
        self.worker = Worker(self.bucket)
        self.metrics = Metrics()
        self.letters = MemoryDeadLetters()
        self.start = 0.0
        self.prefix = ""
        self.restart()

    def restart(self) -> None:
        self.source = a_source(
            self.bucket,
            self.store,
            self.clock,
            start=self.start,
            prefix=self.prefix,
            metrics=self.metrics,
            dead_letters=self.letters,
        )

    def put(self, moment: float, size: int = 100, **more: str) -> str:
        key = key_at(moment, **more)
        self.bucket.put(key, moment, size=size)
        return key

    def look(self) -> list[str]:
        return [item.key for split in self.worker.finish_all(self.source) for item in split.objects]

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, {"source": "trail", **labels}) or 0.0


@pytest.fixture
def world() -> Fixture:
    return Fixture()


def test_splits_are_pinned_before_they_are_yielded(world):
    """Whoever holds a split may crash: the store has it already."""
    world.put(NOW - HOUR)
    split = next(iter(world.source.splits()))
    assert world.store.pinned("trail") == [split]


def test_after_a_crash_pinned_splits_come_first_and_unchanged(world):
    """New objects never change a split that was begun, so that what is shipped again lands in the same places."""
    world.put(NOW - HOUR, suffix="m")
    world.put(NOW - HOUR, suffix="n")
    before = list(world.source.splits())
    world.put(NOW - 2 * HOUR, suffix="a")
    world.restart()
    after = list(world.source.splits())
    assert after[: len(before)] == before
    assert [item.key for split in after[len(before) :] for item in split.objects] == [key_at(NOW - 2 * HOUR)]


def test_a_split_in_flight_is_not_yielded_twice(world):
    """A look while splits are on their way finds only what is new."""
    world.put(NOW - HOUR)
    assert len(list(world.source.splits())) == 1
    world.clock.now += 6 * HOUR
    assert list(world.source.splits()) == []


def test_an_overwritten_object_is_shipped_again(world):
    """Other content under the same key is another object."""
    key = world.put(NOW - HOUR)
    world.look()
    world.bucket.put(key, NOW, etag="other")
    world.clock.now += 300
    assert world.look() == [key]


def test_a_released_split_waits_and_comes_again(world):
    """The wait grows with each failure, and the server's wish is kept."""
    world.put(NOW - HOUR)
    (split,) = world.source.splits()
    waits = []
    for retry_after in (None, None, None, 60.0):
        world.source.release(split, RetryableError("busy", retry_after))
        began = world.clock.now
        while not (again := list(world.source.splits())):
            world.clock.now += max(world.source.idle_seconds(), 0.1)
        assert again == [split]
        waits.append(round(world.clock.now - began))
    assert waits == [5, 10, 20, 60]
    assert not world.source.complete()
    world.worker.finish(world.source, split)
    assert list(world.source.splits()) == []
    assert world.source.complete()


def test_small_objects_are_grouped_within_bounds(world):
    """At most 64 objects and 4 MB a split, a large object alone, one account's objects together."""
    for minute in range(150):
        world.put(NOW - 2 * HOUR + 60 * minute)
    world.put(NOW - 5 * HOUR, size=9_000_000)
    for minute in range(5):
        world.put(NOW - 4 * HOUR + 60 * minute, size=1_500_000)
    world.put(NOW - HOUR, account="2" * 12)
    splits = list(world.source.splits())
    assert sum(len(split.objects) for split in splits) == 157
    for split in splits:
        assert len(split.objects) <= 64
        assert split.size_bytes <= 4_194_304 or len(split.objects) == 1
        assert len({item.key.split("/")[1] for item in split.objects}) == 1
    assert len({split.id for split in splits}) == len(splits)


def test_only_what_is_labelled_after_the_start_is_shipped(world):
    """`start` is kept to the minute."""
    world.start = NOW - 30 * HOUR
    world.restart()
    world.put(NOW - 31 * HOUR)
    world.put(NOW - 30 * HOUR - 60)
    wanted = [world.put(NOW - 30 * HOUR), world.put(NOW - HOUR)]
    assert sorted(world.look()) == wanted


def test_a_relative_start_does_not_move_with_restarts(world):
    """After two days of downtime a start of "-24h" skips nothing: the first run's start is kept."""
    world.start = NOW - DAY
    world.restart()
    world.put(NOW - HOUR)
    world.look()
    world.clock.now += 2 * DAY
    key = world.put(NOW + HOUR)
    world.start = world.clock.now - DAY
    world.restart()
    assert world.look() == [key]


@pytest.mark.parametrize("ahead", [-3 * DAY, 3 * DAY])
def test_a_relative_start_counts_from_awss_time(world, ahead):
    """A machine whose clock is wrong at the first start skips no day and ships none more: AWS sets it right."""
    world.source = a_source(
        world.bucket, world.store, world.clock, start=lambda now: now - DAY, dead_letters=world.letters
    )
    world.put(NOW - DAY - HOUR)
    wanted = world.put(NOW - DAY + HOUR)
    world.clock.now = NOW + ahead

    def answered() -> None:
        world.clock.now = NOW

    world.bucket.on_request = answered
    assert world.look() == [wanted]
    assert world.store.cursors("trail")[""]["start"] == NOW - DAY


def test_no_start_is_kept_before_aws_has_answered(world):
    """An outage at the first start leaves nothing behind that a wrong clock said."""

    def away() -> None:
        raise RetryableError("no route")

    world.bucket.on_request = away
    with pytest.raises(RetryableError):
        world.look()
    assert "" not in world.store.cursors("trail")


def test_a_backfill_ships_oldest_first_and_does_not_starve_what_is_new():
    """A new object is found within minutes although years of old ones are still being listed."""
    world = Fixture(page_size=10)
    old = [world.put(NOW - 300 * DAY + number * HOUR) for number in range(500)]
    found: list[str] = []
    fresh = ""
    for number, split in enumerate(world.source.splits()):
        found += [item.key for item in split.objects]
        world.worker.finish(world.source, split)
        world.clock.now += 60.0
        if number == 5:
            fresh = world.put(world.clock.now)
    assert [key for key in found if key != fresh] == old
    assert found.index(fresh) < 150


def test_a_backfill_is_streamed():
    """Listing goes on only as splits are taken: keys of a long past are never in memory at once."""
    world = Fixture(page_size=100)
    for number in range(3000):
        world.put(NOW - 300 * DAY + 60 * number)
    look = iter(world.source.splits())
    next(look)
    assert len(world.store.pinned("trail")[0].objects) + len(world.store.pinned("trail")[1].objects) == 100
    assert world.bucket.requests < 12


def test_digests_and_strangers_are_counted_once_and_not_shipped(world):
    """CloudTrail's digest files, and files in its folders without a date, are filtered, not lost silently."""
    key = world.put(NOW - HOUR)
    world.put(NOW - HOUR, folder="CloudTrail-Digest")
    world.bucket.put(key.split("/2026")[0] + "/notes.txt", NOW)
    insight = world.put(NOW - HOUR, folder="CloudTrail-Insight")
    assert sorted(world.look()) == sorted([key, insight])
    world.restart()
    world.look()
    assert world.counted("shipper_objects_filtered_total", reason="digest") == 1
    assert world.counted("shipper_objects_filtered_total", reason="unrecognised") == 1
    assert world.source.complete()


@pytest.mark.parametrize("kind", ["CloudTrail-NetworkActivity", "CloudTrail-Aggregated"])
def test_network_activity_and_aggregated_events_are_listed(world, kind):
    """Each folder is a scope of its own, listed by the minute as the others."""
    keys = [world.put(NOW - days * DAY, folder=kind) for days in (0, 1, 40)]
    assert sorted(world.look()) == sorted(keys)
    world.clock.now += 600
    new = world.put(world.clock.now - 60, folder=kind)
    assert world.look() == [new]


def test_folders_that_no_log_type_takes_are_counted_and_logged_once(world):
    """Whether there are logs beside them or not; what another log type takes is counted as that, and not logged."""
    kept = world.put(NOW - HOUR)
    for day in range(3):
        world.put(NOW - day * DAY, folder="CloudTrail-Lake")
        world.put(NOW - day * DAY, folder="vpcflowlogs")
    world.bucket.put("reports/2026/a.csv", NOW)
    with capture_logs() as lines:
        assert world.look() == [kept]
        for _ in range(3):
            world.clock.now += HOUR
            world.look()
    folders = [line["folder"] for line in lines if "no log type takes" in line["event"]]
    account = "1" * 12
    assert sorted(folders) == [f"s3://trail/AWSLogs/{account}/CloudTrail-Lake/", "s3://trail/reports/"]
    assert world.counted("shipper_objects_filtered_total", reason="unrecognised") == 2
    assert world.counted("shipper_objects_filtered_total", reason="other_logs") == 1


def test_a_full_listing_names_the_folders_that_it_leaves_aside(world):
    """Without a folder of the source's logs all is shipped, but for what lies in other folders of AWS's."""
    world.bucket.put("firehose/a.gz", NOW)
    world.put(NOW, folder="CloudTrail-Lake")
    with capture_logs() as lines:
        assert world.look() == ["firehose/a.gz"]
    assert [line["folder"] for line in lines] == [f"s3://trail/AWSLogs/{'1' * 12}/CloudTrail-Lake/"]
    assert not world.source.found_nothing


@pytest.mark.parametrize("folder", [None, "CloudTrail-Digest", "vpcflowlogs"])
def test_a_place_with_nothing_to_ship_is_said_once(world, folder):
    """Also where only digests or other logs are; as soon as something is there, it is no longer."""
    if folder:
        world.put(NOW - HOUR, folder=folder)
    with capture_logs() as lines:
        for _ in range(3):
            assert world.look() == []
            world.clock.now += HOUR + 1
    (line,) = (line for line in lines if "nothing to ship" in line["event"])
    assert "s3://trail/" in line["why"]
    assert "AWSLogs/111122223333/CloudTrail/us-east-1/" in line["why"]
    assert world.source.found_nothing
    world.put(world.clock.now - 60)
    world.look()
    assert not world.source.found_nothing


def test_organisations_prefixes_and_new_accounts_are_discovered(world):
    """Several roots in one bucket are walked, other services are not, and a new account is found within the hour."""
    keys = {
        world.put(NOW - HOUR, root="one/"),
        world.put(NOW - HOUR, root="two/deep/", account="3" * 12),
        world.put(NOW - HOUR).replace("AWSLogs/", "AWSLogs/o-ab12cd34ef/"),
        world.put(NOW - HOUR),
    }
    for key in keys:
        world.bucket.put(key, NOW - HOUR)
    world.bucket.put(f"AWSLogs/{'1' * 12}/Config/us-east-1/2026/3/10/x.json.gz", NOW)
    world.bucket.put("unrelated/report.csv", NOW)
    assert set(world.look()) == keys
    new = world.put(NOW + 1800, account="6" * 12)
    world.clock.now += HOUR + 1
    assert world.look() == [new]


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "AWSLogs",
        "AWSLogs/",
        "AWSLogs/11",
        f"AWSLogs/{'1' * 12}/CloudTrail/us-east-1/",
        "AWSLogs/111111111111/CloudTrail/us-east-1/2026/03/",
    ],
)
def test_any_beginning_of_the_keys_may_be_the_prefix(world, prefix):
    """However deep the prefix is, the same objects are found, and none outside of it."""
    world.prefix = prefix
    world.restart()
    key = world.put(NOW - HOUR)
    world.put(NOW - HOUR, root="other/", account="2" * 12)
    found = world.look()
    assert key in found
    assert len(found) == (2 if not prefix else 1)


def test_a_bucket_without_the_layout_is_listed_in_full(world):
    """Keys of any form are shipped once, by their LastModified day; folders of other services are left alone."""
    world.start = NOW - 10 * DAY
    world.restart()
    world.bucket.put("exports/", NOW, size=0)
    world.bucket.put("exports/old.json.gz", NOW - 11 * DAY)
    world.bucket.put(f"AWSLogs/{'1' * 12}/elasticloadbalancing/us-east-1/2026/03/10/x.gz", NOW)
    keys = [f"exports/{name}.json.gz" for name in ("b", "c")]
    for key in keys:
        world.bucket.put(key, NOW - 5 * DAY)
    assert world.look() == keys
    world.bucket.put("exports/a.json.gz", NOW)
    world.clock.now += 300
    assert world.look() == ["exports/a.json.gz"]
    world.restart()
    assert world.look() == []
    world.clock.now += 5 * DAY
    world.look()
    assert world.store.open_hashes == 0


def test_a_layout_that_appears_later_takes_over(world):
    """A daemon that was started before the trail finds its first objects at the next look, and ships them once."""
    assert world.look() == []
    key = world.put(NOW + 60)
    world.clock.now += 300
    assert world.look() == [key]
    world.clock.now += 2 * HOUR
    assert world.look() == []
    assert world.source.complete()


def test_a_missing_object_is_tried_for_ten_minutes_and_then_given_up(world):
    """Three attempts, then a dead letter and a count, and the listing is complete again."""
    key = world.put(NOW - HOUR)
    world.worker.refused[key] = "missing"
    attempts = []
    for _ in range(40):
        if world.look():
            attempts.append(world.clock.now - NOW)
        world.clock.now += 30.0
    assert attempts == [0.0, 120.0, 600.0]
    assert [letter.reason for letter in world.letters.letters] == ["object_deleted"]
    assert world.letters.letters[0].origin.account == "1" * 12
    assert world.counted("shipper_objects_filtered_total", reason="deleted") == 1
    assert world.counted("shipper_objects_waiting", kind="missing") == 0
    assert world.source.complete()


def test_a_refused_object_is_never_given_up(world):
    """403 burns no attempt: the waits grow to an hour, it is shown as waiting, and shipped when it is allowed."""
    key = world.put(NOW - HOUR)
    world.worker.refused[key] = "forbidden"
    attempts = []
    while world.clock.now < NOW + 6 * DAY:
        if world.look():
            attempts.append(world.clock.now)
        world.clock.now += 60.0
    gaps = [round(later - earlier) for earlier, later in pairwise(attempts)]
    assert gaps[:4] == [60, 120, 240, 480]
    assert max(gaps) <= 3660
    assert not world.source.complete()
    assert world.counted("shipper_objects_waiting", kind="forbidden") == 1
    world.restart()
    world.worker.refused.clear()
    world.clock.now += HOUR
    assert world.look() == [key]
    assert world.worker.settled == {key: 1}
    assert world.counted("shipper_objects_waiting", kind="forbidden") == 0


def test_an_archived_object_is_tried_slowly(world):
    """A restore takes hours, so attempts are hours apart."""
    key = world.put(NOW - HOUR)
    world.worker.refused[key] = "archived"
    world.look()
    (retry,) = world.store.retries("trail")
    assert retry.next_at == NOW + HOUR


def test_a_refused_scope_does_not_fill_the_retry_table(world):
    """When 200 objects of a scope are refused its listing pauses; other scopes go on; nothing is lost."""
    mine = [world.put(NOW - 2 * DAY + 60 * number) for number in range(1000)]
    world.bucket.page_size = 100
    other = world.put(NOW - HOUR, account="2" * 12)
    for key in mine:
        world.worker.refused[key] = "forbidden"
    assert other in world.look()
    assert 200 <= len(world.store.retries("trail")) <= 300
    world.worker.refused.clear()
    for _ in range(5):
        world.clock.now += HOUR
        world.look()
    assert world.worker.settled == dict.fromkeys([*mine, other], 1)


def test_neighbours_of_an_unreadable_object_are_settled(world):
    """One refused object holds up no other of its split."""
    bad, good = world.put(NOW - HOUR, suffix="a"), world.put(NOW - HOUR, suffix="b")
    world.worker.refused[bad] = "forbidden"
    world.look()
    assert world.worker.settled == {good: 1}
    assert [retry.object.key for retry in world.store.retries("trail")] == [bad]


def test_an_outage_is_told_and_the_look_goes_on_where_it_was(world):
    """The coordinator hears of a failed listing; what was yielded stands, and nothing is skipped."""
    world.bucket.page_size = 1
    keys = [world.put(NOW - HOUR + 60 * number) for number in range(6)]
    found: list[str] = []
    look = world.source.splits()
    for split in islice(look, 3):
        world.worker.finish(world.source, split)
        found += [item.key for item in split.objects]
    world.bucket.failures = [RetryableError("reset")]
    with pytest.raises(RetryableError, match="reset"):
        list(look)
    assert not world.source.complete()
    assert found + world.look() == keys


def test_one_denied_folder_does_not_stop_the_others(world):
    """The others are shipped, and the denial is told each time."""
    denied = world.put(NOW - HOUR)
    allowed = world.put(NOW - HOUR, account="2" * 12)
    world.bucket.denied = {denied.split("2026")[0]}
    with pytest.raises(RetryableError, match="AccessDenied"):
        world.look()
    world.clock.now += 61
    with pytest.raises(RetryableError, match="AccessDenied"):
        world.look()
    world.bucket.denied = set()
    world.clock.now += 61
    world.look()
    assert world.worker.settled == {denied: 1, allowed: 1}


def test_expired_credentials_stop_the_look_at_once(world):
    """When everything is denied, thousands of scopes are not tried one by one."""
    for number in range(50):
        world.put(NOW - HOUR, account=f"{number:012}")
    world.look()
    world.clock.now += HOUR
    before = world.bucket.requests
    world.bucket.failures = [RetryableError("ExpiredToken", paused=True)] * 100
    with pytest.raises(RetryableError, match="ExpiredToken"):
        world.look()
    assert world.bucket.requests - before == 3


def test_once_lists_everything_even_right_after_another_run(world):
    """A second `--once` a minute later finds what came in between, and knows that it is complete."""
    first = world.put(NOW - 20 * DAY)
    assert not world.source.complete()
    assert world.look() == [first]
    assert world.source.complete()
    world.clock.now += 60
    second = world.put(NOW - 5 * HOUR)
    world.restart()
    assert world.look() == [second]
    assert world.source.complete()


def test_idle_until_the_next_listing_is_due(world):
    """At most a minute, and not at all when something waits to be done."""
    world.put(NOW - HOUR)
    world.look()
    assert world.source.idle_seconds() == 60.0
    world.clock.now += 299
    assert 0.0 <= world.source.idle_seconds() <= 1.0
    world.clock.now += 10
    assert world.source.idle_seconds() == 0.0


def test_quiet_listings_are_few(world):
    """A day of listing one quiet scope costs about 288 hot, 24 warm and 4 cold requests, and the walks."""
    world.put(NOW - HOUR)
    world.look()
    before = world.bucket.requests
    while world.clock.now < NOW + DAY:
        world.clock.now += max(world.source.idle_seconds(), 1.0)
        world.look()
    assert world.bucket.requests - before <= 290 + 26 + 6 + 3 + 24 * 5


@pytest.mark.parametrize("seconds", [0.9, HOUR])
def test_an_answer_that_sets_the_clock_back_holds_nothing_up(world, seconds):
    """The machine's clock counts until AWS's answers tell the time: what was found before is listed."""
    found = world.put(NOW - HOUR)

    def answered() -> None:
        world.clock.now -= seconds

    world.bucket.on_request = answered
    assert world.look() == [found]
    assert world.source.complete()
    assert world.source.idle_seconds() == 60.0
