"""What the daemon asks of AWS, recorded on the wire for each kind of configuration, is what `iam-policy` allows.

Both ways: each call is allowed to who makes it, and each action that is allowed was needed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from shipper import build, config, service
from shipper.aws import AwsSessions
from shipper.build.backfill import Range, backfills
from shipper.build.iam_policy import policies
from shipper.metrics import Metrics
from shipper.model import Resource, S3Object
from shipper.ports import Stop
from tests.fakes import cloudtrail
from tests.fakes.aws_recorder import Recorder
from tests.fakes.cloudwatch_logs import CloudWatchLogs
from tests.fakes.cloudwatch_server import serving
from tests.fakes.iam import allows
from tests.fakes.sqs import bridge_event
from tests.parts.moto import Moto

OWN, OTHER = "123456789012", "444455556666"
ROLE = f"arn:aws:iam::{OTHER}:role/ship"
MANAGEMENT = f"arn:aws:iam::{OTHER}:role/accounts"
EVERYWHERE = "arn:aws:iam::*:role/shipper-enrich"


class Watched:
    """Runs configurations over emulators, and compares what they asked with what their policies allow."""

    def __init__(self, folder: Path, moto: Moto, logs: CloudWatchLogs, recorder: Recorder) -> None:
        self.folder, self.moto, self.logs, self.recorder = folder, moto, logs, recorder
        self.s3, self.sqs = moto.client("s3"), moto.client("sqs")
        self.policy_options: dict[str, Any] = {}

    def settings(self, source: dict[str, Any], **sections: Any) -> config.Settings:
        text = {
            "state": {"path": str(self.folder / "state")},
            "listen": "off",
            "aws": {"region": "us-east-1", "endpoint_url": self.recorder.url},
            "sources": {"s": source},
            "sinks": {"a": {"type": "archive", "path": str(self.folder / "archive")}},
            **sections,
        }
        path = self.folder / "shipper.yaml"
        path.write_text(json.dumps(text))
        path.chmod(0o600)
        return config.load(path)

    def fill(self, bucket: str, client: Any = None) -> None:
        s3 = client or self.s3
        s3.create_bucket(Bucket=bucket)
        for key, body in cloudtrail.recent(3).objects(4, 3):
            s3.put_object(Bucket=bucket, Key=key, Body=body)

    def run(self, settings: config.Settings) -> int:
        """Ship what is there, and check the sources; return how many records were read."""
        pipeline = build.pipeline(settings, once=True)
        try:
            summary = service.run(pipeline, once=True)
            assert summary.ok
            for source in pipeline.sources:
                assert not [problem for problem in source.problems() if problem.serious]
            return sum(summary.read.values())
        finally:
            pipeline.close()

    def judge(self, settings: config.Settings, *, unused: frozenset[str] = frozenset()) -> dict[str, Any]:
        """Compare both ways; `unused` are actions that this run had no occasion for."""
        granted = policies(settings, **self.policy_options)
        asked = self.recorder.asked
        assert asked
        denied = [
            call
            for call in asked
            if not allows(granted[_of(call.who, granted)], call.action, call.resource, call.context)
        ]
        assert not denied
        allowed = {(who, action) for who, policy in granted.items() for action in actions(policy)}
        needed = {(_of(call.who, granted), call.action) for call in asked}
        assert {pair for pair in allowed - needed if pair[1] not in unused} == set()
        return granted


def _of(who: str, granted: dict[str, Any]) -> str:
    """The policy's name of a role, which may be the same in every account."""
    return EVERYWHERE if who not in granted and who.endswith("/shipper-enrich") else who


def actions(policy: dict[str, Any]) -> set[str]:
    """All that a policy names."""
    found = [statement["Action"] for statement in policy["Statement"]]
    return {action for each in found for action in ([each] if isinstance(each, str) else each)}


@pytest.fixture
def watched(moto: Moto, tmp_path: Path) -> Iterator[Watched]:
    logs = CloudWatchLogs(time.time)
    accounts = {"testing": OWN}
    with serving(logs, accounts) as url, Recorder({"": moto.url, "logs": url}, accounts) as recorder:
        yield Watched(tmp_path, moto, logs, recorder)


@pytest.mark.parametrize("prefix", ["", "AWSLogs/"])
def test_a_listed_bucket(watched, prefix):
    """Two actions, and objects are read without boto3, too."""
    watched.fill("trail")
    settings = watched.settings({"type": "s3", "bucket": "trail", "prefix": prefix})
    assert watched.run(settings) == 12
    watched.judge(settings)
    assert any("Boto" not in call.agent for call in watched.recorder.asked if call.action == "s3:GetObject")


def test_a_bucket_of_another_account(watched):
    """The daemon's own credentials may only assume the role; the role may only read the bucket."""
    watched.fill("trail")
    settings = watched.settings({"type": "s3", "bucket": "trail", "aws": {"role_arn": ROLE, "external_id": "trail-x"}})
    assert watched.run(settings) == 12
    granted = watched.judge(settings)
    assert {who: actions(policy) for who, policy in granted.items()} == {
        "own": {"sts:AssumeRole"},
        ROLE: {"s3:ListBucket", "s3:GetObject"},
    }


def test_a_queue_of_notifications(watched):
    """Reading, hiding and deleting messages; versions that messages name; the daily listing."""
    watched.fill("trail")
    watched.s3.create_bucket(Bucket="versions")
    watched.s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    ((key, body),) = cloudtrail.recent(4).objects(1, 5)
    put = watched.s3.put_object(Bucket="versions", Key=key, Body=body)
    url = watched.sqs.create_queue(QueueName="logs", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
    item = S3Object("versions", key, len(body), put["ETag"].strip('"'), 0.0, put["VersionId"])
    listed = watched.s3.list_objects_v2(Bucket="trail")["Contents"][0]
    plain = S3Object("trail", listed["Key"], listed["Size"], listed["ETag"].strip('"'), 0.0)
    for each in (item, plain):
        watched.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(bridge_event(each)))
    queue = watched.recorder.url + url[len(watched.moto.url) :]
    settings = watched.settings(
        {
            "type": "s3_notifications",
            "queue_url": queue,
            "buckets": ["trail/AWSLogs/", "versions"],
            "verify_listing": True,
        }
    )
    assert watched.run(settings) == 5 + 3
    watched.judge(settings)


def test_a_backfill_onto_a_queue(watched):
    """One more action, on the queue that is named, for the credentials of the source that is listed."""
    watched.fill("trail")
    url = watched.sqs.create_queue(QueueName="back")["QueueUrl"]
    queue = watched.recorder.url + url[len(watched.moto.url) :]
    settings = watched.settings({"type": "s3", "bucket": "trail"})
    for each in backfills(settings, Range("s", "-1d", "now", queue)):
        try:
            assert service.run(each.pipeline, once=True).ok
        finally:
            each.pipeline.close()
    watched.policy_options = {"queue_url": queue, "source": "s"}
    granted = watched.judge(settings, unused=frozenset({"s3:GetObject"}))
    assert "sqs:SendMessage" in actions(granted["own"])


FLOW = "2 123456789012 eni-1 203.0.113.7 10.0.0.5 51000 22 6 10 840 1767323000 1767323040 REJECT OK"
_ONLY_OF_FLOW_LOGS = frozenset({"logs:DescribeSubscriptionFilters"})
"""Asked for the fields of a group that is known to hold flow logs."""


@pytest.mark.parametrize(
    ("source", "unused"),
    [
        ({"log_groups": ["app"], "logs": "cloudwatch"}, frozenset()),
        ({"log_groups": ["ap*", "arn:aws:logs:us-east-1:123456789012:log-group:app:*"]}, _ONLY_OF_FLOW_LOGS),
        ({"tags": {"team": "pay*"}, "logs": "cloudwatch"}, frozenset()),
        ({"log_groups": ["app"], "accounts": "linked"}, frozenset()),
        ({"log_groups": ["app"], "accounts": ["444455556666"], "logs": "cloudwatch"}, frozenset()),
    ],
)
def test_log_groups(watched, source, unused):
    """By name, glob and ARN, by tags, of linked accounts; `logs: auto` looks at flow logs."""
    now = int(time.time() * 1000)
    watched.logs.links = {OWN: {OTHER}}
    for account in (OWN, OTHER):
        group = watched.logs.group("app", account=account, tags={"team": "payments"}, created=time.time() - 7200)
        watched.logs.put(group, "one", (now - 600_000, FLOW), (now - 500_000, FLOW))
    settings = watched.settings({"type": "cloudwatch_logs", "start": "-1h", "calls_per_second": 100, **source})
    assert watched.run(settings) >= 2
    watched.judge(settings, unused=unused)


def test_log_groups_of_several_accounts(watched):
    """Each account is read as the role of its own, and nothing is read as oneself."""
    now = int(time.time() * 1000)
    roles = [ROLE, ROLE.replace(OTHER, "777788889999")]
    for role in roles:
        group = watched.logs.group("app", account=role.split(":")[4], created=time.time() - 7200)
        watched.logs.put(group, "one", (now - 600_000, "hello"))
    source = {"type": "cloudwatch_logs", "log_groups": ["app"], "logs": "cloudwatch", "roles": roles}
    settings = watched.settings(source | {"start": "-1h", "calls_per_second": 100})
    assert watched.run(settings) == 2
    granted = watched.judge(settings)
    assert set(granted) == {"own", *roles}
    assert actions(granted["own"]) == {"sts:AssumeRole"}


def test_tags_of_principals_in_two_accounts(watched):
    """GetRole and GetUser here, and there through the role that is named."""
    source = {"type": "s3", "bucket": "trail"}
    watched.fill("trail")
    settings = watched.settings(source, enrich={"iam": {"role_name": "shipper-enrich", "requests_per_second": 100}})
    watched.run(settings)
    stop, metrics = Stop(), Metrics()
    found = build.lookups(settings, metrics, stop).principals
    assert found is not None
    arns = [f"arn:aws:iam::{account}:{kind}/x" for account in (OWN, OTHER) for kind in ("role", "user")]
    deadline = time.monotonic() + 60
    try:
        while metrics.iam_lookups.labels("absent")._value.get() < len(arns):
            assert time.monotonic() < deadline
            for arn in arns:
                found(arn)
            stop.rest(0.01)
    finally:
        stop.request()
    granted = watched.judge(settings)
    assert set(granted) == {"own", EVERYWHERE}


@pytest.mark.parametrize("regions", [[], ["us-east-1"]])
def test_interfaces_in_two_accounts(watched, regions):
    """Two listings here, and there through the role that is named; only in the regions that are chosen."""
    watched.fill("trail")
    chosen = {"role_name": "shipper-enrich", "requests_per_second": 100, "regions": regions}
    settings = watched.settings({"type": "s3", "bucket": "trail"}, enrich={"interfaces": chosen})
    watched.run(settings)
    stop, metrics = Stop(), Metrics()
    found = build.lookups(settings, metrics, stop).interfaces
    assert found is not None
    deadline = time.monotonic() + 60
    try:
        while metrics.interface_listings.labels("found")._value.get() < 4:
            assert time.monotonic() < deadline
            for account in (OWN, OTHER):
                found.want(account, "us-east-1")
                found.want(account, "not-a-region")
            stop.rest(0.01)
    finally:
        stop.request()
    granted = watched.judge(settings)
    assert set(granted) == {"own", EVERYWHERE}


def test_accounts_and_tags_of_resources(watched):
    """Organizations by a role of its own; tags here, and there through the role that is named."""
    watched.fill("trail")
    client = AwsSessions(watched.moto.settings(role_arn=MANAGEMENT)).client("organizations")
    client.create_organization(FeatureSet="ALL")
    root = client.list_roots()["Roots"][0]["Id"]
    unit = client.create_organizational_unit(ParentId=root, Name="Workloads")["OrganizationalUnit"]["Id"]
    account = client.create_account(AccountName="prod", Email="a@example.com")["CreateAccountStatus"]["AccountId"]
    client.move_account(AccountId=account, SourceParentId=root, DestinationParentId=unit)
    options = {"requests_per_second": 100}
    enrich = {
        "accounts": {"role_arn": MANAGEMENT, **options},
        "resources": {"role_name": "shipper-enrich", **options},
    }
    settings = watched.settings({"type": "s3", "bucket": "trail"}, enrich=enrich)
    watched.run(settings)
    stop, metrics = Stop(), Metrics()
    found = build.lookups(settings, metrics, stop)
    assert found.accounts is not None
    assert found.resources is not None
    kinds: tuple[Literal["bucket", "log_group"], ...] = ("bucket", "log_group")
    asked = [Resource(kind, owner, "us-east-1", "some-name") for kind in kinds for owner in (OWN, OTHER)]
    deadline = time.monotonic() + 60
    try:
        while metrics.enrich_lookups.labels("resources", "absent")._value.get() < len(asked) or (
            found.accounts(account) is None
        ):
            assert time.monotonic() < deadline
            for resource in asked:
                found.resources(resource)
            stop.rest(0.01)
    finally:
        stop.request()
    granted = watched.judge(settings)
    assert set(granted) == {"own", EVERYWHERE, MANAGEMENT}


ENRICHED = {
    "iam": {},
    "interfaces": {"regions": ["us-east-1", "eu-west-1"], "accounts": [OTHER], "role_name": "shipper-enrich"},
    "accounts": {"role_arn": MANAGEMENT},
    "resources": {},
}


def organisation(watched: Watched) -> None:
    watched.fill("trail")
    AwsSessions(watched.moto.settings(role_arn=MANAGEMENT)).client("organizations").create_organization(
        FeatureSet="ALL"
    )


def test_check_tries_what_enrichment_will_ask(watched):
    """Each permission that the policy gives to enrichments is tried, and nothing is wrong where all are there."""
    organisation(watched)
    settings = watched.settings({"type": "s3", "bucket": "trail"}, enrich=ENRICHED)
    assert not [problem for _, probe in build.enrichment_probes(settings) for problem in probe()]
    watched.judge(settings, unused=frozenset({"s3:ListBucket", "s3:GetObject"}))


@pytest.mark.parametrize(
    ("action", "where"),
    [
        ("iam:GetRole", "enrich.iam"),
        ("iam:GetUser", "enrich.iam"),
        ("ec2:DescribeNetworkInterfaces", "enrich.interfaces"),
        ("ec2:DescribeInstances", "enrich.interfaces"),
        ("organizations:ListAccounts", "enrich.accounts"),
        ("organizations:ListParents", "enrich.accounts"),
        ("organizations:DescribeOrganizationalUnit", "enrich.accounts"),
        ("organizations:ListTagsForResource", "enrich.accounts"),
        ("s3:GetBucketTagging", "enrich.resources"),
        ("logs:ListTagsForResource", "enrich.resources"),
    ],
)
def test_check_names_the_permission_that_is_missing(watched, action, where):
    """One refused call is told of, and the others are tried all the same; the daemon would run without it."""
    organisation(watched)
    watched.recorder.refused = {action}
    settings = watched.settings({"type": "s3", "bucket": "trail"}, enrich=ENRICHED)
    problems = [problem for _, probe in build.enrichment_probes(settings) for problem in probe()]
    assert {(problem.where, problem.serious) for problem in problems} == {(where, False)}
    assert all(f"needs {action})" in problem.what for problem in problems)
    assert {call.action for call in watched.recorder.asked} >= actions_of_enrichment(settings)


def actions_of_enrichment(settings: config.Settings) -> set[str]:
    found = {action for policy in policies(settings).values() for action in actions(policy)}
    return found - {"s3:ListBucket", "s3:GetObject"}


def test_the_recorder_and_the_judge_can_say_no(watched):
    """A policy of another bucket, or of a narrower prefix, would be found out."""
    watched.fill("trail")
    watched.run(watched.settings({"type": "s3", "bucket": "trail"}))
    for other in ({"bucket": "other"}, {"bucket": "trail", "prefix": "AWSLogs/9"}):
        with pytest.raises(AssertionError):
            watched.judge(watched.settings({"type": "s3", **other}))
