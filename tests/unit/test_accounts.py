"""What accounts, regions, buckets and log groups are called: files, look-ups in the background, fields in documents."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shipper import build, config
from shipper.build.log_types import LOG_TYPES
from shipper.commands.check import _enrich_files
from shipper.config import Enrich, Settings
from shipper.config.values import Surroundings
from shipper.enrich.accounts import Accounts, AccountsFile
from shipper.enrich.background import Policy
from shipper.enrich.resources import ResourceTags
from shipper.enrich.tag_choice import TagChoice
from shipper.errors import ConfigError, RetryableError
from shipper.flow_layouts import V2
from shipper.metrics import Metrics
from shipper.model import AccountFacts, LogEvent, LogStream, Origin, Record, Resource
from shipper.ports import Lookups, Stop
from shipper.schemas.ecs.places import Places
from shipper.schemas.ecs.vpc_flow import VpcFlowEcs
from shipper.schemas.resources import bucket_of

PROD, DEV = "012345670123", "444455556666"
ALL = TagChoice()
NOW_MS = 1_767_614_400_000
YAML = f"""
{PROD}: {{name: prod, organizational_unit: Root/Workloads/Production, tags: {{cost-center: "42", owner: alice}}}}
"{DEV}": dev
"""
LISTED = {
    "Accounts": [
        {
            "Id": PROD,
            "Name": "prod",
            "Arn": f"arn:aws:organizations::{DEV}:account/o-example/{PROD}",
            "Status": "ACTIVE",
        },
        {"Id": DEV, "Name": "dev", "Tags": [{"Key": "owner", "Value": "bob"}]},
    ]
}
CSV = f"id,name,ou,tag:owner\n{PROD},prod,Root/Workloads/Production,alice\n{DEV},dev,,\n"
BUCKET = Resource("bucket", PROD, "eu-west-1", "pictures")
GROUP = Resource("log_group", PROD, "eu-west-1", "/app/shop")


def shown(facts: AccountFacts | None) -> tuple[Any, ...] | None:
    return None if facts is None else (facts.name, facts.organization, facts.unit, dict(facts.tags))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.parametrize(
    ("name", "content", "prod", "dev"),
    [
        (
            "a.yaml",
            YAML,
            ("prod", None, "Root/Workloads/Production", {"cost-center": "42", "owner": "alice"}),
            ("dev", None, None, {}),
        ),
        ("a.json", json.dumps(LISTED), ("prod", "o-example", None, {}), ("dev", None, None, {"owner": "bob"})),
        (
            "a.csv",
            "\ufeff" + CSV,
            ("prod", None, "Root/Workloads/Production", {"owner": "alice"}),
            ("dev", None, None, {}),
        ),
        ("a.json", json.dumps({PROD: {"name": "prod"}, DEV: "dev"}), ("prod", None, None, {}), ("dev", None, None, {})),
        ("a.yml", f"- {{id: {PROD}, name: prod}}\n- {{account_id: '{DEV}'}}\n", ("prod", None, None, {}), (None,) * 3),
    ],
)
def test_files_of_every_form(tmp_path, name, content, prod, dev):
    """YAML, what AWS's command line prints, CSV; ids keep their leading zeros."""
    path = tmp_path / name
    path.write_text(content)
    accounts = AccountsFile(path, ALL)
    assert shown(accounts(PROD)) == prod
    found = shown(accounts(DEV))
    assert found is not None
    assert found[: len(dev)] == dev
    assert accounts("999999999999") is None
    assert accounts("") is None


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.yaml", "", "must be a list"),
        ("a.yaml", "[]", "it has none"),
        ("a.yaml", "{'12345': prod}", "'12345' is no account id"),
        ("a.yaml", "- prod", "is no account"),
        ("a.yaml", f"{PROD}: {{name: [a]}}", f"{PROD}: name must be a text"),
        ("a.yaml", f"{PROD}: {{tags: x}}", "tags must have"),
        ("a.yaml", "a: [", "not a list of accounts"),
        ("a.yaml", "!!python/object/apply:os.system ['true']", "is no account"),
        ("a.json", "{", "not a list of accounts"),
        ("a.json", json.dumps({PROD: 5}), "is no account"),
        ("a.json", json.dumps([{"id": 12345670123}]), "is no account id"),
        ("a.csv", "name\nprod\n", "None is no account id"),
        ("a.csv", "\x00", "not a list of accounts"),
    ],
)
def test_a_broken_file_is_refused_at_the_start(tmp_path, name, content, words):
    """With its name and what is wrong; check says the same, and of a good one how many accounts it has."""
    path = tmp_path / name
    with pytest.raises(ConfigError, match="No such file"):
        AccountsFile(path, ALL)
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        AccountsFile(path, ALL)
    assert words in str(caught.value)
    enrich = Enrich.model_validate({"accounts": {"file": path}})
    settings = Settings.model_construct(sources={}, sinks={}, enrich=enrich)
    assert [problem.serious for problem in _enrich_files(settings)] == [True]
    path.write_text(CSV if name.endswith("csv") else json.dumps(LISTED))
    (note,) = _enrich_files(settings)
    assert note.note
    assert note.what.endswith("2 accounts")


def test_a_replaced_file_is_used_and_a_broken_one_is_not(tmp_path, capsys):
    """What was written of the old one is written anew; a broken one keeps the old, and is said once."""
    path, told = tmp_path / "a.yaml", list[bool]()
    path.write_text(YAML)
    accounts = AccountsFile(path, TagChoice(denied=frozenset({"owner"})), look_seconds=0.0, told=told.append)
    before, version = accounts(PROD), accounts.version
    assert before is not None
    assert before.tags == {"cost-center": "42"}
    path.write_text("[")
    assert accounts(PROD) is before
    assert accounts.version == version
    path.write_text(f"{PROD}: production\n")
    after = accounts(PROD)
    assert after is not None
    assert after.name == "production"
    assert accounts.version != version
    assert told == [False, True]
    captured = capsys.readouterr()
    assert (captured.out + captured.err).count("the old ones stay in use") == 1


class Directory:
    """Organizations, S3 and CloudWatch Logs as dicts; refuses while `error` is set, waits while `gate` is closed."""

    def __init__(self) -> None:
        self.accounts = {PROD: AccountFacts("prod", "o-example", "Root/Workloads/Production", {"owner": "alice"})}
        self.tags = {BUCKET: {"data-class": "pii", "x": "y"}, GROUP: {"team": "shop"}}
        self.asked: Counter[str | Resource] = Counter()
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def account(self, account: str) -> AccountFacts | None:
        self._note(account)
        return self.accounts.get(account)

    def resource(self, resource: Resource) -> dict[str, str] | None:
        self._note(resource)
        return self.tags.get(resource)

    def _note(self, key: str | Resource) -> None:
        self.gate.wait(30)
        self.asked[key] += 1
        if self.error is not None:
            raise self.error


class Bench:
    def __init__(self, stop: Stop) -> None:
        self.directory, self.metrics, self.stop = Directory(), Metrics(), stop

    def accounts(self, **policy: Any) -> Accounts:
        chosen = Policy(**{"requests_per_second": 100_000.0, **policy})
        return Accounts(self.directory.account, self.metrics, self.stop, chosen, ALL)

    def resources(self, tags: TagChoice = ALL, **options: Any) -> ResourceTags:
        chosen = Policy(requests_per_second=100_000.0, most=options.pop("most", 10_000))
        return ResourceTags(self.directory.resource, self.metrics, self.stop, chosen, tags, **options)

    def outcomes(self, lookup: str, outcome: str) -> float:
        labels = {"lookup": lookup, "outcome": outcome}
        return self.metrics.registry.get_sample_value("shipper_enrich_lookups_total", labels) or 0.0

    def warm(self) -> Lookups:
        accounts, resources = self.accounts(), self.resources(TagChoice(denied=frozenset({"x"})))
        accounts(PROD)
        resources(BUCKET)
        resources(GROUP)
        until(
            lambda: len(self.directory.asked) == 3 and bool(resources(BUCKET) and resources(GROUP) and accounts(PROD))
        )
        return Lookups(accounts=accounts, resources=resources, regions={"eu-west-1": "Europe (Ireland)"})


@pytest.fixture
def bench() -> Iterator[Bench]:
    stop = Stop()
    made = Bench(stop)
    yield made
    made.directory.gate.set()
    stop.request()


def test_nothing_waits_for_organizations(bench):
    """The first questions find nothing; each account is asked for once; what is no account id is not asked for."""
    bench.directory.gate.clear()
    accounts = bench.accounts()
    assert [accounts(account) for account in (PROD, PROD, "anonymous", "", "1" * 13, "½" * 12)] == [None] * 6
    version = accounts.version
    bench.directory.gate.set()
    until(lambda: accounts(PROD) is not None)
    assert shown(accounts(PROD)) == shown(bench.directory.accounts[PROD])
    assert accounts(PROD) is accounts(PROD)
    assert accounts.version != version
    assert bench.directory.asked == {PROD: 1}


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RetryableError("TooManyRequestsException"), "failed"),
        (RetryableError("AccessDeniedException (needs x)", paused=True), "denied"),
        (KeyError("Accounts"), "failed"),
    ],
)
def test_failures_are_counted_and_said_once(bench, error, outcome, capsys):
    """Documents go on without, whatever is answered, and what was known before stays."""
    accounts, resources = bench.accounts(refresh_seconds=0.0), bench.resources()
    accounts(PROD)
    until(lambda: accounts(PROD) is not None)
    bench.directory.error = error
    accounts(PROD)
    accounts(DEV)
    for number in range(3):
        resources(Resource("bucket", PROD, "eu-west-1", f"bucket-{number}"))
    until(lambda: bench.outcomes("accounts", outcome) >= 2 and bench.outcomes("resources", outcome) == 3)
    assert shown(accounts(PROD)) == shown(bench.directory.accounts[PROD])
    assert accounts(DEV) is None
    captured = capsys.readouterr()
    assert (captured.out + captured.err).count(str(error)) == 2


def test_memory_is_bounded(bench):
    """A hundred thousand buckets through ten thousand entries: the rest is put off, nothing grows."""
    bench.directory.gate.clear()
    resources = bench.resources()
    for number in range(100_000):
        assert resources(Resource("bucket", PROD, "eu-west-1", f"bucket-{number}")) is None
    assert bench.outcomes("resources", "put_off") == 90_000
    bench.directory.gate.set()
    until(lambda: bench.outcomes("resources", "absent") >= 10_000)
    known = bench.metrics.registry.get_sample_value("shipper_enrich_known", {"lookup": "resources"})
    assert known is not None
    assert 0 < known <= 10_000


def test_kinds_can_be_left_out(bench):
    """What is not wanted is never asked for."""
    resources = bench.resources(kinds=frozenset({"log_group"}))
    assert resources(BUCKET) is None
    resources(GROUP)
    until(lambda: resources(GROUP) is not None)
    assert set(bench.directory.asked) == {GROUP}


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
    assert set(body(log_type, "splunk", Lookups(), record)["fields"]) == {"event_uid"}


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


def test_the_configuration_turns_it_on(tmp_path):
    """Each by itself; files and region names serve `shipper decode` too, and what needs the network does not."""
    (tmp_path / "accounts.yaml").write_text(YAML)
    text = "sources: {t: {type: s3, bucket: abc}}\nsinks: {a: {type: archive, path: a}}\naws: {region: us-east-1}\n"
    section = "enrich: {accounts: {file: accounts.yaml}, region_names: true, resources: {buckets: false}}\n"

    def lookups(content: str, *daemon: Any) -> Lookups:
        settings = config.parse(content, name="f", environ={}, around=Surroundings(folder=tmp_path))
        return build.lookups(settings, *daemon)

    decoding, running = lookups(text + section), lookups(text + section, Metrics(), Stop())
    for found in (decoding, running):
        assert found.accounts is not None
        named = found.accounts(PROD)
        assert named is not None
        assert named.name == "prod"
        assert found.regions is not None
        assert found.regions["eu-west-1"] == "Europe (Ireland)"
    assert decoding.resources is None
    assert running.resources is not None
    plain = lookups(text, Metrics(), Stop())
    assert (plain.accounts, plain.resources, plain.regions) == (None, None, None)


@pytest.mark.parametrize("name", ["accounts", "resources", "regions"])
def test_records_that_are_written_natively_carry_it_too(bench, name):
    """Each look-up by itself shows in the usual records, which the native encoder would write where it is installed."""
    lookup = getattr(bench.warm(), name)
    plain, found = (body("cloudtrail", "ecs", each, trail()) for each in (Lookups(), Lookups(**{name: lookup})))
    shown_at = {"accounts": "account", "resources": "bucket", "regions": "region_name"}[name]
    assert found["aws"].keys() - plain["aws"].keys() == {shown_at}
