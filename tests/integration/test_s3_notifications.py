"""S3 → SQS and S3 → SNS → SQS over HTTP: the whole program, run until the queue is empty, and what check says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shipper import build, config, service
from shipper.deadletters.sqlite import Wanted
from shipper.model import Problem, S3Object
from shipper.service import Summary
from tests.fakes import cloudtrail, s3_server
from tests.fakes.elasticsearch import FakeElasticsearch
from tests.fakes.sqs import bridge_event, s3_event
from tests.parts.moto import Moto


class Cloud:
    """A trail's bucket whose notifications go to a queue, maybe by a topic."""

    def __init__(self, moto: Moto, *, by: str) -> None:
        self.moto = moto
        self.trail = cloudtrail.recent(7)
        self.s3, self.sqs, sns = moto.client("s3"), moto.client("sqs"), moto.client("sns")
        self.dead_url, dead_arn = self._queue("dead", {})
        redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 10})
        self.url, queue_arn = self._queue("logs", {"RedrivePolicy": redrive, "VisibilityTimeout": "60"})
        self.s3.create_bucket(Bucket="trail")
        if by == "sqs":
            target = {"QueueConfigurations": [{"QueueArn": queue_arn, "Events": ["s3:ObjectCreated:*"]}]}
        else:
            topic = sns.create_topic(Name="trail")["TopicArn"]
            raw = {"Attributes": {"RawMessageDelivery": "true"}} if by == "raw sns" else {}
            sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn, **raw)
            target = {"TopicConfigurations": [{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}]}
        self.s3.put_bucket_notification_configuration(Bucket="trail", NotificationConfiguration=target)

    def _queue(self, name: str, attributes: dict[str, str]) -> tuple[str, str]:
        url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        return url, arn

    def put(self, count: int, records: int) -> None:
        for key, body in self.trail.objects(count, records):
            self.s3.put_object(Bucket="trail", Key=key, Body=body)

    def settings(self, folder: Path, elasticsearch: str, **source: Any) -> config.Settings:
        text = {
            "state": {"path": str(folder / "state")},
            "listen": "off",
            "aws": {"region": "us-east-1", "endpoint_url": self.moto.url},
            "sources": {"q": {"type": "s3_notifications", "queue_url": self.url, "buckets": ["trail"], **source}},
            "sinks": {"siem": {"type": "elasticsearch", "hosts": [elasticsearch]}},
        }
        path = folder / "shipper.yaml"
        path.write_text(json.dumps(text))
        path.chmod(0o600)
        return config.load(path)

    def messages(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)


def drain(settings: config.Settings) -> Summary:
    pipeline = build.pipeline(settings, once=True)
    try:
        return service.run(pipeline, once=True)
    finally:
        pipeline.close()


@pytest.mark.parametrize("by", ["sqs", "sns", "raw sns"])
def test_every_record_arrives_once_and_the_queue_is_empty(moto, tmp_path, by):
    """Whatever way the notifications take; S3's test message at the beginning does no harm."""
    cloud = Cloud(moto, by=by)
    cloud.put(25, 8)
    with FakeElasticsearch() as elasticsearch:
        settings = cloud.settings(tmp_path, elasticsearch.url)
        summary = drain(settings)
        assert summary.ok
        assert summary.read == {"q": 200}
        found = [json.loads(body)["event"]["id"] for body in elasticsearch.stored.values()]
        assert sorted(found) == sorted(cloud.trail.event_ids)
        assert cloud.messages() == 0
        cloud.put(1, 3)
        assert drain(settings).read == {"q": 3}
        assert len(elasticsearch.stored) == 203


def test_keys_with_special_characters_are_found(moto, tmp_path):
    """S3 encodes keys in its events."""
    cloud = Cloud(moto, by="sqs")
    ((_, body),) = cloud.trail.objects(1, 4)
    cloud.s3.put_object(Bucket="trail", Key="AWS Logs/ä+b & c%41/x y.json.gz", Body=body)
    with FakeElasticsearch() as elasticsearch:
        assert drain(cloud.settings(tmp_path, elasticsearch.url, logs="cloudtrail")).read == {"q": 4}
        assert cloud.messages() == 0


def test_the_version_that_a_message_names_is_read(moto, tmp_path):
    """An overwritten object's two versions are two objects (moto's own events name no version)."""
    cloud = Cloud(moto, by="sqs")
    cloud.s3.create_bucket(Bucket="versions")
    cloud.s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    (key, first), (_, second) = cloud.trail.objects(2, 5)
    for body in (first, second):
        put = cloud.s3.put_object(Bucket="versions", Key=key, Body=body)
        item = S3Object("versions", key, len(body), put["ETag"].strip('"'), 0.0, put["VersionId"])
        cloud.sqs.send_message(QueueUrl=cloud.url, MessageBody=json.dumps(bridge_event(item)))
    with FakeElasticsearch() as elasticsearch:
        assert drain(cloud.settings(tmp_path, elasticsearch.url, buckets=["versions"])).read == {"q": 10}
        assert len(elasticsearch.stored) == 10


def test_a_daily_listing_ships_what_no_message_told_of(moto, tmp_path):
    """By the same road as the queue's objects, under a name of its own, so that metrics tell of lost notifications."""
    cloud = Cloud(moto, by="sqs")
    objects = cloud.trail.objects(12, 5)
    with s3_server.running() as s3, FakeElasticsearch() as elasticsearch:
        for number, (key, body) in enumerate(objects):
            s3.objects[f"trail/{key}"] = body
            if number < 8:
                item = S3Object("trail", key, len(body), "x", 0.0)
                cloud.sqs.send_message(QueueUrl=cloud.url, MessageBody=json.dumps(s3_event(item)))
        aws = {"endpoint_url": s3.url}
        settings = cloud.settings(tmp_path, elasticsearch.url, aws=aws, logs="cloudtrail", verify_listing=True)
        drained = [drain(settings) for _ in range(2)]
        found = [json.loads(body)["event"]["id"] for body in elasticsearch.stored.values()]
    assert all(summary.ok for summary in drained)
    assert sorted(found) == sorted(cloud.trail.event_ids)
    shipped = [sum(summary.read.get(name, 0) for summary in drained) for name in ("q", "q.listing")]
    assert shipped[0] == 40
    assert shipped[1] >= 20


def test_objects_outside_awss_folders_are_letters_until_they_have_a_log_type(moto, tmp_path):
    """By the whole road: a letter, then the key that names the type; the letter is read again."""
    cloud = Cloud(moto, by="sqs")
    ((_, body),) = cloud.trail.objects(1, 4)
    cloud.s3.put_object(Bucket="trail", Key="exports/one.json.gz", Body=body)
    with FakeElasticsearch() as server:
        settings = cloud.settings(tmp_path, server.url)
        drain(settings)
        store = build.dead_letters(settings)
        (letter,) = store.letters(Wanted(), 10)
        assert (letter.reason, letter.origin.key, cloud.messages()) == ("no_log_type", "exports/one.json.gz", 0)
        assert build.reread(settings, store, [letter], lambda _: None).not_read == 1
        assert not server.stored
        settings = cloud.settings(tmp_path, server.url, logs_fallback="cloudtrail")
        assert build.reread(settings, store, [letter], lambda _: None).whole == 1
        assert store.count() == 0
        store.close()
        cloud.put(1, 3)
        ((_, more),) = cloud.trail.objects(1, 2)
        cloud.s3.put_object(Bucket="trail", Key="exports/two.json.gz", Body=more)
        drain(settings)
        assert sorted(json.loads(body)["event"]["id"] for body in server.stored.values()) == sorted(
            cloud.trail.event_ids
        )


def problems(settings: config.Settings, folder: Path) -> list[Problem]:
    pipeline = build.pipeline(settings.model_copy(update={"state": config.State(path=folder / "check")}))
    try:
        return list(pipeline.sources[0].problems())
    finally:
        pipeline.close()


def test_check_is_content_with_a_queue_that_is_set_up(moto, tmp_path):
    """And takes no message away."""
    cloud = Cloud(moto, by="sqs")
    cloud.put(3, 1)
    settings = cloud.settings(tmp_path, "http://127.0.0.1:9")
    assert problems(settings, tmp_path) == []
    assert cloud.messages() == 4
    cloud.sqs.set_queue_attributes(QueueUrl=cloud.url, Attributes={"RedrivePolicy": "", "VisibilityTimeout": "10"})
    told = problems(settings, tmp_path)
    assert [problem.serious for problem in told] == [False, False]
    assert "redrive" in told[0].what


def test_check_names_a_queue_that_is_not_there(moto, tmp_path):
    """With a hint at what to look at."""
    cloud = Cloud(moto, by="sqs")
    cloud.url = cloud.url.replace("/logs", "/lgos")
    (told,) = (
        problem for problem in problems(cloud.settings(tmp_path, "http://127.0.0.1:9"), tmp_path) if problem.serious
    )
    assert "lgos" in told.what
    assert "queue_url" in told.hint
