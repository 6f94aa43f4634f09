"""How long one CloudTrail record takes from an object's bytes to an ECS document and a Splunk envelope, in µs of CPU.

python -m bench.cloudtrail_mapping [FILE]
"""

from __future__ import annotations

import gc
import json
import random
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from shipper.enrich.background import Policy
from shipper.enrich.iam import IamPrincipals
from shipper.enrich.sessions import Sessions
from shipper.formats.cloudtrail import CloudTrailFormat
from shipper.metrics import Metrics
from shipper.model import Origin, Payload, ReadLimits, Record, Session
from shipper.ports import Schema, Stop
from shipper.redaction import Redactor
from shipper.schemas.ecs.cloudtrail import CloudTrailEcs
from shipper.schemas.splunk.cloudtrail import CloudTrailSplunk

RECORDS = 5_000
_GEO = {
    "geo": {"country_iso_code": "SE", "country_name": "Sweden", "location": {"lat": 58.4, "lon": 15.6}},
    "as": {"number": 29518, "organization": {"name": "An Example Network"}},
}


def geography(address: str) -> Mapping[str, Any] | None:  # noqa: ARG001 - the port names it
    return _GEO


def tagged() -> IamPrincipals:
    """A warm cache of roles: every one has the same three tags."""
    memory = IamPrincipals(lambda _: None, Metrics(), Stop(), Policy())
    tags = {"team": "payments", "owner": "alice@example.com", "data-class": "internal"}
    for number in range(9):
        arn = f"arn:aws:iam::111122223333:role/role-{number}"
        memory.learn(arn, {"path": "/ci/", "tags": tags}, "create", time.time())
    return memory


def made(rng: random.Random) -> bytes:
    """An object of believable records: some fifty sessions of a small organisation call a dozen kinds of things."""
    sessions = [_session(rng, number) for number in range(50)]
    addresses = [f"89.160.{rng.randrange(256)}.{rng.randrange(1, 255)}" for _ in range(200)]
    return json.dumps(
        {"Records": [_record(rng, rng.choice(sessions), rng.choice(addresses)) for _ in range(RECORDS)]},
        separators=(",", ":"),
    ).encode()


def _session(rng: random.Random, number: int) -> dict[str, Any]:
    account, role = "111122223333", f"role-{number % 7}"
    issuer = {
        "type": "Role",
        "principalId": f"AROAEXAMPLE{number:010d}",
        "arn": f"arn:aws:iam::{account}:role/{role}",
        "accountId": account,
        "userName": role,
    }
    created = f"2026-01-05T{rng.randrange(24):02d}:{rng.randrange(60):02d}:00Z"
    return {
        "type": "AssumedRole",
        "principalId": f"AROAEXAMPLE{number:010d}:someone-{number}",
        "arn": f"arn:aws:sts::{account}:assumed-role/{role}/someone-{number}",
        "accountId": account,
        "accessKeyId": f"ASIAEXAMPLE{number:09d}",
        "sessionContext": {
            "sessionIssuer": issuer,
            "attributes": {"creationDate": created, "mfaAuthenticated": "false"},
        },
    }


def _record(rng: random.Random, session: dict[str, Any], address: str) -> dict[str, Any]:
    service, name, asked, answered = rng.choice(_CALLS)(rng)
    return {
        "eventVersion": "1.11",
        "userIdentity": session,
        "eventTime": f"2026-01-05T12:{rng.randrange(60):02d}:{rng.randrange(60):02d}Z",
        "eventSource": f"{service}.amazonaws.com",
        "eventName": name,
        "awsRegion": "us-east-1",
        "sourceIPAddress": address,
        "userAgent": f"aws-cli/2.17.{rng.randrange(60)} md/awscrt#0.21.2 ua/2.0 os/linux#6.8.0 md/arch#x86_64",
        "requestParameters": asked,
        "responseElements": answered,
        "requestID": str(uuid.UUID(int=rng.getrandbits(128))),
        "eventID": str(uuid.UUID(int=rng.getrandbits(128))),
        "readOnly": answered is None,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": "111122223333",
        "eventCategory": "Management",
        "tlsDetails": {
            "tlsVersion": "TLSv1.3",
            "cipherSuite": "TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader": f"{service}.us-east-1.amazonaws.com",
        },
    }


def _describe(_: random.Random) -> tuple[str, str, Any, Any]:
    return "ec2", "DescribeInstances", {"maxResults": 100, "instancesSet": {}, "filterSet": {}}, None


def _assume(rng: random.Random) -> tuple[str, str, Any, Any]:
    arn = f"arn:aws:iam::111122223333:role/role-{rng.randrange(9)}"
    credentials = {
        "accessKeyId": f"ASIAEXAMPLE{rng.randrange(10**9):09d}",
        "sessionToken": "IQoJb3JpZ2luX2VjEXAMPLE" * 6,
        "expiration": "Jan 5, 2026, 1:00:00 PM",
    }
    user = {"assumedRoleId": "AROAEXAMPLE:build", "arn": f"{arn}/build"}
    asked = {"roleArn": arn, "roleSessionName": f"build-{rng.randrange(1000)}", "durationSeconds": 3600}
    return "sts", "AssumeRole", asked, {"credentials": credentials, "assumedRoleUser": user}


def _object(rng: random.Random) -> tuple[str, str, Any, Any]:
    key = f"data/2026/01/05/part-{rng.randrange(100000):05d}.parquet"
    host = "example-bucket.s3.us-east-1.amazonaws.com"
    return "s3", "GetObject", {"bucketName": "example-bucket", "Host": host, "key": key}, None


def _decrypt(rng: random.Random) -> tuple[str, str, Any, Any]:
    context = {"aws:s3:arn": f"arn:aws:s3:::example-bucket/{rng.randrange(100000)}"}
    return "kms", "Decrypt", {"encryptionContext": context, "encryptionAlgorithm": "SYMMETRIC_DEFAULT"}, None


def _attach(rng: random.Random) -> tuple[str, str, Any, Any]:
    name = f"user-{rng.randrange(50)}"
    return "iam", "AttachUserPolicy", {"userName": name, "policyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}, None


_CALLS = (_describe, _assume, _object, _decrypt, _attach)


def microseconds(times: int, records: int, work: Callable[[], object]) -> float:
    """CPU time a record of the fastest of some runs."""
    best = float("inf")
    for _ in range(times):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best * 1e6 / records


def main() -> None:
    data = Path(sys.argv[1]).read_bytes() if len(sys.argv) > 1 else made(random.Random(1))
    origin = Origin("s3://example-trail/key", "example-trail", "key")
    gc.disable()

    def split() -> list[Record]:
        found = CloudTrailFormat(ReadLimits()).records(Payload(origin, iter([data])))
        return [record for record in found if isinstance(record, Record)]

    def encode(schema: Schema) -> None:
        encoder = schema.encoder(origin)
        for record in CloudTrailFormat(ReadLimits()).records(Payload(origin, iter([data]))):
            if isinstance(record, Record):
                encoder(record)

    count = len(split())
    print(f"{count} records of {len(data) / count:.0f} bytes")
    print(f"split            {microseconds(5, count, split):6.2f} µs a record")
    ecs, splunk = CloudTrailEcs("default", geography), CloudTrailSplunk("aws", "", geography)
    print(f"split and ECS    {microseconds(5, count, lambda: encode(ecs)):6.2f} µs a record")
    print(f"split and Splunk {microseconds(5, count, lambda: encode(splunk)):6.2f} µs a record")
    ecs, splunk = CloudTrailEcs("default", geography, tagged()), CloudTrailSplunk("aws", "", geography, tagged())
    print(f"ECS and IAM tags {microseconds(5, count, lambda: encode(ecs)):6.2f} µs a record")
    print(f"Splunk and tags  {microseconds(5, count, lambda: encode(splunk)):6.2f} µs a record")
    remembered = Sessions(None, Metrics(), Stop())
    for number in range(50):
        caller = f"arn:aws:iam::111122223333:user/someone-{number}"
        session = Session(0.0, f"role-{number}", caller, "AKIAEXAMPLE", f"someone-{number}", None, "89.160.20.112")
        remembered.learn(f"ASIAEXAMPLE{number:09d}", session)
    ecs = CloudTrailEcs("default", geography, None, remembered)
    splunk = CloudTrailSplunk("aws", "", geography, None, remembered)
    print(f"ECS and persons  {microseconds(5, count, lambda: encode(ecs)):6.2f} µs a record")
    print(f"Splunk, persons  {microseconds(5, count, lambda: encode(splunk)):6.2f} µs a record")
    ecs = CloudTrailEcs("default", geography, tagged(), remembered)
    print(f"ECS and both     {microseconds(5, count, lambda: encode(ecs)):6.2f} µs a record")
    redact = Redactor([], secrets=True, count=lambda *_: None)
    records = split()
    print(f"redaction alone  {microseconds(5, count, lambda: [redact(one) for one in records]):6.2f} µs a record")


if __name__ == "__main__":
    main()
