"""What becomes of a message's objects, and what is logged of messages for which nothing is shipped."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from shipper.model import S3Object
from shipper.sources.s3_allowed import Allowed, places
from shipper.sources.sqs_messages import Notice
from shipper.sources.sqs_queue import Message
from shipper.sources.sqs_sorting import Sorted, letter_of_object, sort
from shipper.sources.sqs_unshipped import Unshipped
from tests.fakes.s3 import TurnedClock

KNOWN = frozenset({"cloudtrail", "vpcflow", "elb"})
ACCOUNT = "AWSLogs/111122223333"
DAY = "us-east-1/2026/03/10"


def an_object(key: str, bucket: str = "trail") -> S3Object:
    return S3Object(bucket, key, 100, f"etag of {key}", 0.0)


def allowed(logs: str | None = None, fallback: str | None = None) -> Allowed:
    return Allowed(places(["trail", "other/AWSLogs/"]), logs, KNOWN, fallback)


@pytest.mark.parametrize("kind", ["", "-Insight", "-NetworkActivity", "-Aggregated"])
@pytest.mark.parametrize("logs", [None, "cloudtrail"])
def test_every_kind_of_cloudtrails_events_is_shipped(kind: str, logs: str | None) -> None:
    """By its folder, whatever the prefix above it."""
    item = an_object(f"org/AWSLogs/o-ab12cd34ef/111122223333/CloudTrail{kind}/{DAY}/a.json.gz")
    assert allowed(logs).logs_of(item) == ("cloudtrail", "")


@pytest.mark.parametrize(
    ("key", "logs", "fallback", "answer"),
    [
        (f"{ACCOUNT}/vpcflowlogs/{DAY}/a.gz", None, "cloudtrail", ("vpcflow", "")),
        (f"{ACCOUNT}/vpcflowlogs/{DAY}/a.gz", "cloudtrail", None, (None, "other_logs")),
        (f"{ACCOUNT}/vpcdnsquerylogs/vpc-1/2026/03/10/a.gz", None, None, (None, "other_logs")),
        (f"{ACCOUNT}/CloudTrail-Digest/{DAY}/a.gz", None, None, (None, "digest")),
        (f"{ACCOUNT}/CloudTrail-Digest/{DAY}/a.gz", "elb", None, (None, "other_logs")),
        (f"{ACCOUNT}/CloudTrail-Lake/{DAY}/a.gz", None, "cloudtrail", (None, "unrecognised")),
        (f"{ACCOUNT}/Config/{DAY}/a.gz", "cloudtrail", None, (None, "unrecognised")),
        ("firehose/2026/03/10/a.gz", None, None, (None, "outside")),
        ("firehose/2026/03/10/a.gz", None, "cloudtrail", ("cloudtrail", "")),
        ("firehose/2026/03/10/a.gz", "elb", None, ("elb", "")),
        (f"{ACCOUNT}/ELBAccessLogTestFile", None, "elb", (None, "test_file")),
    ],
)
def test_each_object_has_a_log_type_or_the_true_reason(
    key: str, logs: str | None, fallback: str | None, answer: tuple[str | None, str]
) -> None:
    """`logs_fallback` is for what lies outside AWS's folders alone: a folder of AWS's says what it holds."""
    assert allowed(logs, fallback).logs_of(an_object(key)) == answer


def outcome(*keys: str, faults: tuple[str, ...] = (), done: tuple[str, ...] = ()) -> tuple[str, str]:
    hashes = {an_object(key).hash for key in done}
    notice = Notice(tuple(map(an_object, keys)), 0, faults)
    return sort(notice, allowed(), hashes.__contains__).outcome()


def test_a_message_is_counted_by_what_its_operator_has_to_know() -> None:
    """Never as a duplicate where anything else was left out; a message of nothing is ignored."""
    digest, config = f"{ACCOUNT}/CloudTrail-Digest/{DAY}/a", f"{ACCOUNT}/Config/{DAY}/a"
    flows, tried = f"{ACCOUNT}/vpcdnsquerylogs/vpc-1/2026/03/10/a", f"{ACCOUNT}/ELBAccessLogTestFile"
    old = f"{ACCOUNT}/CloudTrail/{DAY}/a"
    assert outcome() == ("ignored", "")
    assert outcome(old, done=(old,)) == ("duplicate", f"s3://trail/{old}")
    assert outcome(old, digest, done=(old,)) == ("digest", f"s3://trail/{digest}")
    assert outcome(digest, tried) == ("test_file", f"s3://trail/{tried}")
    assert outcome(digest, tried, flows) == ("other_logs", f"s3://trail/{flows}")
    assert outcome(digest, tried, flows, config) == ("unrecognised", f"s3://trail/{config}")
    assert outcome(config, "x/a.gz", "y/b.gz") == ("dead_lettered", "s3://trail/x/a.gz")
    assert outcome("x/a.gz", faults=("no bucket",)) == ("dead_lettered", "no bucket")


def test_objects_outside_the_allow_list_are_faults_whatever_they_are() -> None:
    """Nothing is asked of them, and no log type is guessed."""
    notice = Notice((an_object("x/a.gz", "attacker"), an_object("x/a.gz", "other")), 0, ())
    found = sort(notice, allowed(fallback="cloudtrail"), set[int]().__contains__)
    assert (found.to_ship, found.left_out) == ([], [])
    assert found.faults == [
        "s3://attacker/x/a.gz is not in the allowed buckets",
        "s3://other/x/a.gz is not in the allowed buckets",
    ]
    assert Sorted().outside == []


def test_a_letter_names_key_reason_and_what_to_do() -> None:
    """And the object, so that it can be read again."""
    item = an_object("firehose/a.gz")
    letter = letter_of_object("queue", Message("m1", "h", "{}", 0.0, 1), item, 77.0)
    assert (letter.reason, letter.logs, letter.position, letter.time) == ("no_log_type", "", None, 77.0)
    assert (letter.origin.uri, letter.origin.bucket, letter.origin.key) == (item.uri, "trail", item.key)
    assert letter.answer.startswith("firehose/a.gz is in none of AWS's folders")
    assert "logs_fallback" in letter.answer


def test_reasons_are_logged_once_a_minute_each_and_at_the_end() -> None:
    """A flood of messages makes a line a minute for each reason, whose numbers add up."""
    clock = TurnedClock(1000.0)
    unshipped = Unshipped("queue", clock)
    with capture_logs() as lines:
        for number in range(50):
            unshipped.note("unrecognised", f"m{number}", f"s3://trail/{number}")
            unshipped.note("duplicate", f"m{number}", "")
            clock.now += 2.0
        unshipped.close()
        unshipped.close()
    told = [(line["reason"], line["messages"], line["message"], line["log_level"]) for line in lines]
    assert told == [
        ("unrecognised", 1, "m0", "warning"),
        ("duplicate", 1, "m0", "info"),
        ("unrecognised", 30, "m30", "warning"),
        ("duplicate", 30, "m30", "info"),
        ("unrecognised", 19, "m49", "warning"),
        ("duplicate", 19, "m49", "info"),
    ]
    assert lines[2]["example"] == "s3://trail/30"
    assert "example" not in lines[3]


def test_a_clock_that_is_set_back_silences_nothing() -> None:
    """The next message is logged at once."""
    clock = TurnedClock(1000.0)
    unshipped = Unshipped("queue", clock)
    unshipped.note("left", "m0", "")
    clock.now = 10.0
    with capture_logs() as lines:
        unshipped.note("left", "m1", "")
    assert [line["event"] for line in lines] == ["messages left in the queue without anything shipped"]
