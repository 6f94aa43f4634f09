"""The CloudWatch Logs of the tests, asked by boto3 itself: a fake that is kinder than AWS would prove nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shipper.aws import AwsSessions, AwsSettings
from tests.fakes.cloudwatch_logs import CloudWatchLogs
from tests.fakes.cloudwatch_server import serving
from tests.fakes.s3 import TurnedClock

NOW = 1_780_000_000
MS = NOW * 1000


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock(NOW)


@pytest.fixture
def logs(clock) -> CloudWatchLogs:
    return CloudWatchLogs(clock)


@pytest.fixture
def client(logs, aws_environment) -> Iterator[Any]:
    with serving(logs) as url:
        yield AwsSessions(AwsSettings(region="us-east-1", endpoint_url=url)).client("logs")


def read(client: Any, **more: Any) -> list[dict[str, Any]]:
    return [event for page in pages(client, **more) for event in page["events"]]


def pages(client: Any, **more: Any) -> list[dict[str, Any]]:
    found = []
    while True:
        page = client.filter_log_events(**{"logGroupName": "app", **more})
        found.append(page)
        if "nextToken" not in page:
            return found
        more = {**more, "nextToken": page["nextToken"]}


def refusal(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def test_events_of_all_streams_come_in_one_order(logs, client):
    """By timestamp, then ingestion time, then request; both ends of the span are included."""
    app = logs.group("app")
    logs.put(app, "b", (MS + 2, "third"), (MS + 3, "last"))
    logs.put(app, "a", (MS, "first"), (MS + 2, "fourth"), (MS + 4, "beyond"))
    found = read(client, startTime=MS, endTime=MS + 3)
    assert [event["message"] for event in found] == ["first", "third", "fourth", "last"]
    assert all(len(event["eventId"]) == 56 and int(event["eventId"]) >> 144 == event["timestamp"] for event in found)


def test_a_page_ends_at_one_megabyte_or_ten_thousand_events(logs, client):
    """And has a token then, even where nothing follows."""
    app = logs.group("app")
    logs.put(app, "s", *((MS + n, "x" * 500_000) for n in range(5)))
    assert [len(page["events"]) for page in pages(client)] == [2, 2, 1]
    logs.put(app, "s", *((MS + 10, "y") for _ in range(10_000)))
    assert [len(page["events"]) for page in pages(client, startTime=MS + 10)] == [10_000, 0]


def test_empty_pages_are_not_the_end(logs, client):
    """Events follow after them."""
    logs.empty_pages = 3
    logs.put(logs.group("app"), "s", (MS, "x"))
    assert [len(page["events"]) for page in pages(client)] == [0, 0, 0, 1]


def test_tokens_expire_belong_to_their_query_and_may_repeat(logs, client, clock):
    """An old, strange or invented token is refused; a stuck one comes back unchanged."""
    logs.page_events = 1
    logs.put(logs.group("app"), "s", (MS, "x"), (MS, "y"))
    query = {"logGroupName": "app", "startTime": MS}
    token = client.filter_log_events(**query)["nextToken"]
    logs.faults["app"] = ["repeat"]
    assert client.filter_log_events(**query, nextToken=token)["nextToken"] == token
    invalid = "InvalidParameterException"
    assert refusal(client.filter_log_events, logGroupName="app", startTime=MS + 1, nextToken=token) == invalid
    assert refusal(client.filter_log_events, **query, nextToken="invented") == invalid
    clock.now += 86_401
    assert refusal(client.filter_log_events, **query, nextToken=token) == invalid


def test_late_events_appear_at_their_own_time(logs, client, clock):
    """Visibility is not the timestamp; the ingestion time tells."""
    logs.put(logs.group("app"), "s", (MS, "late"), visible_ms=MS + 60_000)
    assert read(client) == []
    clock.now += 60
    (event,) = read(client)
    assert event["ingestionTime"] - event["timestamp"] == 60_000


def test_five_calls_a_second_for_each_account_and_region(logs, client, clock):
    """The sixth is throttled, and a second later there is room again."""
    logs.calls_per_second = 5
    logs.group("app")
    logs.page_events = 10
    for _ in range(5):
        client.filter_log_events(logGroupName="app")
    assert logs.count(error="") == 5
    with pytest.raises(ClientError):
        client.filter_log_events(logGroupName="app")
    assert logs.count(error="ThrottlingException") >= 1
    clock.now += 1.1
    client.filter_log_events(logGroupName="app")


def test_groups_that_cannot_be_read(logs, client):
    """Each says why, in AWS's words."""
    logs.group("rare", log_class="INFREQUENT_ACCESS")
    denied, deleted = logs.group("denied"), logs.group("deleted")
    denied.denied = deleted.deleted = True
    assert refusal(client.filter_log_events, logGroupName="rare") == "InvalidOperationException"
    assert refusal(client.filter_log_events, logGroupName="denied") == "AccessDeniedException"
    assert refusal(client.filter_log_events, logGroupName="deleted") == "ResourceNotFoundException"


def test_groups_are_described_by_prefix_pattern_class_and_account(logs, client):
    """Fifty a page; linked accounts only where they are asked for; tags by ARN."""
    for number in range(60):
        logs.group(f"/aws/lambda/f{number:02}", tags={"ship": "yes"})
    other = logs.group("/aws/lambda/linked", account="222222222222", log_class="DELIVERY")
    first = client.describe_log_groups(logGroupNamePrefix="/aws/lambda/")
    second = client.describe_log_groups(logGroupNamePrefix="/aws/lambda/", nextToken=first["nextToken"])
    assert (len(first["logGroups"]), len(second["logGroups"]), "nextToken" in second) == (50, 10, False)
    assert client.describe_log_groups(logGroupNamePattern="linked", includeLinkedAccounts=True)["logGroups"] == []
    logs.links["111111111111"] = {"222222222222"}
    (linked,) = client.describe_log_groups(
        logGroupNamePrefix="/aws", includeLinkedAccounts=True, accountIdentifiers=["222222222222"]
    )["logGroups"]
    assert (linked["logGroupArn"], linked["logGroupClass"]) == (other.arn, "DELIVERY")
    tags = client.list_tags_for_resource(resourceArn=first["logGroups"][0]["logGroupArn"])["tags"]
    assert tags == {"ship": "yes"}


def test_the_date_header_is_the_fakes_own_time(logs, client, clock):
    """So that a reader's idea of AWS's time can be tested."""
    clock.now = 1_700_000_000.0
    answer = client.describe_log_groups()
    assert answer["ResponseMetadata"]["HTTPHeaders"]["date"] == "Tue, 14 Nov 2023 22:13:20 GMT"
