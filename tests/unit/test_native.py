"""The native module does what the Python code does: a record is left to Python, or becomes the same document."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper import native
from shipper.demo.organisation import records
from shipper.enrich.accounts import AccountsFile
from shipper.enrich.background import Policy
from shipper.enrich.iam import IamPrincipals
from shipper.enrich.sessions import Sessions
from shipper.enrich.tag_choice import TagChoice
from shipper.errors import BadInputError
from shipper.metrics import Metrics
from shipper.model import AddressFacts, Document, Origin, Record
from shipper.ports import Stop
from shipper.redaction.secret_names import TOKENS
from shipper.redaction.secrets import mask_all
from shipper.schemas.ecs.cloudtrail import CloudTrailEcs
from shipper.schemas.ecs.cloudtrail_native import native_encoder
from shipper.schemas.ecs.places import Places

needs_native = pytest.mark.skipif(
    native.CloudTrailEncoder is None, reason="the native module is not installed: `make setup` builds it where cargo is"
)
FUZZ = int(os.environ.get("SHIPPER_FUZZ", "300"))  # examples of each; more by hand
ORIGIN = Origin("s3://trail/AWSLogs/1/CloudTrail/eu-west-1/2026/01/15/1_CloudTrail_x.json.gz", "trail", "AWSLogs/1/x")


@needs_native
def test_the_interpreter_alone_brings_pythons_symbols() -> None:
    """The module needs no libpython: many interpreters, Debian's among them, come without that library."""
    import shipper_native

    (library,) = Path(shipper_native.__file__).parent.glob("*.so")
    assert b"libpython" not in library.read_bytes()


def geography(address: str) -> dict[str, Any] | None:
    return {"geo": {"country_iso_code": "SE"}} if address.startswith("8") else None


def facts(address: str) -> AddressFacts | None:
    return (
        AddressFacts(cloud={"provider": "aws", "region": "eu-west-1"}, internal=False)
        if address.startswith("8")
        else None
    )


PYTHON = CloudTrailEcs("default", geography, addresses=facts, native=False)
NATIVE = CloudTrailEcs("default", geography, addresses=facts)


@cache
def pool() -> list[dict[str, Any]]:
    some = [orjson.loads(raw) for raw in records(400)]
    return [*some, *(record | extra for record, extra in zip(some, RARE, strict=False))]


RARE: list[dict[str, Any]] = [
    {
        "eventName": "AssumeRole",
        "eventSource": "sts.amazonaws.com",
        "requestParameters": {"roleArn": "arn:aws:iam::1:role/r"},
    },
    {"eventName": "CreateUser", "eventSource": "iam.amazonaws.com", "requestParameters": {"userName": "eve"}},
    {
        "requestParameters": {"userName": "", "groupName": "-", "newUserName": 7},
        "responseElements": {"user": {"userId": "X"}},
    },
    {"userIdentity": {"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}, "eventName": "AssumeRole"},
    {"userIdentity": {"type": "AWSAccount", "principalId": "i-0123", "arn": "i-0123"}, "errorMessage": 'no "access"\n'},
    {
        "resources": [
            {"ARN": "arn:aws:s3:::b"},
            {"ARN": "arn:aws:s3:::b"},
            {"type": "AWS::S3::Object", "ARNPrefix": "arn:"},
        ]
    },
    {
        "eventSource": "ec2.amazonaws.com",
        "eventName": "RunInstances",
        "responseElements": {
            "instancesSet": {
                "items": [{"instanceId": "i-1", "vpcId": "vpc-2", "networkInterfaceSet": {"items": [{"eni": "-"}]}}]
            }
        },
    },
    {
        "serviceEventDetails": {"state": "ok", "none": [None, {}, [[]]], "n": [0, -1, True]},
        "tlsDetails": {"tlsVersion": "TLSv1.2"},
    },
    {
        "sharedEventID": "s",
        "vpcEndpointId": "vpce-1",
        "apiVersion": "2015",
        "additionalEventData": {"MFAIdentifier": "m"},
    },
    {"errorCode": "AccessDenied", "readOnly": "true", "managementEvent": "false", "eventTime": "2024-02-29T23:59:59Z"},
]


def mapped(schema: CloudTrailEcs, raw: bytes) -> Document | None:
    """A record's document, None where it cannot be one."""
    try:
        return schema.encoder(ORIGIN)(Record(raw, 0))
    except BadInputError:
        return None


def written_natively(raw: bytes) -> bool:
    encoder = native_encoder(NATIVE._place)
    assert encoder is not None
    return encoder.encode(raw, b'{"a":1', b"", b"") is not None


def assert_same(raw: bytes) -> None:
    expected, found = mapped(PYTHON, raw), mapped(NATIVE, raw)
    if expected is None or found is None:
        assert found is expected, raw
        return
    assert orjson.loads(found.body) == orjson.loads(expected.body), raw
    assert (found.id, found.index, found.time_ms) == (expected.id, expected.index, expected.time_ms), raw


def test_it_is_built_where_it_can_be() -> None:
    """A machine with cargo has the module: else all tests here would be skipped unseen."""
    wanted = os.environ.get("SHIPPER_NATIVE") != "off" and shutil.which("cargo") is not None
    assert not wanted or native.CloudTrailEncoder is not None


@needs_native
def test_usual_records_are_written_natively() -> None:
    """Nearly all of an organisation's records take the fast way, and are the same documents."""
    some = [orjson.dumps(record) for record in pool()]
    for raw in some:
        assert_same(raw)
    encoder = native_encoder(NATIVE._place)
    assert encoder is not None
    fast = sum(encoder.encode(raw, b'{"a":1', b"", b"") is not None for raw in some)
    assert fast > 0.9 * len(some)


TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "-", "none", "a@b.example", 'q"u\\o', "\u00e9\u2028", "\0", "arn:aws:iam::1:role/r", "i-1", "é" * 3]
    ),
    st.sampled_from(
        ["2026-02-30T00:00:00Z", "2024-02-29T00:00:00Z", "1969-12-31T23:59:59Z", "2026-01-01T00:00:00.5Z", "0"]
    ),
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.integers(-(10**22), 10**22), st.floats(allow_nan=False), TEXTS
)
KEYS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["userName", "user", "userId", "group", "groupId", "roleArn", "ARN", "arn", "type", "bucketName"]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
FIELDS = [
    *[
        "eventVersion",
        "userIdentity",
        "eventTime",
        "eventSource",
        "eventName",
        "awsRegion",
        "sourceIPAddress",
        "userAgent",
        "errorCode",
    ],
    *[
        "errorMessage",
        "requestParameters",
        "responseElements",
        "additionalEventData",
        "serviceEventDetails",
        "requestID",
    ],
    *[
        "eventID",
        "readOnly",
        "resources",
        "eventType",
        "managementEvent",
        "recipientAccountId",
        "eventCategory",
        "tlsDetails",
    ],
    *["sessionCredentialFromConsole", "apiVersion", "sharedEventID", "vpcEndpointId", "vpcEndpointAccountId"],
    *["insightDetails", "addendum", "edgeDeviceDetails", "digestS3Object", "@timestamp", "unknown"],
]


@needs_native
@settings(max_examples=FUZZ, deadline=None)
@given(
    st.integers(0, 409),
    st.lists(st.tuples(st.sampled_from(FIELDS), VALUES), max_size=3),
    st.lists(st.sampled_from(FIELDS), max_size=2),
    st.sampled_from([{}, {"separators": (",", ":")}, {"separators": (",", ":"), "ensure_ascii": False}]),
)
def test_any_values_give_the_same_document(
    which: int, changes: list[tuple[str, Any]], without: list[str], form: dict[str, Any]
) -> None:
    """Whatever stands in a record's fields: no other document than Python's, and none where Python has none."""
    record = {name: value for name, value in pool()[which].items() if name not in without} | dict(changes)
    text = json.dumps(record, **form)
    assert_same(text.encode("utf-8", "surrogatepass"))


COLLIDING = st.lists(st.sampled_from(["Aa", "BB", "C#"]), min_size=3, max_size=4).map("".join)
MAPS = st.recursive(
    st.sampled_from(["x", "", "none", None, 7, True]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(COLLIDING, inner, max_size=14),
        st.dictionaries(st.text(max_size=8) | st.integers(0, 99).map(str), inner, max_size=70),
    ),
    max_leaves=60,
)


@needs_native
@settings(max_examples=FUZZ, deadline=None)
@given(st.dictionaries(st.text(max_size=8) | COLLIDING, MAPS, min_size=2, max_size=20))
def test_maps_are_in_the_same_order(parameters: dict[str, Any]) -> None:
    """Many keys, keys of other scripts, and keys that share a bucket: the text has Java's order both ways."""
    record = pool()[0] | {"requestParameters": parameters}
    assert_same(json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass"))


@needs_native
def test_maps_of_usual_sizes_are_ordered_natively() -> None:
    """What is left to Python for its order is rare."""
    for count in range(1, 25):
        parameters = {f"name{number}": "v" for number in range(count)}
        assert written_natively(orjson.dumps(pool()[0] | {"requestParameters": parameters}))


@needs_native
@settings(max_examples=FUZZ, deadline=None)
@given(
    st.integers(0, 409),
    st.sampled_from(["AwsConsoleSignIn", "AwsServiceEvent", "AwsApiCall", None]),
    st.sampled_from(["responseElements", "serviceEventDetails", "additionalEventData"]),
    st.dictionaries(
        st.sampled_from(["SwitchRole", "CheckMfa", "other"]), st.sampled_from(["Success", "Failure", "FAILED", "no", 1])
    ),
)
def test_stated_outcomes_are_the_same(which: int, kind: str | None, part: str, answer: dict[str, Any]) -> None:
    """A failure that only an answer or details state is a failure natively too."""
    for name in ("SwitchRole", "GetObject"):
        for source in ("signin.amazonaws.com", "sso.amazonaws.com"):
            changed = {"eventName": name, "eventSource": source, "eventType": kind, part: answer}
            assert_same(orjson.dumps(pool()[which] | changed))


@needs_native
@settings(max_examples=FUZZ, deadline=None)
@given(
    st.integers(0, 409),
    st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=3), st.integers(0, 3)), min_size=1, max_size=3),
)
def test_damaged_records_give_the_same_document_or_none(which: int, damages: list[tuple[float, bytes, int]]) -> None:
    """Bytes replaced, put in and taken out: what is no JSON any more is left to Python, which refuses it."""
    raw = orjson.dumps(pool()[which])
    for place, put, taken in damages:
        at = int(place * len(raw))
        raw = raw[:at] + put + raw[at + taken :]
    if b"\n" not in raw and raw[:1] == b"{":
        assert_same(raw)


@needs_native
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b'{"eventTime":"2026-01-01T00:00:00Z"}',
        b'{"eventTime":"2026-01-01T00:00:00Z","eventID":"a","eventID":"b"}',
        b'{"eventTime":"2026-01-01T00:00:00Z","eventID":"a","requestParameters":{"a":1.5}}',
        b'{"eventTime":"2026-01-01T00:00:00Z","eventID":"a","requestParameters":{"a":1,"a":2}}',
        b'{"eventTime":"2026-01-01T00:00:00Z","eventID":"a","requestParameters":"text"}',
        b'{"eventTime":"2026-01-01T00:00:00Z","eventID":"a","requestParameters":{"a":"\\ud800"}}',
        b'{"eventTime":"2026-01-01T00:00:00Z","eventID":"a","requestParameters":{"a":"' + b"x" * 9000 + b'"}}',
        b'{"eventTime":"2026-01-01T00:00:00Z","eventID":"a","insightDetails":{}}',
        b'{"eventTime":"2026-01-01T00:00:00Z","eventID":"a","requestParameters":{"a\\/b":1,"a/b":2}}',
        b'{"eventTime":"2026-01-01T00:00:00Z","eventID":"a","resources":[{"ARN":"x","ARN":null}]}',
        b'{"eventTime":"2026-01-01T00:00:00Z","eventID":"a","userAgent":"\\u002d"}',
        b'{"eventTime":"2026-01-01T00:00:00Z","eventID":"a","tlsDetails":{"clientProvidedHostHeader":"a\\ud83d"}}',
        b'{"eventTime":"2026-01-01T00:00:00Z","eventID":"a"}x',
        b'{"eventTime":"2026-01-01T00:00:00Z","eventID":"a","x":' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"eventTime":"2026-01-01T00:00:00Z","eventID":"\xff"}',
    ],
)
def test_unusual_records_are_left_to_python(raw: bytes) -> None:
    """What the native encoder does not know exactly, it does not touch."""
    assert not written_natively(raw)
    assert_same(raw)


@needs_native
@pytest.mark.parametrize(
    "caller",
    [
        b'{"type":"IAMUser","principalId":1000000000000000000000000000000,"accessKeyId":"AKIA\\ud800"}',
        b'{"type":"IAMUser","arn":1000000000000000000000000000000,"princ\\ud800ipalId":"A","userName":"eve"}',
    ],
)
def test_odd_parts_change_no_numbers_beside_them(caller: bytes) -> None:
    """Half a surrogate in a caller's key: a huge number beside it reads the same both ways (found by fuzzing)."""
    assert_same(b'{"eventTime":"2026-01-01T00:00:00Z","eventID":"a","userIdentity":' + caller + b"}")


@needs_native
def test_renewed_places_show() -> None:
    """An address is looked up again once what was found for it is too old."""
    found: dict[str, Any] = {"geo": {"country_iso_code": "SE"}}
    schema = CloudTrailEcs("default", lambda _: found, geo_seconds=0.0)
    raw = orjson.dumps(pool()[0] | {"sourceIPAddress": "89.160.20.112"})
    assert orjson.loads(schema.encoder(ORIGIN)(Record(raw, 0)).body)["source"]["geo"] == found["geo"]  # type: ignore[union-attr]
    found = {"geo": {"country_iso_code": "DE"}}
    assert orjson.loads(schema.encoder(ORIGIN)(Record(raw, 0)).body)["source"]["geo"] == found["geo"]  # type: ignore[union-attr]


NAMES = [
    *(token.decode() + "Token" for token in sorted(TOKENS)),
    *[
        "password",
        "masterUserPassword",
        "passphrase",
        "privateKey",
        "preSharedKey",
        "secretString",
        "secretBinary",
        "secretAccessKey",
    ],
    *[
        "clientSecret",
        "keyMaterial",
        "SecretString",
        "KeyMaterial",
        "nextToken",
        "tokens",
        "private",
        "sEcret",
        "value",
        "token",
    ],
]


@needs_native
@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(NAMES), st.one_of(TEXTS, st.dictionaries(st.sampled_from(NAMES), TEXTS))),
    st.sampled_from(["PutParameter", "ImportSourceCredentials", "GetObject"]),
    st.sampled_from([json.dumps, dict]),
)
def test_no_secret_is_overlooked(parameters: dict[str, Any], event: str, form: Any) -> None:
    """The quick look may be wrong in saying yes, never in saying no."""
    assert native.SecretNames is not None
    raw = json.dumps({"eventName": event, "requestParameters": form(parameters)}).encode()
    if mask_all(raw)[1]:
        assert native.SecretNames().may_be_in(raw)


@needs_native
def test_many_threads_may_use_it_at_once() -> None:
    """Threads that meet new identities at the same time get the same documents as one alone."""
    from concurrent.futures import ThreadPoolExecutor

    some = [orjson.dumps(record) for record in pool()] * 3
    random.Random(5).shuffle(some)
    schema = CloudTrailEcs("default", geography)
    with ThreadPoolExecutor(8) as threads:
        bodies = list(threads.map(lambda raw: schema.encoder(ORIGIN)(Record(raw, 0)).body, some))  # type: ignore[union-attr]
    assert [orjson.loads(body) for body in bodies] == [orjson.loads(mapped(PYTHON, raw).body) for raw in some]  # type: ignore[union-attr]


def test_it_can_be_turned_off() -> None:
    """SHIPPER_NATIVE=off leaves all to Python, and the version says which is in use."""
    for value, expected in (("off", "without native module"), ("on", "native module")):
        command = [sys.executable, "-m", "shipper", "version"]
        said = subprocess.run(
            command, env={**os.environ, "SHIPPER_NATIVE": value}, capture_output=True, check=True, text=True
        )
        assert expected in said.stdout


def knowing() -> tuple[IamPrincipals, Sessions]:
    """Empty memories of principals and sessions that ask nobody."""
    now = datetime(2026, 1, 15, 0, 1, tzinfo=UTC).timestamp()
    stop = Stop()
    stop.request()
    principals = IamPrincipals(lambda _: None, Metrics(), stop, Policy(), clock=lambda: now)
    return principals, Sessions(None, Metrics(), stop)


@needs_native
def test_what_is_known_of_callers_is_the_same() -> None:
    """Tags and persons are learned from the same records and stand in the same documents, one after another."""
    schemas = [CloudTrailEcs("default", geography, *knowing(), native=way) for way in (False, True)]
    role = {
        "type": "AssumedRole",
        "arn": "arn:aws:sts::111122223333:assumed-role/deploy/s",
        "accessKeyId": "ASIA1",
        "accountId": "111122223333",
    }
    issuer = {
        "type": "Role",
        "arn": "arn:aws:iam::111122223333:role/ci/deploy",
        "userName": "deploy",
        "accountId": "111122223333",
    }
    person = {
        "type": "IAMUser",
        "arn": "arn:aws:iam::111122223333:user/eve",
        "userName": "eve",
        "accessKeyId": "AKIA1",
        "accountId": "111122223333",
    }
    tagged = {"roleName": "deploy", "path": "/ci/", "tags": [{"key": "team", "value": "payments"}]}
    handed = {"credentials": {"accessKeyId": "ASIA1"}, "assumedRoleUser": {"arn": role["arn"]}}
    asked = {"roleArn": issuer["arn"], "roleSessionName": "s", "sourceIdentity": "eve"}
    session = role | {"sessionContext": {"sessionIssuer": issuer}}
    made: list[dict[str, Any]] = [
        {"userIdentity": session, "eventName": "GetObject", "eventSource": "s3.amazonaws.com"},
        {
            "userIdentity": person,
            "eventName": "CreateRole",
            "eventSource": "iam.amazonaws.com",
            "requestParameters": tagged,
        },
        {
            "userIdentity": person,
            "eventName": "AssumeRole",
            "eventSource": "sts.amazonaws.com",
            "requestParameters": asked,
            "responseElements": handed,
            "sourceIPAddress": "89.160.20.112",
        },
        {"userIdentity": session, "eventName": "GetObject", "eventSource": "s3.amazonaws.com"},
        {"userIdentity": session, "requestParameters": {"userName": "bob"}, "eventName": "CreateUser"},
        {"userIdentity": session, "errorCode": "AccessDenied", "eventName": "DeleteRole", "requestParameters": tagged},
    ]
    base = {name: pool()[0].get(name) for name in ("eventVersion", "awsRegion", "recipientAccountId", "eventID")}
    extra = [
        {**base, "recipientAccountId": "111122223333", "eventTime": f"2026-01-15T00:00:0{number}Z", **one}
        for number, one in enumerate(made)
    ]
    persons = 0
    for record in [*extra, *pool(), *extra]:
        expected, found = (mapped(schema, orjson.dumps(record)) for schema in schemas)
        assert expected is not None
        assert found is not None
        document = orjson.loads(found.body)
        assert document == orjson.loads(expected.body)
        persons += document.get("user", {}).get("effective", {}).get("name") == "eve" and "iam" in document["aws"]
    assert persons > 1


@needs_native
def test_what_accounts_and_buckets_are_called_is_the_same(tmp_path: Path) -> None:
    """Names, units, tags and regions stand in the same documents, and new names show in both."""
    path = tmp_path / "accounts.json"
    shop = {"name": "shop", "organizational_unit": "Root/Shop", "tags": {"team": "a"}}
    path.write_text(json.dumps({"111122223333": shop, "444455556666": "shop"}))
    places = Places(
        AccountsFile(path, TagChoice(), look_seconds=0.0), {"eu-west-1": "Europe (Ireland)"}, asked_seconds=0.0
    )
    schemas = [
        CloudTrailEcs(
            "default",
            geography,
            places=places,
            resources=lambda resource: {"owner": resource.account},
            names_seconds=0.0,
            native=way,
        )
        for way in (False, True)
    ]
    for name in ("shop", "renamed"):
        seen: set[str | None] = set()
        for record in pool():
            expected, found = (mapped(schema, orjson.dumps(record)) for schema in schemas)
            assert expected is not None
            assert found is not None
            document = orjson.loads(found.body)
            assert document == orjson.loads(expected.body)
            seen.add(document["cloud"].get("account", {}).get("name"))
            seen |= document["aws"].keys() & {"bucket", "account", "region_name"}
        assert seen - {None} == {name, "bucket", "region_name"} | ({"account"} if name == "shop" else set())
        path.write_text(json.dumps({"111122223333": "renamed", "444455556666": "renamed"}))


def test_a_module_of_another_version_is_not_used(tmp_path):
    """A program that was updated without its native module does the work in Python instead of failing amid it."""
    (tmp_path / "shipper_native.py").write_text("class CloudTrailEncoder: ...\nclass SecretNames: ...\n")
    program = "from shipper import native; print(native.CloudTrailEncoder, native.SecretNames, native.FlowLines)"
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=True
    )
    assert done.stdout.split() == [b"None"] * 3
