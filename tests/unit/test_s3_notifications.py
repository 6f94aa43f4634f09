"""What the notifications source promises: when a message is deleted, kept, hidden, given back, or left alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from shipper.errors import RetryableError, UnreadableKind
from shipper.metrics import Metrics
from shipper.model import Receipt, S3Object, Split, Tally, Unread
from shipper.ports import Stop
from shipper.sources.s3_allowed import Allowed, places
from shipper.sources.s3_notifications import S3NotificationsSource
from shipper.sources.s3_retries import FORBIDDEN_LIMIT
from shipper.sources.sqs_held import LONGEST_SECONDS, Heartbeat, Held
from tests.fakes.checkpoints import MemoryCheckpoints
from tests.fakes.pipeline import MemoryDeadLetters
from tests.fakes.s3 import MemoryBucket, TurnedClock, Worker, a_source
from tests.fakes.sqs import MemoryQueue, s3_event, s3_record

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC).timestamp()
FOLDER = "AWSLogs/111111111111/CloudTrail/us-east-1/2026/03/10/111111111111_CloudTrail_us-east-1_20260310T1155Z"


def an_object(name: str, *, bucket: str = "trail", size: int = 100, key: str = "") -> S3Object:
    return S3Object(bucket, key or f"{FOLDER}_{name}.json.gz", size, f"etag of {name}", NOW)


class World:
    """A source over a queue in memory, at a fixed time."""

    def __init__(self, most_receives: int = 0) -> None:
        self.clock = TurnedClock(NOW)
        self.queue = MemoryQueue(self.clock, most_receives=most_receives)
        self.store = MemoryCheckpoints(self.clock)
        self.letters = MemoryDeadLetters()
        self.stop = Stop()
        self.metrics = Metrics()
        self.refused: dict[str, UnreadableKind] = {}
        self.logs: str | None = None
        self.fallback: str | None = None
        self.shipped: list[str] = []
        self.made: list[S3NotificationsSource] = []
        self.restart()

    def restart(self) -> None:
        self.metrics = Metrics()
        self.source = self.daemon(self.store)

    def daemon(self, store: MemoryCheckpoints) -> S3NotificationsSource:
        source = S3NotificationsSource(
            "trail",
            queue=self.queue,
            allowed=Allowed(places(["trail", "other/AWSLogs/"]), self.logs, frozenset({"cloudtrail"}), self.fallback),
            store=store,
            client=None,
            metrics=self.metrics,
            dead_letters=self.letters,
            stop=self.stop,
            clock=self.clock,
        )
        self.made.append(source)
        return source

    def close(self) -> None:
        for source in self.made:
            source.close()

    def settle(self, split: Split, source: S3NotificationsSource | None = None) -> None:
        unread = tuple(
            Unread(item, self.refused[item.key], "its words") for item in split.objects if item.key in self.refused
        )
        self.shipped += [item.key for item in split.objects if item.key not in self.refused]
        read = len(split.objects) - len(unread)
        tally = {"sink": Tally(delivered=read)}
        (source or self.source).settle(split, Receipt(split.id, split.source, read, 0, tally, None, unread))

    def work(self) -> list[Split]:
        done = []
        for split in self.source.splits():
            self.settle(split)
            done.append(split)
        return done

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, {"source": "trail", **labels}) or 0.0


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def test_a_message_is_deleted_only_when_all_of_its_objects_are_settled(world):
    """A message's objects may be spread over several splits."""
    world.queue.send(s3_event(*(an_object(str(n), size=3_000_000) for n in range(3))))
    splits = world.source.splits()
    for number in range(3):
        assert len(world.queue.left) == 1
        split = next(splits)
        assert len(split.objects) == 1
        world.settle(split)
        assert len(world.source._held) == (1 if number < 2 else 0)
    assert list(splits) == []
    assert world.queue.left == []
    assert world.counted("shipper_messages_total", outcome="shipped") == 1


def test_small_objects_of_several_messages_share_a_split(world):
    """So that one bulk request carries many; each message is still deleted for itself."""
    for number in range(130):
        world.queue.send(s3_event(an_object(str(number))))
    sizes = [len(split.objects) for split in world.work()]
    assert sum(sizes) == 130
    assert max(sizes) == 64
    assert world.queue.left == []
    assert world.source.complete()


def test_what_is_not_settled_stays_in_the_queue(world):
    """A crash at any moment loses nothing: the message shows again, and another daemon ships it."""
    world.queue.send(s3_event(an_object("a"), an_object("b")))
    (split,) = world.source.splits()
    assert len(world.queue.left) == 1
    world.clock.now += 31
    other = world.daemon(MemoryCheckpoints(world.clock))
    (again,) = other.splits()
    assert again.objects == split.objects
    assert again.id == split.id


def test_a_message_delivered_twice_is_shipped_once(world):
    """In flight it is held by its newest handle; when it is done it is only deleted."""
    name = world.queue.send(s3_event(an_object("a")))
    splits = list(world.source.splits())
    world.queue.show(name)
    assert list(world.source.splits()) == []
    world.settle(splits[0])
    assert list(world.source.splits()) == []
    assert world.queue.left == []
    world.queue.send(s3_event(an_object("a")))
    assert world.work() == []
    assert world.queue.left == []
    assert world.counted("shipper_messages_total", outcome="duplicate") == 1
    world.restart()
    world.queue.send(s3_event(an_object("a")))
    assert world.work() == []
    assert world.queue.left == []


def test_two_messages_may_name_one_object(world):
    """Both are deleted when it is settled."""
    for _ in range(2):
        world.queue.send(s3_event(an_object("a")))
    assert [len(split.objects) for split in world.work()] == [1]
    assert world.queue.left == []


def test_two_buckets_may_hold_objects_of_one_name(world):
    """They are two objects."""
    world.queue.send(s3_event(an_object("a"), an_object("a", bucket="other")))
    assert sum(len(split.objects) for split in world.work()) == 2


def test_a_deletion_that_fails_is_made_up_for(world):
    """The message is shipped once whatever becomes of the request."""
    world.queue.send(s3_event(an_object("a")))
    (split,) = world.source.splits()
    world.settle(split)
    world.queue.failures.append(RetryableError("reset"))
    with pytest.raises(RetryableError):
        list(world.source.splits())
    assert len(world.queue.left) == 1
    assert list(world.source.splits()) == []
    assert world.queue.left == []


def test_a_bucket_outside_the_allow_list_is_never_touched(world):
    """Its message becomes a dead letter where the queue has no redrive policy; its neighbours are shipped."""
    outside = an_object("x", bucket="attacker")
    world.queue.send(s3_event(outside, an_object("b")))
    world.queue.send(s3_event(an_object("y", bucket="other", key="secrets/y")))
    splits = world.work()
    assert [item.bucket for split in splits for item in split.objects] == ["trail"]
    assert world.queue.left == []
    assert [letter.reason for letter in world.letters.letters] == ["bucket_not_allowed"] * 2
    assert outside.uri in world.letters.letters[0].answer
    assert b"attacker" in world.letters.letters[0].payload
    assert world.letters.letters[0].origin.uri == "sqs://notifications/m0"


def test_poison_is_left_to_the_queues_redrive():
    """It is neither deleted nor kept here; what is good in the message is shipped once."""
    world = World(most_receives=3)
    poison = world.queue.send("rubbish")
    mixed = world.queue.send(s3_event(an_object("b"), an_object("x", bucket="attacker")))
    for _ in range(4):
        world.work()
        world.clock.now += 31
    assert world.shipped == [an_object("b").key]
    assert world.queue.left == []
    assert len(world.queue.dead) == 2
    assert world.letters.letters == []
    assert world.counted("shipper_messages_total", outcome="left") == 6
    assert poison != mixed
    world.close()


def test_poison_without_a_redrive_policy_is_a_dead_letter_and_then_deleted(world):
    """Durably kept before the queue forgets it: a full store stops the source instead."""
    world.queue.send("rubbish")
    world.letters.refusals = 1
    with pytest.raises(RetryableError):
        world.work()
    assert world.queue.left == ["rubbish"]
    world.clock.now += 31
    world.work()
    assert [letter.payload for letter in world.letters.letters] == [b"rubbish"]
    assert world.queue.left == []


def test_what_is_no_log_is_counted_and_deleted(world):
    """Digests, other services' logs, folders of no known service, S3's test message, events of deletion."""
    world.queue.send(s3_event(an_object("d", key=FOLDER.replace("CloudTrail/", "CloudTrail-Digest/"))))
    world.queue.send(s3_event(an_object("e", key=FOLDER.replace("CloudTrail/", "elasticloadbalancing/"))))
    world.queue.send(s3_event(an_object("f", key=FOLDER.replace("CloudTrail/", "Config/"))))
    world.queue.send({"Records": [s3_record(an_object("g"), event="ObjectRemoved:Delete")]})
    world.queue.send({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "trail"})
    assert world.work() == []
    assert world.queue.left == []
    for reason in ("digest", "other_logs", "unrecognised"):
        assert world.counted("shipper_objects_filtered_total", reason=reason) == 1
        assert world.counted("shipper_messages_total", outcome=reason) == 1
    assert world.counted("shipper_messages_total", outcome="ignored") == 2
    assert world.counted("shipper_messages_total", outcome="duplicate") == 0
    assert world.letters.letters == []


def test_an_object_outside_awss_folders_is_a_dead_letter_before_its_message_is_deleted(world):
    """Once, however often a message names it; a full store keeps the message in the queue."""
    outside = an_object("f", key="some/file.txt")
    world.queue.send(s3_event(outside, an_object("b")))
    world.letters.refusals = 1
    with pytest.raises(RetryableError):
        world.work()
    assert len(world.queue.left) == 1
    world.clock.now += 31
    with capture_logs() as lines:
        world.work()
    assert world.shipped == [an_object("b").key]
    assert [(letter.reason, letter.origin.uri) for letter in world.letters.letters] == [("no_log_type", outside.uri)]
    assert "some/file.txt" in world.letters.letters[0].answer
    assert next(line["first"] for line in lines if "dead letters" in line["event"]).startswith("no_log_type")
    assert world.counted("shipper_objects_filtered_total", reason="unrecognised") == 1
    world.queue.send(s3_event(outside))
    world.restart()
    world.work()
    assert world.queue.left == []
    assert len(world.letters.letters) == 1


def test_a_message_of_such_an_object_alone_is_counted_as_dead_lettered(world):
    """Not as a duplicate, and not as ignored."""
    world.queue.send(s3_event(an_object("f", key="some/file.txt")))
    world.work()
    assert world.queue.left == []
    outcomes = {name: world.counted("shipper_messages_total", outcome=name) for name in ("dead_lettered", "duplicate")}
    assert outcomes == {"dead_lettered": 1, "duplicate": 0}


def test_logs_fallback_ships_what_lies_outside_awss_folders(world):
    """And nothing of AWS's own folders that no log type takes."""
    world.fallback = "cloudtrail"
    world.restart()
    world.queue.send(s3_event(an_object("f", key="some/file.json.gz"), an_object("b")))
    world.queue.send(s3_event(an_object("g", key=FOLDER.replace("CloudTrail/", "Config/"))))
    assert {split.logs for split in world.work()} == {"cloudtrail"}
    assert sorted(world.shipped) == [an_object("b").key, "some/file.json.gz"]
    assert (world.queue.left, world.letters.letters) == ([], [])
    assert world.counted("shipper_messages_total", outcome="unrecognised") == 1


@pytest.mark.parametrize("kind", ["NetworkActivity", "Aggregated"])
def test_network_activity_and_aggregated_events_are_shipped(world, kind):
    """As CloudTrail's other kinds of events."""
    key = FOLDER.replace("CloudTrail/", f"CloudTrail-{kind}/")
    world.queue.send(s3_event(an_object("n", key=key)))
    assert [split.logs for split in world.work()] == ["cloudtrail"]
    assert world.shipped == [key]


def test_what_was_deleted_before_it_was_read_is_counted_as_that(world):
    """Its message is not one that was shipped."""
    item = an_object("a")
    world.refused[item.key] = "missing"
    world.queue.send(s3_event(item))
    world.work()
    for wait in (121, 481):
        world.source._heartbeat.beat()
        world.clock.now += wait
        world.work()
    assert world.queue.left == []
    assert world.counted("shipper_messages_total", outcome="object_deleted") == 1
    assert world.counted("shipper_messages_total", outcome="shipped") == 0


def test_a_given_log_type_serves_keys_without_a_layout(world):
    """Such as Firehose's; folders of other AWS services stay out."""
    world.logs = "cloudtrail"
    world.restart()
    world.queue.send(s3_event(an_object("f", key="firehose/2026/03/10/12/x.gz")))
    world.queue.send(s3_event(an_object("g", key=FOLDER.replace("CloudTrail/", "Config/"))))
    assert [split.logs for split in world.work()] == ["cloudtrail"]
    assert world.shipped == ["firehose/2026/03/10/12/x.gz"]


def test_a_missing_object_is_tried_for_ten_minutes_and_then_given_up(world):
    """Its message is held meanwhile, and deleted at the end, with a dead letter to show for it."""
    item = an_object("a")
    world.refused[item.key] = "missing"
    world.queue.send(s3_event(item, an_object("b")))
    world.work()
    for wait in (121, 481):
        assert not world.source.complete()
        assert len(world.queue.left) == 1
        world.source._heartbeat.beat()
        world.clock.now += wait
        world.queue.hide([f"m0-{n}" for n in range(1, 4)], 30)
        world.work()
    assert world.queue.left == []
    assert [letter.reason for letter in world.letters.letters] == ["object_deleted"]
    assert world.shipped == [an_object("b").key]


def test_a_refused_object_burns_no_attempt(world):
    """Its message is held, not received again, until the permission is there."""
    item = an_object("a")
    world.refused[item.key] = "forbidden"
    world.queue.send(s3_event(item))
    world.work()
    for _ in range(10):
        world.source._heartbeat._queue.hide(["m0-1"], 7200)
        world.clock.now += 3700
        world.work()
    assert world.counted("shipper_objects_waiting", kind="forbidden") == 1
    world.refused.clear()
    world.queue.hide(["m0-1"], 7200)
    world.clock.now += 3700
    world.work()
    assert world.shipped == [item.key]
    assert world.queue.left == []


def test_many_refused_objects_pause_the_source(world):
    """No more messages are taken, so that a missing permission burns nothing; it is reported as an alarm."""
    items = [an_object(str(n)) for n in range(FORBIDDEN_LIMIT + 100)]
    world.refused = {item.key: "forbidden" for item in items}
    for item in items:
        world.queue.send(s3_event(item))
    with pytest.raises(RetryableError) as raised:
        world.work()
    assert raised.value.paused
    receives = world.queue.receives
    with pytest.raises(RetryableError):
        world.work()
    assert world.queue.receives == receives


def test_at_the_end_another_daemon_gets_at_once_what_is_not_settled(world):
    """Messages show again, pins are forgotten, what is done is deleted."""
    world.queue.send(s3_event(an_object("a")))
    world.queue.send(s3_event(an_object("b", size=5_000_000)))
    first, _ = world.source.splits()
    world.settle(first)
    world.source.close()
    assert len(world.queue.left) == 1
    assert world.store.pinned("trail") == []
    other = world.daemon(MemoryCheckpoints(world.clock))
    assert len(list(other.splits())) == 1
    assert world.counted("shipper_messages_total", outcome="given_back") == 1


def test_a_stop_is_heard_among_messages_that_name_nothing(world):
    """A look that yields nothing ends all the same, and what was not taken stays in the queue."""
    for _ in range(1000):
        world.queue.send("{}")
    world.letters.on_put = lambda: world.stop.request() if len(world.letters.letters) == 300 else None
    assert list(world.source.splits()) == []
    assert not world.source.complete()
    assert 300 <= len(world.letters.letters) < 700


def test_closing_bears_a_dead_network(world):
    """The messages come again by themselves."""
    world.queue.send(s3_event(an_object("a")))
    list(world.source.splits())
    world.queue.failures += [RetryableError("reset")] * 3
    world.source.close()
    assert len(world.queue.left) == 1


def test_a_message_is_hidden_as_long_as_it_is_held(world):
    """Each beat prolongs it by a whole visibility timeout."""
    world.queue.send(s3_event(an_object("a")))
    (split,) = world.source.splits()
    for _ in range(10):
        world.clock.now += 29
        world.source._heartbeat.beat()
        assert world.queue.receive(0) == []
    world.settle(split)
    world.source._heartbeat.beat()
    assert [seconds for _, seconds in world.queue.hidden] == [30] * 10


def test_a_message_is_not_held_for_more_than_half_a_day(world):
    """SQS would refuse; it goes back to the queue instead."""
    held = Held()
    world.queue.send(s3_event(an_object("a")))
    (message,) = world.queue.receive(0)
    held.hold(message, [1], keep=False)
    (kept,) = held.to_hide()
    kept.since -= LONGEST_SECONDS + 1
    Heartbeat(world.queue, held, 30, lambda: None).beat()
    assert world.queue.hidden == []
    assert [done.message for done in held.settled([1])] == [message]


def test_a_handle_that_is_lost_is_prolonged_no_more(world):
    """Another daemon has the message: nothing is gained by asking again."""
    world.queue.send(s3_event(an_object("a")))
    list(world.source.splits())
    world.clock.now += 31
    assert len(world.queue.receive(0)) == 1
    world.source._heartbeat.beat()
    world.source._heartbeat.beat()
    assert len(world.queue.hidden) == 1


def test_metrics_tell_of_the_backlog_and_of_lag(world):
    """From the queue's own attributes, the messages held, and LastModified."""
    for number in range(3):
        world.queue.send(s3_event(an_object(str(number))))
    world.clock.now += 90
    splits = list(world.source.splits())
    assert world.counted("shipper_queue_messages", state="waiting") == 3
    assert world.counted("shipper_oldest_message_seconds") == 90
    for split in splits:
        world.settle(split)
    assert world.counted("shipper_oldest_message_seconds") == 0
    assert world.counted("shipper_object_lag_seconds_sum") == 3 * 90


def test_done_objects_are_forgotten_after_some_days(world):
    """The store does not grow for ever."""
    for number in range(10):
        world.queue.send(s3_event(an_object(str(number))))
        world.work()
        world.clock.now += 86400
    world.work()
    assert world.store.open_hashes == 6


def test_a_daily_listing_finds_what_no_message_told_of(world):
    """Nothing that the queue has brought, is bringing, or may still bring; and each object once."""
    bucket = MemoryBucket("trail")
    net = a_source(
        bucket, world.store, world.clock, start=NOW - 86400, name="trail.listing", of_another=world.source.has
    )
    worker = Worker(bucket)
    for name in ("told", "lost", "late"):
        item = an_object(name)
        bucket.put(item.key, NOW, item.size, item.etag)
        if name == "told":
            world.queue.send(s3_event(item))
    world.work()
    assert worker.finish_all(net) == []
    world.clock.now += 7 * 3600
    world.queue.send(s3_event(an_object("late")))
    (late,) = world.source.splits()
    requests = bucket.requests
    assert worker.finish_all(net) == []
    assert bucket.requests == requests, "once a day is enough"
    world.clock.now += 18 * 3600
    assert [item.key for split in worker.finish_all(net) for item in split.objects] == [an_object("lost").key]
    world.settle(late)
    for _ in range(8):
        world.clock.now += 86400
        assert worker.finish_all(net) == []
    assert world.store.closed("trail.listing", f"trail/{FOLDER.partition('2026')[0]}") != {}


def test_check_says_what_is_wrong_with_a_queue(world):
    """No redrive policy, a short visibility timeout, a queue that does not answer; no message is lost to it."""
    world.queue.send(s3_event(an_object("a")))
    found = list(check(world))
    assert [problem.serious for problem in found] == [False, False]
    assert len(world.queue.receive(0)) == 1
    world.queue.failures += [RetryableError("AccessDenied: no (needs sqs:GetQueueAttributes)")]
    (problem,) = check(world)
    assert problem.serious
    assert "sqs:GetQueueAttributes" in problem.hint


def check(world: World):
    from shipper.sources.sqs_check import check_queue

    return check_queue(world.queue, "sources.trail")
