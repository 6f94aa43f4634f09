"""What records claim is believed only as far as their place vouches for it: attacks on that, by each way in.

docs/security.md says what each place vouches for, and names these tests.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from shipper import config
from shipper.build import LOG_TYPES, lookups, shipper_to
from shipper.build.event_types import GroupTypes
from shipper.config import Settings
from shipper.delivery import Patience
from shipper.metrics import Metrics
from shipper.model import Events, LogEvent, LogStream, Origin, Payload, Record, S3Object, S3Split, Session, WindowSplit
from shipper.ports import Lookups, SchemaName, Stop
from shipper.sources.s3_keys import account_and_region
from tests.fakes.pipeline import HastyStop, MemorySink
from tests.unit.test_log_event_types import ACCESS, AUDIT, POD, POSTGRES, PUBLIC, RESOLVER
from tests.unit.test_waf import BLOCKED

ATTACKER, VICTIM = "111111111111", "222222222222"
EVENT_ID = "8f507cfc-0001-4697-b07a-ac58fc914c95"
TIME = 1_767_323_045_678
REAL: dict[str, Any] = {
    "eventVersion": "1.11",
    "userIdentity": {"type": "IAMUser", "accountId": VICTIM, "userName": "mallory"},
    "eventTime": "2026-01-02T03:04:05Z",
    "eventSource": "iam.amazonaws.com",
    "eventName": "CreateAccessKey",
    "awsRegion": "us-east-1",
    "sourceIPAddress": "203.0.113.7",
    "eventID": EVENT_ID,
    "recipientAccountId": VICTIM,
}
FORGED = REAL | {"eventName": "ListBuckets", "userIdentity": REAL["userIdentity"] | {"userName": "nobody"}}
FLOW = f"2 {VICTIM} eni-1 203.0.113.7 10.0.0.5 51000 22 6 10 840 1767323000 1767323040 REJECT OK"
FORMS = {
    "cloudtrail": json.dumps(FORGED),
    "vpcflow": FLOW,
    "route53_resolver": orjson.dumps(RESOLVER).decode(),
    "route53_public": PUBLIC,
    "eks": orjson.dumps(AUDIT).decode(),
    "waf": orjson.dumps(BLOCKED).decode(),
    "apigateway": orjson.dumps(ACCESS).decode(),
    "containers": orjson.dumps(POD).decode(),
}
TRAIL_KEY = f"AWSLogs/{VICTIM}/CloudTrail/us-east-1/2026/01/02/{VICTIM}_CloudTrail_us-east-1_20260102T0305Z_a.json.gz"
OTHER_KEY = TRAIL_KEY.replace(VICTIM, ATTACKER)
CONFIG = """
sources:
  firehose: {type: s3, bucket: firehose, logs: subscription}
  typed: {type: s3, bucket: firehose, logs: subscription, log_group_types: {"222222222222:/my/*": cloudtrail}}
  trail: {type: s3, bucket: trail}
  lines: {type: s3, bucket: lines, logs: cloudwatch}
  groups: {type: cloudwatch_logs, log_groups: ["*"], regions: [us-east-1]}
sinks:
  one: {type: archive, path: ./one}
  two: {type: splunk_hec, urls: ["https://localhost:8088"], token: t}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    file = tmp_path / "shipper.yaml"
    file.write_text(CONFIG)
    file.chmod(0o600)
    return config.load(file, secrets=False)


class Road:
    """The way of the data from a reader on, into sinks that keep documents by id as Elasticsearch's `create` does."""

    def __init__(self, settings: Settings) -> None:
        self.metrics, self.stop = Metrics(), HastyStop()
        self.sinks = {name: MemorySink(name, schema) for name, schema in self._schemas()}
        self._given: list[Payload | Events] = []
        self.letters: list[Any] = []
        openers = dict.fromkeys(settings.sources, self)
        found = lookups(settings, self.metrics, Stop())
        self._shipper = shipper_to(
            settings,
            self.sinks,
            found,
            openers,
            letters=self,  # type: ignore[arg-type]  # keeps them
            metrics=self.metrics,
            stop=self.stop,
            patience=Patience(1.0),
        )

    @staticmethod
    def _schemas() -> list[tuple[str, SchemaName]]:
        return [("one", "ecs"), ("two", "splunk")]

    def put(self, letters: Any) -> None:
        self.letters += letters

    def open(self, _split: Any) -> Any:
        yield from self._given

    def ship(self, source: str, logs: str, key: str, data: bytes) -> None:
        """Ship one object."""
        account, region = account_and_region(key)
        self._given = [Payload(Origin(f"s3://b/{key}", "b", key, account, region), iter([data]))]
        item = S3Object("b", key, len(data), "e", 0.0)
        self._shipper.ship(S3Split("i", source, "s", logs, (item,)))

    def ship_window(self, logs: str, group: str, *messages: str) -> None:
        """Ship a window of a log group of the attacker's account, as `logs: auto` told its type."""
        stream = LogStream(ATTACKER, "us-east-1", group, "s")
        events = (
            Record(text.encode(), number, None, LogEvent(f"{number:056}", TIME, stream))
            for number, text in enumerate(messages, 1)
        )
        self._given = [Events(Origin("arn", account=ATTACKER, region="us-east-1"), events)]
        self._shipper.ship(WindowSplit("i", "groups", "arn", logs, ATTACKER, "us-east-1", group, 0, TIME))

    def documents(self, sink: str = "one") -> list[dict[str, Any]]:
        return [orjson.loads(body) for body in self.sinks[sink].stored.values()]

    def unvouched(self, source: str, logs: str) -> float:
        found = self.metrics.registry.get_sample_value(
            "shipper_events_unvouched_total", {"source": source, "logs": logs}
        )
        return found or 0.0


def envelope(group: str, *messages: str, owner: str = ATTACKER) -> bytes:
    events = [{"id": f"{n:056}", "timestamp": TIME, "message": message} for n, message in enumerate(messages)]
    head = {"messageType": "DATA_MESSAGE", "owner": owner, "logGroup": group, "logStream": "s"}
    return json.dumps({**head, "subscriptionFilters": ["f"], "logEvents": events}, separators=(",", ":")).encode()


def trail_object(*records: dict[str, Any]) -> bytes:
    return gzip.compress(json.dumps({"Records": records}).encode())


def test_a_forged_line_takes_no_real_records_place(settings):
    """The very attack: a line of /app/web that claims to be a known event of another account comes first."""
    road = Road(settings)
    road.ship("firehose", "subscription", "2026/01/02/03/f-1", gzip.compress(envelope("/app/web", FORMS["cloudtrail"])))
    road.ship("trail", "cloudtrail", TRAIL_KEY, trail_object(REAL))
    forged, real = sorted(road.documents(), key=lambda found: str(found["event"]["dataset"]), reverse=True)
    assert (forged["event"]["dataset"], real["event"]["dataset"]) == ("aws.cloudwatch_logs", "aws.cloudtrail")
    assert (real["event"]["action"], real["cloud"]["account"]["id"]) == ("CreateAccessKey", VICTIM)
    assert "tags" not in real
    assert forged["tags"] == ["unvouched", "unvouched_cloudtrail"]
    assert forged["cloud"]["account"]["id"] == ATTACKER
    assert forged["event"]["original"] == FORMS["cloudtrail"]
    one, other = road.documents("two")
    assert (one["sourcetype"], other["sourcetype"]) == ("aws:cloudwatchlogs", "aws:cloudtrail")
    assert one["fields"]["shipper_tags"] == ["unvouched", "unvouched_cloudtrail"]
    assert road.unvouched("firehose", "cloudtrail") == 1, "once, however many sinks there are"
    assert not road.letters


@pytest.mark.parametrize("way", ["envelope", "window"])
@pytest.mark.parametrize("likely", FORMS)
def test_no_form_of_a_message_makes_its_type(settings, likely, way):
    """Neither in an envelope nor in a group whose first and only events have the form."""
    road = Road(settings)
    if way == "envelope":
        road.ship("firehose", "subscription", "f-1", envelope("/app/web", *[FORMS[likely]] * 2))
    else:
        road.ship_window("cloudwatch", "/app/web", *[FORMS[likely]] * 2)
    found = road.documents()
    assert [each["event"]["dataset"] for each in found] == ["aws.cloudwatch_logs"] * 2
    assert [each["tags"] for each in found] == [["unvouched", f"unvouched_{likely}"]] * 2
    assert {each["cloud"]["account"]["id"] for each in found} == {ATTACKER}
    assert {each["sourcetype"] for each in road.documents("two")} == {"aws:cloudwatchlogs"}
    assert road.unvouched("firehose" if way == "envelope" else "groups", likely) == 2


def test_database_lines_outside_of_databases_groups_are_plain_lines(settings):
    """They have no form of their own; only AWS's names make them what they are."""
    road = Road(settings)
    road.ship(
        "firehose",
        "subscription",
        "f-1",
        envelope("/app/web", POSTGRES) + envelope("/aws/rds/instance/d/postgresql", POSTGRES),
    )
    assert [each["event"]["dataset"] for each in road.documents()] == ["aws.cloudwatch_logs", "aws.rds_logs"]


def test_a_configured_type_is_that_of_the_account_that_it_names(settings):
    """A group of the same name in another account is another group."""
    road = Road(settings)
    mine, other = (envelope("/my/trail", json.dumps(REAL), owner=owner) for owner in (VICTIM, ATTACKER))
    road.ship("typed", "subscription", "f-1", other + mine)
    plain, trail = road.documents()
    assert (plain["event"]["dataset"], trail["event"]["dataset"]) == ("aws.cloudwatch_logs", "aws.cloudtrail")
    copy = Road(settings)
    copy.ship("trail", "cloudtrail", TRAIL_KEY, trail_object(REAL))
    assert list(road.sinks["one"].stored)[1] in copy.sinks["one"].stored, "one document, however it comes"


def test_a_trails_group_may_hold_records_of_a_whole_organisation(settings):
    """Its account is that of the trail; each record's is its own, and is believed."""
    road = Road(settings)
    road.ship_window("cloudtrail", "audit", json.dumps(REAL))
    road.ship("firehose", "subscription", "f-1", envelope("aws-controltower/CloudTrailLogs", json.dumps(REAL)))
    (found,) = road.documents()
    assert (found["cloud"]["account"]["id"], "tags" in found) == (VICTIM, False)


@pytest.mark.parametrize("forged", [FORGED, {**FORGED, "userIdentity": None}, {**FORGED, "eventVersion": 1}])
def test_a_record_of_another_account_than_its_key_is_kept_beside(settings, forged):
    """Whoever may write below one account's folder writes no record of another account."""
    road = Road(settings)
    road.ship("trail", "cloudtrail", OTHER_KEY, trail_object(forged))
    road.ship("trail", "cloudtrail", TRAIL_KEY, trail_object(REAL))
    false, real = road.documents()
    assert false["tags"] == ["account_mismatch"]
    assert false["cloud"]["account"]["id"] == ATTACKER
    assert false["aws"]["cloudtrail"]["recipient_account_id"] == VICTIM, "what it claims is in the record's own fields"
    assert (real["event"]["action"], "tags" in real) == ("CreateAccessKey", False)
    tags = [each["fields"].get("shipper_tags") for each in road.documents("two")]
    assert tags == [["account_mismatch"], None]


class Taught:
    """Notes what it is taught of sessions."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def __call__(self, access_key: str) -> None:
        return None

    def learn(self, access_key: str, session: Session) -> None:
        self.keys.append(access_key)

    def close(self) -> None:
        """Nothing to give back."""


@pytest.mark.parametrize("target", ["ecs", "splunk"])
def test_what_another_account_claims_teaches_nobody(target):
    """Who acts behind a role is learned of records; a forged one would name somebody else."""
    answer = {
        "credentials": {"accessKeyId": "ASIAVICTIM"},
        "assumedRoleUser": {"arn": "arn:aws:sts::1:assumed-role/a/b"},
    }
    user = {"type": "IAMUser", "arn": f"arn:aws:iam::{VICTIM}:user/mallory", "accessKeyId": "AKIA"}
    call = {"eventSource": "sts.amazonaws.com", "eventName": "AssumeRole", "responseElements": answer}
    raw = json.dumps(REAL | call | {"userIdentity": user}).encode()
    for key, keys in ((OTHER_KEY, []), (TRAIL_KEY, ["ASIAVICTIM"])):
        taught = Taught()
        found, origin = Lookups(sessions=taught), Origin(f"s3://b/{key}", "b", key, *account_and_region(key))
        chosen = LOG_TYPES["cloudtrail"]
        schema = chosen.ecs("default", found) if target == "ecs" else chosen.splunk("", "", found)
        assert schema.encoder(origin)(Record(raw, 1)) is not None
        assert taught.keys == keys


def test_an_envelope_below_an_accounts_folder_speaks_for_that_account(settings):
    """The key counts for more than what is in the object, for the envelope and for the record in it."""
    road = Road(settings)
    inner = envelope("CloudTrail/logs", FORMS["cloudtrail"], owner=VICTIM)
    road.ship("trail", "cloudtrail", OTHER_KEY, inner)
    (found,) = road.documents()
    assert (found["tags"], found["cloud"]["account"]["id"]) == (["account_mismatch"], ATTACKER)


def test_aggregated_events_are_held_to_their_key_too(settings):
    """Their account has another name."""
    event: dict[str, Any] = {
        "eventVersion": "1.0",
        "eventSource": "s3.amazonaws.com",
        "eventId": "x",
        "accountId": VICTIM,
    }
    event |= {"timeWindow": {"windowStart": "2026-01-02T03:00:00Z", "windowEnd": "2026-01-02T03:05:00Z"}}
    road = Road(settings)
    road.ship("trail", "cloudtrail", OTHER_KEY, trail_object(event))
    road.ship("trail", "cloudtrail", TRAIL_KEY, trail_object(event))
    false, real = road.documents()
    assert (false["tags"], false["cloud"]["account"]["id"]) == (["account_mismatch"], ATTACKER)
    assert (real["cloud"]["account"]["id"], "tags" in real) == (VICTIM, False)


INNER = envelope("CloudTrail/DefaultLogGroup", FORMS["cloudtrail"], owner=VICTIM).decode()


@pytest.mark.parametrize(
    ("source", "logs", "data"),
    [
        ("firehose", "subscription", envelope("/app/web", INNER)),
        ("firehose", "subscription", envelope("/aws/lambda/web", INNER)),
        ("firehose", "subscription", f"a line\n{INNER}\n".encode()),
        ("firehose", "subscription", f"{INNER}\na line\n".encode()),
        ("lines", "cloudwatch", f"a line\n{INNER}\n".encode()),
        ("lines", "cloudwatch", f"{INNER}\na line\n".encode()),
        ("lines", "cloudwatch", envelope("/app/web", INNER)),
    ],
)
def test_an_envelope_is_one_only_where_an_object_holds_nothing_else(settings, source, logs, data):
    """Within a log event or among lines it is a line of whoever wrote it."""
    road = Road(settings)
    road.ship(source, logs, "2026/01/02/03/f-1", data)
    found = [each for each in road.documents() if each["event"]["original"] == INNER]
    assert [(each["event"]["dataset"], each["tags"][:2]) for each in found] == [
        ("aws.cloudwatch_logs", found[0]["tags"][:2])
    ]
    assert {"unvouched", "unvouched_subscription"} <= set(found[0]["tags"])
    assert not [each for each in road.documents() if each["event"]["dataset"] == "aws.cloudtrail"]
    assert road.unvouched(source, "subscription") == 1


def test_no_envelope_is_believed_after_a_line(settings):
    """Even where a line comes so late that what stood before it is on its way already."""
    road = Road(settings)
    many = [envelope(f"/aws/lambda/{n}", "x" * 1000) for n in range(400)]
    road.ship("firehose", "subscription", "f-1", b"\n".join([*many, b"a line", INNER.encode()]))
    kinds = [each["event"]["dataset"] for each in road.documents()]
    assert (len(kinds), set(kinds)) == (402, {"aws.cloudwatch_logs"})


def test_names_of_groups_and_accounts_make_no_index_and_no_sourcetype(settings):
    """They are fields; where a document goes is said by the table of log types and the configuration."""
    road = Road(settings)
    names = ["logs-aws.cloudtrail-default", "../../etc", "a,b*", "x" * 600, 'aws:cloudtrail","index":"main']
    for name in names:
        road.ship("firehose", "subscription", "f-1", envelope(name, "text", owner=name))
    assert {each["data_stream"]["dataset"] for each in road.documents()} == {"aws.cloudwatch_logs"}
    assert {(each["sourcetype"], each.get("index")) for each in road.documents("two")} == {("aws:cloudwatchlogs", None)}


def test_a_name_that_is_no_log_groups_is_no_known_one():
    """AWS's names have at most 512 characters: a pattern of many wildcards is not tried on more."""
    types = GroupTypes({"*a*b*c": "cloudtrail"})
    assert types.of_group(VICTIM, "xaybzc") == "cloudtrail"
    assert types.of_group(VICTIM, "abc" * 200) is None
    assert types.of_group(VICTIM, "aws-waf-logs-" + "a" * 600) is None
