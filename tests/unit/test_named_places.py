"""Names and tags of accounts, regions, buckets and log groups in documents of every log type, in both schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from shipper.build.log_types import LOG_TYPES
from shipper.enrich.accounts import AccountsFile
from shipper.flow_layouts import V2
from shipper.model import LogEvent, LogStream, Origin, Record
from shipper.ports import Lookups, Stop
from shipper.schemas.ecs.places import Places
from shipper.schemas.ecs.vpc_flow import VpcFlowEcs
from shipper.schemas.resources import bucket_of
from tests.fakes.directory import ALL, BUCKET, DEV, PROD, Bench, until

NOW_MS = 1_767_614_400_000


@pytest.fixture
def bench() -> Iterator[Bench]:
    stop = Stop()
    made = Bench(stop)
    yield made
    made.directory.gate.set()
    stop.request()


def trail(**more: Any) -> Record:
    fields = {
        "userIdentity": {"type": "IAMUser", "accountId": PROD},
        "eventTime": "2026-01-05T12:00:01Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": "GetObject",
        "awsRegion": "eu-west-1",
        "recipientAccountId": PROD,
        "eventID": "1",
        "requestParameters": {"bucketName": "pictures", "key": "a"},
        **more,
    }
    return Record(json.dumps(fields).encode(), 0)


def body(log_type: str, schema: str, lookups: Lookups, record: Record) -> dict[str, Any]:
    made = LOG_TYPES[log_type]
    chosen = made.ecs("default", lookups) if schema == "ecs" else made.splunk("", "", lookups)
    document = chosen.encoder(Origin("s3://a/b", "a", "b"))(record)
    assert document is not None
    found: dict[str, Any] = json.loads(document.body)
    return found


def test_cloudtrail_names_account_region_and_bucket(bench):
    """In ECS's fields where it has any; without the look-ups the document is as it was."""
    lookups = bench.warm()
    plain, found = (body("cloudtrail", "ecs", each, trail()) for each in (Lookups(), lookups))
    assert found["cloud"]["account"] == {"id": PROD, "name": "prod"}
    assert found["organization"] == {"id": "o-example"}
    assert found["aws"]["account"] == {"organizational_unit": "Root/Workloads/Production", "tags": {"owner": "alice"}}
    assert found["aws"]["region_name"] == "Europe (Ireland)"
    assert found["aws"]["bucket"] == {"name": "pictures", "tags": {"data-class": "pii"}}
    for name in ("account", "region_name", "bucket"):
        del found["aws"][name]
    del found["organization"], found["cloud"]["account"]["name"]
    assert found == plain
    flat = body("cloudtrail", "splunk", lookups, trail())["fields"]
    del flat["event_uid"]
    assert flat == {
        "account_name": "prod",
        "organizational_unit": "Root/Workloads/Production",
        "organization_id": "o-example",
        "account_tag_owner": "alice",
        "region_name": "Europe (Ireland)",
        "bucket_name": "pictures",
        "bucket_tag_data_class": "pii",
    }
    assert set(body("cloudtrail", "splunk", Lookups(), trail())["fields"]) == {"event_uid"}


OWNED = [{"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::pictures/a"}]
OWNED += [{"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::pictures", "accountId": PROD}]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (trail(), BUCKET),
        (trail(recipientAccountId=DEV, resources=OWNED), BUCKET),
        (trail(recipientAccountId=DEV, resources=OWNED, errorCode="AccessDenied"), BUCKET),
        (trail(errorCode="NoSuchBucket"), None),
        (trail(requestParameters=None), None),
        (trail(requestParameters={"bucketName": ["pictures"]}), None),
        (trail(requestParameters={"bucketName": "../x"}), None),
        (trail(eventSource="ec2.amazonaws.com"), None),
        (trail(awsRegion=None), None),
        (Record(b"[" * 100_000, 0), None),
    ],
)
def test_the_bucket_of_a_record(bench, record, expected):
    """Its owner is who CloudTrail says; names that callers made up are not asked for. Both schemas agree."""
    assert bucket_of(record.raw) == expected
    if record.raw.startswith(b"{"):
        resources = bench.resources()
        body("cloudtrail", "ecs", Lookups(resources=resources), record)
        until(lambda: resources._known.waiting() == 0)
        assert set(bench.directory.asked) == ({expected} if expected else set())


@pytest.mark.parametrize("log_type", ["cloudwatch", "ec2", "rds", "eks", "containers", "apigateway"])
def test_log_events_name_account_region_and_group(bench, log_type):
    """Of every log type that comes from log groups, in both schemas."""
    lookups = bench.warm()
    event = LogEvent("id-1", NOW_MS, LogStream(PROD, "eu-west-1", "/app/shop", "one"), NOW_MS)
    record = Record(b"hello", 0, event=event)
    found = body(log_type, "ecs", lookups, record)
    assert found["cloud"]["account"]["name"] == "prod"
    assert found["aws"]["cloudwatch"]["log_group_tags"] == {"team": "shop"}
    assert found["aws"]["region_name"] == "Europe (Ireland)"
    plain = body(log_type, "ecs", Lookups(), record)
    assert "name" not in plain["cloud"]["account"]
    assert "log_group_tags" not in plain["aws"]["cloudwatch"]
    flat = body(log_type, "splunk", lookups, record)["fields"]
    assert flat["account_name"] == "prod"
    assert flat["log_group_tag_team"] == "shop"
    # The line has no form of some of these types: a tag says so, with and without look-ups.
    assert set(body(log_type, "splunk", Lookups(), record)["fields"]) - {"shipper_tags"} == {"event_uid"}


FLOW = "2 {account} eni-0a 203.0.113.7 10.0.0.5 51000 22 6 10 840 1772366710 1772366765 {action} OK"


@pytest.mark.parametrize("action", ["ACCEPT", "é"])
def test_flow_logs_name_account_and_region(bench, action):
    """The line's own account counts for more than the file's; the compiled encoder and the plain mapping agree."""
    lookups = bench.warm()
    origin = Origin("s3://a/b", "a", "b", PROD, "eu-west-1")

    def sent(schema: str, account: str, found: Lookups) -> dict[str, Any]:
        made = LOG_TYPES["vpcflow"]
        chosen = made.ecs("default", found) if schema == "ecs" else made.splunk("", "", found)
        line = FLOW.format(account=account, action=action).encode()
        document = chosen.encoder(origin)(Record(line, 0, V2))
        assert document is not None
        sent: dict[str, Any] = json.loads(document.body)
        return sent

    for account in (PROD, "-"):
        ecs = sent("ecs", account, lookups)
        assert ecs["cloud"]["account"] == {"id": PROD, "name": "prod"}
        assert ecs["organization"] == {"id": "o-example"}
        assert ecs["aws"]["account"]["tags"] == {"owner": "alice"}
        assert ecs["aws"]["region_name"] == "Europe (Ireland)"
        flat = sent("splunk", account, lookups)["fields"]
        assert (flat["account_name"], flat["region_name"]) == ("prod", "Europe (Ireland)")
    assert sent("ecs", DEV, lookups)["cloud"]["account"] == {"id": DEV}
    plain = sent("ecs", PROD, Lookups())
    assert not {"account", "region_name"} & plain["aws"].keys()
    assert set(sent("splunk", PROD, Lookups())["fields"]) == {"event_uid"}


def test_names_that_become_known_show_in_flow_logs(tmp_path):
    """What was written of an account before its name was known is written anew, a few seconds later."""
    path = tmp_path / "accounts.json"
    path.write_text(json.dumps({PROD: "old"}))
    accounts = AccountsFile(path, ALL, look_seconds=0.0)
    schema = VpcFlowEcs("default", None, names=Places(accounts, {}, asked_seconds=0.0), names_seconds=0.0)

    def name() -> str:
        line = Record(FLOW.format(account=PROD, action="ACCEPT").encode(), 0, V2)
        document = schema.encoder(Origin("s3://a/b", "a", "b"))(line)
        assert document is not None
        found: str = json.loads(document.body)["cloud"]["account"]["name"]
        return found

    assert name() == "old"
    path.write_text(json.dumps({PROD: "renamed"}))
    assert name() == "renamed"


@pytest.mark.parametrize("name", ["accounts", "resources", "regions"])
def test_records_that_are_written_natively_carry_it_too(bench, name):
    """Each look-up by itself shows in the usual records, which the native encoder would write where it is installed."""
    lookup = getattr(bench.warm(), name)
    plain, found = (body("cloudtrail", "ecs", each, trail()) for each in (Lookups(), Lookups(**{name: lookup})))
    shown_at = {"accounts": "account", "resources": "bucket", "regions": "region_name"}[name]
    assert found["aws"].keys() - plain["aws"].keys() == {shown_at}
