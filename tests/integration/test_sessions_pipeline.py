"""The person behind a role through the whole program: from objects in S3 to an archive, over a restart."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime

import pytest
import zstandard

from shipper import build, config, service
from shipper.config.values import Surroundings
from tests.parts import moto

ALICE = "arn:aws:iam::111122223333:user/alice"
ROLE = "arn:aws:sts::111122223333:assumed-role/deploy/ci"


def record(number: int, who: dict[str, str], event: str, answer: object = None) -> dict[str, object]:
    source = "sts.amazonaws.com" if event == "AssumeRole" else "s3.amazonaws.com"
    return {
        "eventVersion": "1.11",
        "userIdentity": who,
        "eventTime": f"2026-01-05T12:00:0{number}Z",
        "eventSource": source,
        "eventName": event,
        "awsRegion": "us-east-1",
        "sourceIPAddress": "198.51.100.7",
        "recipientAccountId": "111122223333",
        "eventID": f"id-{number}",
        "responseElements": answer,
    }


def test_a_restart_still_knows_who_acts(tmp_path):
    """The second run's records are of a session that the first run saw begin; secrets are gone from both."""
    answer = {
        "credentials": {"accessKeyId": "ASIADEPLOY", "sessionToken": "IQoJsecret"},
        "assumedRoleUser": {"arn": ROLE},
    }
    alice = {"type": "IAMUser", "arn": ALICE, "userName": "alice", "accessKeyId": "AKIAALICE"}
    deploy = {"type": "AssumedRole", "arn": ROLE, "accessKeyId": "ASIADEPLOY"}
    now = datetime.now(UTC)  # a day of long ago is listed only once in a while
    folder = f"AWSLogs/111122223333/CloudTrail/us-east-1/{now:%Y/%m/%d}"
    objects = [record(1, alice, "AssumeRole", answer), record(2, deploy, "ListBuckets")]
    with pytest.MonkeyPatch.context() as patch:
        moto.set_credentials(patch)
        with moto.running() as emulator:
            s3 = emulator.client("s3")
            s3.create_bucket(Bucket="trail")
            settings = config.parse(
                f"""
state: {{path: {tmp_path}/state}}
listen: "off"
aws: {{region: us-east-1, endpoint_url: '{emulator.url}'}}
sources: {{trail: {{type: s3, bucket: trail, start: beginning}}}}
sinks: {{archive: {{type: archive, path: {tmp_path}/archive}}}}
enrich: {{sessions: {{entries: 1000}}}}
""",
                name="f",
                environ={},
                around=Surroundings(),
            )
            for number, one in enumerate(objects):
                key = f"{folder}/111122223333_CloudTrail_us-east-1_{now:%Y%m%dT%H%MZ}_abcdefgh1234567{number}.json.gz"
                s3.put_object(Bucket="trail", Key=key, Body=gzip.compress(json.dumps({"Records": [one]}).encode()))
                pipeline = build.pipeline(settings, once=True)
                try:
                    assert service.run(pipeline, once=True).ok
                finally:
                    pipeline.close()
    files = sorted((tmp_path / "archive").rglob("*.ndjson.zst"))
    texts = [zstandard.ZstdDecompressor().stream_reader(file.read_bytes()).read() for file in files]
    documents = [json.loads(line) for text in texts for line in text.splitlines()]
    by_id = {document["event"]["id"]: document for document in documents}
    assert set(by_id) == {"id-1", "id-2"}
    assert by_id["id-2"]["user"]["effective"] == {"name": "alice", "id": ALICE}
    assert by_id["id-2"]["aws"]["session"]["chain"] == [ALICE, ROLE]
    assert "IQoJsecret" not in json.dumps(documents)
