"""CloudTrail's less usual events through the whole program: from objects in S3 to a real Elasticsearch."""

from __future__ import annotations

import gzip
import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from shipper import build, config, service
from shipper.config.values import Surroundings
from tests.parts import moto

AGGREGATED = {
    "eventVersion": "1.0",
    "accountId": "444455556666",
    "eventId": "62759c1a-6248-48e1-a6b3-000000000001",
    "eventCategory": "Aggregated",
    "eventType": "AwsAggregatedEvent",
    "awsRegion": "us-east-1",
    "eventSource": "s3.amazonaws.com",
    "timeWindow": {"windowStart": "2026-01-05T12:20:00Z", "windowEnd": "2026-01-05T12:25:00Z", "windowSize": "PT5M"},
    "summary": {
        "primaryDimension": {
            "dimension": "eventName",
            "statistics": [{"name": "PutObject", "value": 1000}],
            "aggregationType": "Count",
        },
        "details": [{"dimension": "resourceARN", "statistics": [{"name": "arn:aws:s3:::bucket-1", "value": 1000}]}],
    },
}
USUAL = {
    "eventVersion": "1.11",
    "eventTime": "2026-01-05T12:00:00Z",
    "awsRegion": "us-east-1",
    "sourceIPAddress": "198.51.100.7",
    "recipientAccountId": "111122223333",
}
SIGN_IN = USUAL | {
    "eventID": "sign-in",
    "eventSource": "signin.amazonaws.com",
    "eventName": "CredentialVerification",
    "eventType": "AwsServiceEvent",
    "serviceEventDetails": {"CredentialVerification": "Failure"},
}
POLICY = USUAL | {
    "eventID": "policy",
    "eventSource": "iam.amazonaws.com",
    "eventName": "AttachRolePolicy",
    "eventType": "AwsApiCall",
    "requestParameters": {"roleName": "deploy", "policyArn": "arn:aws:iam::111122223333:policy/wide"},
}


def test_events_of_each_kind_are_searchable(tmp_path, elasticsearch9):
    """Aggregated events by window, id and summary; failed sign-ins as failures; two keys in the order of rules."""
    namespace = uuid.uuid4().hex[:8]
    now = datetime.now(UTC)  # a day of long ago is listed only once in a while
    key = f"AWSLogs/111122223333/CloudTrail/us-east-1/{now:%Y/%m/%d}"
    key += f"/111122223333_CloudTrail_us-east-1_{now:%Y%m%dT%H%MZ}_abcdefgh12345678.json.gz"
    with pytest.MonkeyPatch.context() as patch:
        moto.set_credentials(patch)
        with moto.running() as emulator:
            s3 = emulator.client("s3")
            s3.create_bucket(Bucket="trail")
            other = key.replace("111122223333", str(AGGREGATED["accountId"]))  # each record lies below its own account
            for at, records in ((key, [SIGN_IN, POLICY]), (other, [AGGREGATED])):
                s3.put_object(Bucket="trail", Key=at, Body=gzip.compress(json.dumps({"Records": records}).encode()))
            settings = config.parse(
                f"""
state: {{path: {tmp_path}/state}}
listen: "off"
aws: {{region: us-east-1, endpoint_url: '{emulator.url}'}}
sources: {{trail: {{type: s3, bucket: trail, start: beginning}}}}
sinks: {{siem: {{type: elasticsearch, hosts: ['{elasticsearch9.url}'], data_stream_namespace: "{namespace}"}}}}
""",
                name="f",
                environ={},
                around=Surroundings(),
            )
            pipeline = build.pipeline(settings, once=True)
            try:
                assert service.run(pipeline, once=True).ok
            finally:
                pipeline.close()
    index = f"logs-aws.cloudtrail-{namespace}"
    elasticsearch9.request("POST", f"{index}/_refresh")

    def found(query: dict[str, Any]) -> list[str]:
        hits = elasticsearch9.request("POST", f"{index}/_search", {"query": query}).body["hits"]["hits"]
        return sorted(hit["_source"]["event"]["id"] for hit in hits)

    window = {"gte": "2026-01-05T12:20:00Z", "lt": "2026-01-05T12:25:00Z"}
    aggregated = [AGGREGATED["eventId"]]
    assert found({"range": {"@timestamp": window}}) == aggregated
    assert found({"term": {"cloud.account.id": "444455556666"}}) == aggregated
    statistics = "aws.cloudtrail.flattened.summary.primaryDimension.statistics.name"
    assert found({"term": {statistics: "PutObject"}}) == aggregated
    assert found({"wildcard": {"aws.cloudtrail.summary": "*{name=PutObject, value=1000}*"}}) == aggregated
    assert found({"term": {"related.entity": "arn:aws:s3:::bucket-1"}}) == aggregated
    assert found({"term": {"event.outcome": "failure"}}) == ["sign-in"]
    assert found({"wildcard": {"aws.cloudtrail.request_parameters": "{policyArn=*, roleName=deploy}"}}) == ["policy"]
