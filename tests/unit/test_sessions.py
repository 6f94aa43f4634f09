"""The person behind a role: temporary credentials lead back to who got them, in any order, over restarts, in bounds."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sqlite3
from typing import Any

import pytest

from shipper.enrich.sessions import Sessions
from shipper.metrics import Metrics
from shipper.model import Origin, Record, Session
from shipper.ports import Stop
from shipper.schemas.ecs.cloudtrail import CloudTrailEcs
from shipper.schemas.splunk.cloudtrail import CloudTrailSplunk

ACCOUNT = "111122223333"
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice@example.com"
BUILD = f"arn:aws:sts::{ACCOUNT}:assumed-role/build/ci"
DEPLOY = "arn:aws:sts::444455556666:assumed-role/deploy/ci"


def sessions(path: Any = None, most: int = 50_000) -> Sessions:
    return Sessions(path, Metrics(), Stop(), most=most)


def identity(arn: str, key: str, kind: str = "AssumedRole", **more: Any) -> dict[str, Any]:
    return {"type": kind, "arn": arn, "accountId": ACCOUNT, "accessKeyId": key, **more}


def alice() -> dict[str, Any]:
    return identity(ALICE, "AKIAALICE", "IAMUser", userName="alice@example.com")


def record(who: dict[str, Any], event: str = "ListBuckets", source: str = "s3.amazonaws.com", **more: Any) -> Record:
    fields = {
        "eventVersion": "1.11",
        "userIdentity": who,
        "eventTime": "2026-01-05T12:00:00Z",
        "eventSource": source,
        "eventName": event,
        "awsRegion": "us-east-1",
        "sourceIPAddress": "203.0.113.9",
        "recipientAccountId": ACCOUNT,
        "eventID": "1",
        **more,
    }
    return Record(json.dumps(fields).encode(), 0)


def assumed(who: dict[str, Any], arn: str, key: str, event: str = "AssumeRole", **more: Any) -> Record:
    user = {"assumedRoleUser": {"arn": arn}} if "assumed-role" in arn else {"federatedUser": {"arn": arn}}
    answer = {"credentials": {"accessKeyId": key, "sessionToken": "[redacted]"}, **user}
    return record(who, event, "sts.amazonaws.com", responseElements=answer, **more)


def ecs(memory: Sessions | None, *records: Record) -> dict[str, Any]:
    """The last record's document."""
    encode = CloudTrailEcs("default", None, None, memory).encoder(Origin("s3://a/b", "a", "b"))
    documents = [encode(one) for one in records]
    assert documents[-1] is not None
    body: dict[str, Any] = json.loads(documents[-1].body)
    return body


def splunk(memory: Sessions, *records: Record) -> dict[str, Any]:
    encode = CloudTrailSplunk("", "", None, None, memory).encoder(Origin("s3://a/b", "a", "b"))
    documents = [encode(one) for one in records]
    assert documents[-1] is not None
    fields: dict[str, Any] = json.loads(documents[-1].body)["fields"]
    return fields


FIRST = assumed(alice(), BUILD, "ASIABUILD", sourceIPAddress="198.51.100.7")
SECOND = assumed(identity(BUILD, "ASIABUILD"), DEPLOY, "ASIADEPLOY")
# The other account's own record of the same call says less of the caller.
FOREIGN = assumed({"type": "AWSAccount", "principalId": "AROAX:ci", "accountId": ACCOUNT}, DEPLOY, "ASIADEPLOY")
USED = record(identity(DEPLOY, "ASIADEPLOY"))


@pytest.mark.parametrize("order", list(itertools.permutations([FIRST, SECOND, FOREIGN])), ids=lambda _: "")
def test_a_chain_of_roles_leads_to_the_person_in_any_order(order):
    """Two roles away, in another account, the document names who it was, and from where."""
    document = ecs(sessions(), *order, USED)
    assert document["user"]["effective"] == {
        "name": "alice@example.com",
        "email": "alice@example.com",
        "id": ALICE,
    }
    assert document["aws"]["session"] == {"chain": [ALICE, BUILD, DEPLOY], "first_address": "198.51.100.7"}
    assert {"198.51.100.7", "203.0.113.9"} == set(document["related"]["ip"])
    assert "alice@example.com" in document["related"]["user"]
    plain = ecs(None, USED)
    assert {**document["user"], "effective": None} == {**plain["user"], "effective": None}
    assert "session" not in plain["aws"]


def test_splunk_gets_the_same_as_flat_fields():
    """Documented names; nothing where nothing is known."""
    fields = splunk(sessions(), FIRST, SECOND, USED)
    assert fields["effective_user"] == "alice@example.com"
    assert fields["effective_user_id"] == ALICE
    assert fields["session_chain"] == [ALICE, BUILD, DEPLOY]
    assert fields["session_first_address"] == "198.51.100.7"
    assert set(splunk(sessions(), USED)) == {"event_uid"}


def test_what_is_not_seen_yet_leaves_less():
    """The nearer call alone tells of the chain as far as it goes, and of no person."""
    document = ecs(sessions(), SECOND, USED)
    assert document["aws"]["session"]["chain"] == [BUILD, DEPLOY]
    assert "effective" not in document["user"]
    assert "session" not in ecs(sessions(), USED)["aws"]


@pytest.mark.parametrize(
    ("event", "who", "asked", "person"),
    [
        (
            "AssumeRoleWithSAML",
            {"type": "SAMLUser", "userName": "bob@example.com", "principalId": "x:bob"},
            {},
            "bob@example.com",
        ),
        ("AssumeRoleWithWebIdentity", {"type": "WebIdentityUser", "userName": "repo:org/x"}, {}, "repo:org/x"),
        ("GetFederationToken", alice(), {}, "alice@example.com"),
        ("AssumeRole", identity(BUILD, "ASIAX"), {"sourceIdentity": "carol"}, "carol"),
        ("AssumeRole", {"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}, {}, None),
        ("AssumeRole", identity(f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Admin_1/dan", "ASIAX"), {}, "dan"),
    ],
    ids=["saml", "web identity", "federation", "source identity", "service", "identity center"],
)
def test_every_way_to_credentials_is_known(event, who, asked, person):
    """Each call that hands out credentials is remembered with who asked."""
    document = ecs(sessions(), assumed(who, DEPLOY, "ASIADEPLOY", event, requestParameters=asked), USED)
    assert document.get("user", {}).get("effective", {}).get("name") == person
    assert document["aws"]["session"]["chain"][-1] == DEPLOY


def test_identity_center_and_source_identity_need_no_memory():
    """Such records name the person by themselves."""
    sso = identity(f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Admin_1/dan@example.com", "ASIAX")
    assert ecs(sessions(), record(sso))["user"]["effective"]["name"] == "dan@example.com"
    source = identity(BUILD, "ASIAX", sessionContext={"sourceIdentity": "carol"})
    assert ecs(sessions(), record(source))["user"]["effective"]["name"] == "carol"


def test_failed_and_odd_calls_teach_nothing():
    """Refused calls hand out nothing; odd records are borne."""
    refused = assumed(alice(), DEPLOY, "ASIADEPLOY", errorCode="AccessDenied")
    assert "session" not in ecs(sessions(), refused, USED)["aws"]
    answers: list[Any] = [None, "text", [], {"credentials": []}, {"credentials": {"accessKeyId": 5}}]
    for odd in answers:
        broken = record(alice(), "AssumeRole", "sts.amazonaws.com", responseElements=odd)
        assert "session" not in ecs(sessions(), broken, USED)["aws"]


def test_circles_end():
    """Credentials that seem to come from themselves are followed for a bounded number of steps."""
    memory = sessions()
    memory.learn("A", Session(1.0, "role/a", "role/b", "B"))
    memory.learn("B", Session(1.0, "role/b", "role/a", "A"))
    acted = memory("A")
    assert acted is not None
    assert len(acted.chain) < 20


def test_a_restart_remembers(tmp_path):
    """What was learned is there after the next start, the newest where the bound is smaller."""
    path = tmp_path / "sessions.sqlite"
    memory = sessions(path)
    for number in range(100):
        memory.learn(
            f"ASIA{number}", Session(float(number), f"role/{number}", ALICE, "AKIA", "alice", None, "192.0.2.1")
        )
    memory.close()
    again = sessions(path, most=10)
    acted = again("ASIA99")
    assert acted is not None
    assert dataclasses.astuple(acted) == ((ALICE, "role/99"), "alice", ALICE, None, "192.0.2.1")
    assert again("ASIA89") is None
    again.learn("ASIA100", Session(100.0))
    again.close()
    connection = sqlite3.connect(path)
    assert connection.execute("select count(*), min(at) from sessions").fetchone() == (10, 91.0)
    connection.close()


def test_a_damaged_file_is_no_reason_to_stop(tmp_path, capsys):
    """It counts as empty, which is said; a folder that is gone costs the next start's memory alone."""
    path = tmp_path / "sessions.sqlite"
    path.write_bytes(b"no database" * 1000)
    memory = sessions(path)
    memory.learn("ASIA1", Session(1.0, "role/1"))
    memory.close()
    assert memory("ASIA1") is not None
    captured = capsys.readouterr()
    assert "cannot be read" in captured.out + captured.err


def test_memory_is_bounded():
    """A hundred thousand sessions through a small memory."""
    memory = sessions(most=1000)
    for number in range(100_000):
        memory.learn(f"ASIA{number}", Session(float(number), "role/x"))
    assert memory("ASIA99999") is not None
    assert memory("ASIA98999") is None


def test_what_is_seen_later_completes_the_chain():
    """An answer given before the first call was seen is not kept after it."""
    memory = sessions()
    assert ecs(memory, SECOND, USED)["aws"]["session"]["chain"] == [BUILD, DEPLOY]
    assert ecs(memory, FIRST, USED)["aws"]["session"]["chain"] == [ALICE, BUILD, DEPLOY]
    assert splunk(memory, USED)["effective_user"] == "alice@example.com"


def signed_in(event: str, said: dict[str, Any], **more: Any) -> Record:
    who = {"type": "Unknown", "accountId": ACCOUNT, "accessKeyId": "", "onBehalfOf": {"userId": "94d0-08"}}
    details = {event: "Success"}
    fields = {"additionalEventData": said, "serviceEventDetails": details, "sourceIPAddress": "198.51.100.7", **more}
    return record(who, event, "signin.amazonaws.com", **fields)


@pytest.mark.parametrize("event", ["UserAuthentication", "CredentialChallenge"])
def test_users_of_identity_center_are_named_by_their_sign_in(event):
    """Later records have their id alone; a sign-in that failed, or names nobody, tells nothing."""
    center = {"type": "IdentityCenterUser", "accountId": ACCOUNT, "onBehalfOf": {"userId": "94d0-08"}}
    listed = record(center, "ListApplications", "sso.amazonaws.com")
    name = {"UserName": "bob@example.com", "CredentialType": "EXTERNAL_IDP"}
    for told in (
        signed_in(event, {"CredentialType": "PASSWORD"}),
        signed_in(event, name, serviceEventDetails={event: "Failure"}),
        signed_in(event, name, userIdentity={"type": "Unknown"}),
    ):
        assert "effective" not in ecs(sessions(), told, listed).get("user", {})
    document = ecs(sessions(), signed_in(event, name), listed)
    assert document["user"]["effective"] == {"name": "bob@example.com", "email": "bob@example.com"}
    assert document["aws"]["session"] == {"first_address": "198.51.100.7"}
    assert "bob@example.com" in document["related"]["user"]
    fields = splunk(sessions(), signed_in(event, name), listed)
    assert fields["effective_user"] == "bob@example.com"
    assert "session_chain" not in fields
