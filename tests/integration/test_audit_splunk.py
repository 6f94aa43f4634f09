"""`shipper audit` of Splunk, over HTTP: events that are gone are found by `tstats`, and sent again alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shipper import cli
from tests.fakes.cloudtrail import Trail
from tests.fakes.splunk_hec import SEARCH_TOKEN, TOKEN, FakeSplunk
from tests.parts.moto import Moto

Run = Callable[..., int]
Audit = Callable[..., tuple[int, dict[str, Any]]]


class Place:
    """A bucket of CloudTrail and a Splunk."""

    def __init__(self, folder: Path, moto: Moto, splunk: FakeSplunk) -> None:
        self.splunk = splunk
        self.trail = Trail(datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=3))
        s3 = moto.client("s3")
        s3.create_bucket(Bucket="trail")
        self.keys = []
        for key, body in self.trail.objects(6, 5):
            s3.put_object(Bucket="trail", Key=key, Body=body)
            self.keys.append(key)
        self.s3, self.sqs = s3, moto.client("sqs")
        self.sink: dict[str, Any] = {
            "type": "splunk_hec",
            "urls": [splunk.url],
            "token": TOKEN,
            "search_url": splunk.url,
            "search_token": SEARCH_TOKEN,
        }
        self._path = folder / "shipper.yaml"
        self.source: dict[str, Any] = {"type": "s3", "bucket": "trail", "start": "beginning"}
        self._settings = {
            "state": {"path": str(folder / "state")},
            "listen": "off",
            "aws": {"region": "us-east-1", "endpoint_url": moto.url},
            "log": {"level": "error"},
        }

    def run(self, *arguments: str) -> int:
        self._path.write_text(
            json.dumps({**self._settings, "sources": {"s3": self.source}, "sinks": {"splunk": self.sink}})
        )
        self._path.chmod(0o600)
        return cli.run([*arguments, "-c", str(self._path)])

    def ship(self) -> None:
        assert self.run("run", "--once") == 0


@pytest.fixture
def place(tmp_path: Path, moto: Moto) -> Iterator[Place]:
    with FakeSplunk() as splunk:
        yield Place(tmp_path, moto, splunk)


@pytest.fixture
def audit(place: Place, capfd: pytest.CaptureFixture[str]) -> Audit:
    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        capfd.readouterr()
        code = place.run("audit", "--since", "beginning", "--settle-seconds", "0", "--json", *arguments)
        out, err = capfd.readouterr()
        assert out, err
        return code, json.loads(out)

    return run


def test_events_that_are_gone_are_found_and_sent_again_alone(place: Place, audit: Audit) -> None:
    """By the object that they are of; what is there is not sent twice, and doubles are named by their ids."""
    place.ship()
    assert audit()[0] == 0
    lost = [event for event in place.splunk.events if event.source == f"s3://trail/{place.keys[3]}"][:2]
    place.splunk.events = [event for event in place.splunk.events if event not in lost]
    place.splunk.events.append(place.splunk.events[0])
    code, found = audit()
    assert code == 1
    double, difference = sorted(found["differences"], key=lambda each: each["kind"])
    assert (difference["what"], difference["expected"], difference["found"]) == (f"s3://trail/{place.keys[3]}", 5, 3)
    assert set(difference["document_ids"]) == {event.uid for event in lost}
    first = place.splunk.events[0]
    assert (double["kind"], double["what"], double["document_ids"]) == ("doubled", first.source, [first.uid])
    assert (double["expected"], double["found"], found["doubled"], found["missing"]) == (5, 6, 1, 2)
    before = len(place.splunk.events)
    assert audit("--repair")[0] == 1
    assert len(place.splunk.events) == before + 2
    assert {event.event["eventID"] for event in place.splunk.events} == set(place.trail.event_ids)
    place.splunk.events.remove(place.splunk.events[0])
    assert audit()[0] == 0


def test_indexes_by_log_type_are_searched(place: Place, audit: Audit) -> None:
    """The events are asked for where they were sent, and by nothing but their source."""
    place.sink |= {"index": "main", "indexes": {"cloudtrail": "aws"}}
    place.ship()
    code, found = audit()
    assert (code, found["differences"], found["remarks"]) == (0, [], [])
    (search,) = [request for request in place.splunk.requests if request.path == "/services/search/jobs"][-1:]
    assert b"index+IN+%28%22aws%22%2C+%22main%22%29" in search.body


def test_the_raw_endpoint_is_counted_without_ids(place: Place, audit: Audit) -> None:
    """Its events have no indexed fields: a split is whole, or it is not; a repair would double the others."""
    place.sink["endpoint"] = "raw"
    place.ship()
    assert audit()[0] == 0
    source = place.splunk.events.pop().source
    code, found = audit()
    assert code == 1
    assert [each["expected"] - each["found"] for each in found["differences"]] == [1]
    code, found = audit("--repair")
    assert (code, found["differences"][0]["repaired"], len(place.splunk.events)) == (1, False, 29)
    place.splunk.events += [event for event in place.splunk.events if event.source == source][:2]
    code, found = audit()
    assert (code, found["doubled"], [each["kind"] for each in found["differences"]]) == (1, 1, ["doubled"])


def test_what_the_index_keeps_no_more_is_expired(place: Place, audit: Audit) -> None:
    """By its own retention; with a longer one it would be a loss."""
    place.sink["index"] = "aws"
    place.ship()
    place.splunk.events.clear()
    place.splunk.retention["aws"] = 3600.0
    code, found = audit()
    assert (code, found["differences"]) == (0, [])
    assert [each["number"] for each in found["remarks"] if "expired" in each["what"]] == [30]
    place.splunk.retention["aws"] = 365 * 86_400.0
    assert audit()[0] == 1


def test_without_a_search_head_nothing_is_said_of_splunk(place: Place, audit: Audit) -> None:
    """That is a remark, not a difference: what is in the bucket is compared all the same."""
    del place.sink["search_url"], place.sink["search_token"]
    place.ship()
    code, found = audit()
    assert (code, found["differences"], found["objects_listed"]) == (0, [], {"s3": 6})
    assert any("not counted in splunk" in each["what"] for each in found["remarks"])


@pytest.mark.parametrize("trouble", ["token", "message"])
def test_a_search_that_fails_is_no_loss(place: Place, trouble: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A refused token, or a search that says that it failed: exit 1 and the words, no difference."""
    place.ship()
    if trouble == "token":
        place.splunk.search_tokens.clear()
    else:
        place.splunk.search_messages.append({"type": "ERROR", "text": "a peer is down"})
    capfd.readouterr()
    code = place.run("audit", "--since", "beginning", "--settle-seconds", "0", "--json")
    out, err = capfd.readouterr()
    found = json.loads(out)
    assert (code, found["ok"], found["differences"]) == (1, False, [])
    assert ("HTTP 401" if trouble == "token" else "a peer is down") in found["unanswered"]["s3"]
    assert SEARCH_TOKEN not in out + err


@pytest.mark.parametrize("verify", [False, True], ids=["queue", "with a daily listing"])
def test_objects_that_a_queue_told_of_are_counted(place: Place, audit: Audit, *, verify: bool) -> None:
    """By this daemon's receipts; what was in the bucket before its first receipt is another's, and is left alone."""
    url = place.sqs.create_queue(QueueName="logs")["QueueUrl"]
    arn = place.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    target = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    place.s3.put_bucket_notification_configuration(Bucket="trail", NotificationConfiguration=target)
    place.source = {"type": "s3_notifications", "queue_url": url, "buckets": ["trail"], "verify_listing": verify}
    for key, body in place.trail.objects(4, 5):
        place.s3.put_object(Bucket="trail", Key=key, Body=body)
    place.ship()
    code, found = audit()
    assert (code, found["differences"]) == (0, [])
    assert [each["records"] for each in found["sources"]] == [20]
    lost = place.splunk.events.pop()
    code, found = audit("--repair")
    assert (code, [each["document_ids"] for each in found["differences"]]) == (1, [[lost.uid]])
    assert audit()[0] == 0
    assert place.splunk.stored[lost.uid] == 1


def test_trace_tells_where_an_event_is_from(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    """By its event_uid, and that it stands twice; a refused search is no answer, and an unknown id is nowhere."""
    place.ship()
    event = place.splunk.events[7]
    place.splunk.events.append(event)
    capfd.readouterr()
    assert place.run("trace", event.uid, "--json") == 0
    stored = json.loads(capfd.readouterr().out)["sinks"]["splunk"]["stored"]
    assert stored == [{"source": event.source, "events": 2}]
    assert place.run("trace", event.uid) == 0
    assert f"splunk: stored, 2 times, from {event.source}" in capfd.readouterr().out
    assert place.run("trace", "nobody") == 1
    assert "splunk: not stored" in capfd.readouterr().out
    place.sink["search_token"] = "wrong"
    assert place.run("trace", event.uid) == 1
    assert "splunk: cannot be asked" in capfd.readouterr().out
    del place.sink["search_url"], place.sink["search_token"]
    assert place.run("trace", event.uid) == 1
    assert "not asked, for want of search_url" in capfd.readouterr().out
