"""Every form of a notification is understood, nothing in one is trusted, and no body makes a crash."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.model import S3Object
from shipper.sources.sqs_messages import Notice, unwrap
from tests.fakes.sqs import bridge_event, s3_event, s3_record, sns

SENT = 1_700_000_000.0
AT = 1_773_144_000.0  # 2026-03-10T12:00:00Z
ITEM = S3Object("trail", "AWSLogs/1/ä b+c%20&x/log.json.gz", 77, "0123abcd", AT)
VERSION = S3Object("trail", "a/b", 5, "e", AT, "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e")


def notice(body: object) -> Notice:
    return unwrap(body if isinstance(body, str) else json.dumps(body), SENT)


@pytest.mark.parametrize("item", [ITEM, VERSION])
@pytest.mark.parametrize(
    "envelope",
    [
        s3_event,
        lambda item: sns(s3_event(item)),
        bridge_event,
        lambda item: sns(bridge_event(item)),
        # Security Lake's has no detail-type.
        lambda item: bridge_event(item, **{"detail-type": None, "version": None, "id": None}),
    ],
    ids=["s3", "sns", "eventbridge", "eventbridge by sns", "security lake"],
)
def test_an_object_is_the_same_in_every_envelope(envelope, item):
    """Key, version, size, etag and time, whatever way the notification came; only S3's own keys are encoded."""
    assert notice(envelope(item)) == Notice((item,))


def test_every_record_of_a_message_counts():
    """Not only the first, each object once, in order."""
    first, second = S3Object("b", "1", 1, "x", AT), S3Object("b", "2", 1, "y", AT)
    assert notice(s3_event(first, second, first)).objects == (first, second)


@pytest.mark.parametrize("event", ["ObjectRemoved:Delete", "ObjectRestore:Post", "ObjectTagging:Put", "TestEvent"])
def test_only_created_objects_count(event):
    """Other kinds of events are no fault; beside a created object they change nothing."""
    assert notice({"Records": [s3_record(ITEM, event=event)]}) == Notice(ignored=1)
    assert notice({"Records": [s3_record(ITEM, event=event), s3_record(VERSION)]}) == Notice((VERSION,), ignored=1)
    assert notice(bridge_event(ITEM, **{"detail-type": "Object Deleted"})) == Notice(ignored=1)


def test_the_test_message_of_s3_is_known():
    """Straight and by SNS."""
    body = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-01-01T00:00:00.000Z", "Bucket": "trail"}
    assert notice(body) == Notice(ignored=1)
    assert notice(sns(body)) == Notice(ignored=1)


def test_other_servers_names_of_events_are_known():
    """Some S3-compatible servers write the event's name as configurations do."""
    assert notice({"Records": [s3_record(ITEM, event="s3:ObjectCreated:CompleteMultipartUpload")]}).objects == (ITEM,)


def test_folder_markers_are_ignored():
    """Consoles make empty objects whose keys end in a slash."""
    assert notice(s3_event(S3Object("b", "folder/", 0, "e", AT))) == Notice(ignored=1)


def test_without_an_etag_two_writes_differ():
    """The sequencer stands in for it, so that an overwritten object is not taken for one that is done."""
    hashes = set()
    for sequencer in ("0055AED6DCD90281E5", "0055AED6DCD90281E6"):
        record = s3_record(ITEM)
        del record["s3"]["object"]["eTag"]
        record["s3"]["object"]["sequencer"] = sequencer
        (item,) = notice({"Records": [record]}).objects
        hashes.add(item.hash)
    assert len(hashes) == 2


def test_a_time_that_is_none_is_the_messages_own():
    """Lag is then counted from when the message was sent."""
    for value in (None, "yesterday", 5, "2026-01-01T00:00:00"):
        record = {**s3_record(ITEM), "eventTime": value}
        assert notice({"Records": [record]}).objects[0].last_modified == SENT


def broken(**changes: object) -> dict[str, object]:
    record = s3_record(VERSION)
    record["s3"]["object"].update(changes)
    return {"Records": [record]}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "[]",
        "7",
        "{}",
        '{"Records": 5}',
        '{"Records": [5]}',
        '{"Records": [{}]}',
        '{"Records": [{"eventSource": "aws:sns", "eventName": "ObjectCreated:Put"}]}',
        '{"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"object": {"key": "k"}}}]}',
        '{"detail": {"bucket": {"name": "b"}, "object": {"key": "k"}}, "source": "aws.ec2"}',
        "[" * 100_000,
        '{"Message": "not JSON"}',
        json.dumps(sns(sns(sns(sns({}))))),
        '{"key": "\ud800"}',
        json.dumps(broken(key="a%ff")),
        json.dumps(broken(key="a%00b")),
        json.dumps(broken(key="k" * 1025)),
        json.dumps(broken(key=["k"])),
    ],
)
def test_what_cannot_be_understood_is_a_fault(body):
    """It is said in words, and nothing is read."""
    found = notice(body)
    assert found.faults
    assert not found.objects


def test_a_broken_record_leaves_its_neighbours_alone():
    """They are shipped, and the message is still known to have a fault."""
    found = notice({"Records": [5, s3_record(VERSION), *broken(key="")["Records"]]})  # type: ignore[misc]
    assert found.objects == (VERSION,)
    assert len(found.faults) == 2


def test_sizes_that_are_none_count_as_unknown():
    """A size from outside is a hint; the reader goes by what S3 sends."""
    for size in (-1, True, "7", 2**63, None, 1.5):
        assert notice(broken(size=size)).objects[0].size == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["Records", "Message", "Event", "detail", "source", "s3", "object", "key", "bucket", "name"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)


@given(JSON)
def test_no_message_makes_a_crash(data):
    """Whatever the shape."""
    notice(json.dumps(data))
