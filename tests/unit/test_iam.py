"""What IAM says of callers: from memory, asked in the background, kept fresh by the stream, never in the way."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shipper.enrich.background import Policy
from shipper.enrich.iam import IamPrincipals
from shipper.enrich.tag_choice import TagChoice
from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.model import IamPrincipal, Origin, Record
from shipper.ports import Stop
from shipper.schemas.ecs.cloudtrail import CloudTrailEcs
from shipper.schemas.iam_changes import principal_of
from shipper.schemas.splunk.cloudtrail import CloudTrailSplunk

ROLE = "arn:aws:iam::111122223333:role/deploy"
NOW = 1_767_614_400.0  # 2026-01-05T12:00:00Z


class Directory:
    """IAM of one account, as a dict; refuses while `error` is set, and waits while `gate` is closed."""

    def __init__(self) -> None:
        self.entries: dict[str, IamPrincipal] = {ROLE: IamPrincipal("/ci/", "Deploys", {"team": "payments", "x": "y"})}
        self.asked: Counter[str] = Counter()
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, arn: str) -> IamPrincipal | None:
        self.gate.wait(30)
        self.asked[arn] += 1
        if self.error is not None:
            raise self.error
        return self.entries.get(arn)


class Bench:
    def __init__(self, stop: Stop) -> None:
        self.directory, self.metrics, self.stop = Directory(), Metrics(), stop

    def principals(self, **options: Any) -> IamPrincipals:
        chosen = {name: options.pop(name) for name in ("most", "refresh_seconds") if name in options}
        policy = Policy(requests_per_second=100_000.0, **chosen)
        return IamPrincipals(self.directory, self.metrics, self.stop, policy, clock=lambda: NOW, **options)

    def outcomes(self, outcome: str) -> float:
        value = self.metrics.registry.get_sample_value("shipper_iam_lookups_total", {"outcome": outcome})
        return value or 0.0


@pytest.fixture
def bench() -> Iterator[Bench]:
    stop = Stop()
    made = Bench(stop)
    yield made
    made.directory.gate.set()
    stop.request()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def record(event: str = "ListBuckets", source: str = "s3.amazonaws.com", **more: Any) -> Record:
    issuer = {"type": "Role", "arn": "arn:aws:iam::111122223333:role/ci/deploy", "userName": "deploy"}
    fields = {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "AssumedRole",
            "arn": "arn:aws:sts::111122223333:assumed-role/deploy/42",
            "accountId": "111122223333",
            "sessionContext": {"sessionIssuer": issuer},
        },
        "eventTime": "2026-01-05T12:00:01Z",
        "eventSource": source,
        "eventName": event,
        "awsRegion": "us-east-1",
        "recipientAccountId": "111122223333",
        "eventID": "1",
        **more,
    }
    return Record(json.dumps(fields).encode(), 0)


def test_the_first_answer_is_nothing_and_never_waits(bench):
    """While IAM is silent, answers come from memory; afterwards they are complete."""
    bench.directory.gate.clear()
    principals = bench.principals()
    assert principals(ROLE) is None
    assert principals(ROLE) is None
    assert principals.waiting() == 1
    bench.directory.gate.set()
    until(lambda: principals.waiting() == 0)
    assert principals(ROLE) == bench.directory.entries[ROLE]
    assert bench.directory.asked == {ROLE: 1}
    assert bench.outcomes("found") == 1


def test_tag_keys_can_be_chosen_and_left_out(bench):
    """Allowed and denied keys both count."""
    chosen = frozenset({"team"})
    allowing, denying = (
        bench.principals(tags=TagChoice(allowed=chosen)),
        bench.principals(tags=TagChoice(denied=chosen)),
    )
    for principals in (allowing, denying):
        principals(ROLE)
    until(lambda: allowing.waiting() + denying.waiting() == 0)
    assert set(allowing(ROLE).tags) == {"team"}
    assert set(denying(ROLE).tags) == {"x"}


def test_what_is_not_there_is_asked_once(bench):
    """An unknown name costs one call, however many records name it."""
    principals = bench.principals()
    principals(ROLE + "-gone")
    until(lambda: bench.outcomes("absent") == 1)
    assert principals(ROLE + "-gone") is None
    assert principals.waiting() == 0


def test_an_old_entry_serves_until_the_new_one_is_there(bench):
    """Refreshing leaves no gap, and a failure keeps what was known."""
    principals = bench.principals(refresh_seconds=0.0)
    principals(ROLE)
    until(lambda: principals.waiting() == 0)
    bench.directory.error = RetryableError("AccessDenied (needs iam:GetRole)", paused=True)
    assert principals(ROLE) == bench.directory.entries[ROLE]
    until(lambda: bench.outcomes("denied") == 1)
    assert principals(ROLE) == bench.directory.entries[ROLE]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RetryableError("Throttling"), "failed"),
        (RetryableError("AccessDenied (needs iam:GetRole)", paused=True), "denied"),
        (ValueError("odd answer"), "failed"),
    ],
)
def test_failures_are_counted_and_said_once(bench, error, outcome, capsys):
    """Whatever IAM does, answers go on, and the cause is told once for an account."""
    bench.directory.error = error
    principals = bench.principals()
    principals(ROLE)
    until(lambda: bench.outcomes(outcome) == 1)
    principals(ROLE + "2")
    until(lambda: bench.outcomes(outcome) == 2)
    assert principals(ROLE) is None
    captured = capsys.readouterr()
    assert (captured.out + captured.err).count(str(error)) == 1


def test_memory_is_bounded_and_what_waits_too(bench):
    """A hundred thousand principals through a small cache: the rest is put off, nothing grows."""
    bench.directory.gate.clear()
    principals = bench.principals(most=100)
    for number in range(100_000):
        assert principals(f"arn:aws:iam::111122223333:role/r{number}") is None
        principals.learn(f"arn:aws:iam::111122223333:role/c{number}", {"tags": {}}, "create", NOW)
    assert principals.waiting() == 10_000
    assert bench.outcomes("put_off") == 90_000
    assert bench.metrics.registry.get_sample_value("shipper_iam_principals") == 100


def tag(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in pairs]


@pytest.mark.parametrize("splunk", [False, True])
def test_changes_in_the_stream_are_known_at_once(bench, splunk):
    """Tags set and taken away, and roles made, are in the next document; failed and earlier calls change nothing."""
    principals = bench.principals()
    principals(ROLE)
    until(lambda: principals.waiting() == 0)
    schema = CloudTrailSplunk("", "", None, principals) if splunk else CloudTrailEcs("default", None, principals)
    encode = schema.encoder(Origin("s3://a/b", "a", "b"))

    def tags(sent: Record) -> dict[str, str]:
        document = encode(sent)
        assert document is not None
        body = json.loads(document.body)
        if splunk:
            return {key[8:]: value for key, value in body["fields"].items() if key.startswith("iam_tag_")}
        found: dict[str, str] = body["aws"]["iam"].get("tags", {})
        return found

    iam = "iam.amazonaws.com"
    assert tags(record()) == {"team": "payments", "x": "y"}
    set_ = {"roleName": "deploy", "tags": tag(("team", "core"), ("z", "1"))}
    assert tags(record("TagRole", iam, requestParameters=set_, errorCode="AccessDenied"))["team"] == "payments"
    assert tags(record("TagRole", iam, requestParameters=set_, eventTime="2026-01-05T11:00:00Z"))["team"] == "payments"
    assert tags(record("TagRole", iam, requestParameters=set_)) == {"team": "core", "x": "y", "z": "1"}
    gone = {"roleName": "deploy", "tagKeys": ["x", "z"]}
    assert tags(record("UntagRole", iam, requestParameters=gone)) == {"team": "core"}
    made = {"roleName": "deploy", "path": "/new/", "description": "Anew", "tags": tag(("a b", "c"))}
    assert tags(record("CreateRole", iam, requestParameters=made)) == {"a_b" if splunk else "a b": "c"}
    assert principals(ROLE) == IamPrincipal("/new/", "Anew", {"a b": "c"})
    for odd in (
        {"roleName": 5},
        {"roleName": "deploy", "tags": {"a": 1}},
        {"roleName": "deploy", "tagKeys": "a"},
        None,
    ):
        assert tags(record("UntagRole", iam, requestParameters=odd))


def test_a_deleted_role_keeps_what_was_known_and_is_asked_for_no_more(bench):
    """Its last records still have tags; a new description is learned, other updates are none."""
    principals = bench.principals(refresh_seconds=3600.0)
    encode = CloudTrailEcs("default", None, principals).encoder(Origin("s3://a/b", "a", "b"))
    iam = "iam.amazonaws.com"
    principals(ROLE)
    until(lambda: principals.waiting() == 0)
    later = "2026-01-05T13:00:00Z"
    encode(record("UpdateRole", iam, requestParameters={"roleName": "deploy", "maxSessionDuration": 7200}))
    assert principals(ROLE) == bench.directory.entries[ROLE]
    encode(record("UpdateRole", iam, requestParameters={"roleName": "deploy", "description": "Retired"}))
    assert principals(ROLE) == IamPrincipal("/ci/", "Retired", {"team": "payments", "x": "y"})
    encode(record("DeleteRole", iam, requestParameters={"roleName": "deploy"}, eventTime=later))
    encode(record("DeleteUser", iam, requestParameters={"userName": "nobody"}, eventTime=later))
    assert principals(ROLE) == IamPrincipal("/ci/", "Retired", {"team": "payments", "x": "y"})
    assert principals.waiting() == 0
    assert bench.directory.asked == {ROLE: 1}


def test_documents_name_the_role_behind_a_session(bench):
    """Tags, path and description stand under aws.iam; without the lookup nothing does."""
    principals = bench.principals()
    principals(ROLE)
    until(lambda: principals.waiting() == 0)
    origin = Origin("s3://a/b", "a", "b")
    document = CloudTrailEcs("default", None, principals).encoder(origin)(record())
    assert document is not None
    expected = {"arn": ROLE, "path": "/ci/", "description": "Deploys", "tags": {"team": "payments", "x": "y"}}
    assert json.loads(document.body)["aws"]["iam"] == expected
    plain = CloudTrailEcs("default", None).encoder(origin)(record())
    assert plain is not None
    assert "iam" not in json.loads(plain.body)["aws"]


@pytest.mark.parametrize(
    ("kind", "arn", "issuer", "principal"),
    [
        ("IAMUser", "arn:aws:iam::111122223333:user/a/b/bob", None, "arn:aws:iam::111122223333:user/bob"),
        (
            "AssumedRole",
            "arn:aws:sts::1:x",
            "arn:aws-cn:iam::111122223333:role/x",
            "arn:aws-cn:iam::111122223333:role/x",
        ),
        ("Root", "arn:aws:iam::111122223333:root", None, None),
        ("AssumedRole", None, "arn:aws:iam::111122223333:root", None),
        ("IAMUser", "arn:aws:iam::1:user/bob", None, None),
        ("AWSService", None, None, None),
        (
            "FederatedUser",
            "arn:aws:sts::111122223333:federated-user/b",
            "arn:aws:iam::111122223333:user/bob",
            "arn:aws:iam::111122223333:user/bob",
        ),
    ],
)
def test_the_principal_behind_an_identity(kind, arn, issuer, principal):
    """Roles and users have one; the root and services have none."""
    assert principal_of(kind, arn, issuer) == principal
