"""What single kinds of CloudTrail records become, as Elastic's AWS integration lays them out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shipper.model import Origin, Record
from shipper.schemas.ecs.cloudtrail import CloudTrailEcs

ORIGIN = Origin("s3://trail/AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/15/x.json.gz", "trail", "AWSLogs/x")
COMMAND = {"eventSource": "ssm.amazonaws.com", "eventName": "SendCommand"}


@pytest.fixture(params=[True, False], ids=["native", "python"])
def document(request: pytest.FixtureRequest) -> Any:
    """Maps a record with some fields more than the usual: natively, where that module is installed, and in Python."""
    encode = CloudTrailEcs("default", None, native=request.param).encoder(ORIGIN)

    def mapped(**fields: Any) -> dict[str, Any]:
        usual = {"eventTime": "2026-01-15T10:00:00Z", "eventID": "e-1", "recipientAccountId": "111122223333"}
        made = encode(Record(json.dumps(usual | fields, separators=(",", ":")).encode(), 1))
        assert made is not None
        body: dict[str, Any] = json.loads(made.body)
        return body

    return mapped


@pytest.mark.parametrize(
    ("asked", "ids"),
    [
        ({"instanceIds": ["i-1", "i-2"], "targets": [{"key": "InstanceIds", "values": ["i-3"]}]}, ["i-1", "i-2"]),
        ({"instanceIds": [], "targets": [{"key": "tag:Name", "values": ["web", "db"]}]}, ["db", "web"]),
        ({"targets": [{"key": "InstanceIds", "values": ["*"]}]}, ["111122223333"]),
        ({"instanceIds": ["*"]}, ["111122223333"]),
    ],
)
def test_a_command_is_aimed_at_the_instances_it_names_or_selects(document, asked, ids):
    """`instanceIds` come before `targets`, and `*` means the whole account."""
    made = document(**COMMAND, requestParameters={"documentName": "AWS-RunShellScript", **asked})
    assert made["target"]["entity"]["id"] == ids
    assert set(ids) <= set(made["related"]["entity"])


def test_a_prefix_of_resources_keeps_its_name(document):
    """CloudTrail names a prefix where a call was about many objects; the integration leaves that key as it is."""
    resources = [
        {"type": "AWS::S3::Object", "ARNPrefix": "arn:aws:s3:::lake/"},
        {"accountId": "111122223333", "type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::lake"},
    ]
    made = document(eventSource="s3.amazonaws.com", eventName="ListObjects", resources=resources)
    assert made["aws"]["cloudtrail"]["resources"] == [
        {"type": "AWS::S3::Object", "ARNPrefix": "arn:aws:s3:::lake/"},
        {"account_id": "111122223333", "type": "AWS::S3::Bucket", "arn": "arn:aws:s3:::lake"},
    ]


def test_the_groups_of_a_user_are_about_groups(document):
    """ListGroupsForUser is about groups, as in Elastic's integration."""
    made = document(eventSource="iam.amazonaws.com", eventName="ListGroupsForUser")
    assert (made["event"]["category"], made["event"]["type"]) == (["iam"], ["group", "info"])
