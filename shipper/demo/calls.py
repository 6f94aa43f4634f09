"""What the demo's actors do: one entry an API call, with parameters as CloudTrail writes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from shipper.demo.cast import Account

Maker = Callable[[Random, Account], Any]

BUCKETS = ("lanternfish-bookings", "lanternfish-invoices", "lanternfish-customer-exports", "lanternfish-web-assets")
_FOLDERS = ("2026/orders", "2026/itineraries", "eu/passengers", "media/hotels", "reports/weekly")


@dataclass(frozen=True, slots=True)
class Call:
    """An API call.

    Attributes:
        service: its host's first label, such as `ec2`.
        read: whether it only reads.
        data: whether it is a data event.
        region: where a global service records it; "" for the account's own.
        denied: how often, of a thousand, it is refused.
    """

    service: str
    name: str
    read: bool = True
    data: bool = False
    region: str = ""
    request: Maker | None = None
    response: Maker | None = None
    extra: Maker | None = None
    resources: Callable[[Any, Account, str], list[dict[str, str]]] | None = None
    denied: int = 0


def letters(rng: Random, count: int) -> str:
    """Return lower-case hexadecimal digits, as AWS's own ids have them."""
    return f"{rng.getrandbits(4 * count):0{count}x}"


def object_request(rng: Random, _account: Account) -> dict[str, Any]:
    """Return the parameters of a call for one object."""
    bucket = rng.choice(BUCKETS)
    return {
        "bucketName": bucket,
        "Host": f"{bucket}.s3.eu-central-1.amazonaws.com",
        "key": f"{rng.choice(_FOLDERS)}/{letters(rng, 12)}.json",
    }


def transfer(rng: Random, _account: Account) -> dict[str, Any]:
    """Return what S3 adds about a transfer."""
    return {
        "SignatureVersion": "SigV4",
        "CipherSuite": "TLS_AES_128_GCM_SHA256",
        "bytesTransferredIn": 0,
        "SSEApplied": "SSE_KMS",
        "AuthenticationMethod": "AuthHeader",
        "x-amz-id-2": letters(rng, 56),
        "bytesTransferredOut": int(rng.lognormvariate(10, 1.2)),
    }


def object_resources(request: Any, account: Account, _region: str) -> list[dict[str, str]]:
    """Return the object and its bucket, as resources of a data event."""
    arn = f"arn:aws:s3:::{request['bucketName']}"
    return [
        {"type": "AWS::S3::Object", "ARN": f"{arn}/{request['key']}"},
        {"accountId": account.id, "type": "AWS::S3::Bucket", "ARN": arn},
    ]


def _key_resources(_request: Any, account: Account, region: str) -> list[dict[str, str]]:
    key = "5f0c1a9e-62d1-4f0e-9a55-0d6f6f2b7c31"
    return [{"accountId": account.id, "type": "AWS::KMS::Key", "ARN": f"arn:aws:kms:{region}:{account.id}:key/{key}"}]


def _encryption(rng: Random, account: Account) -> dict[str, Any]:
    arn = f"arn:aws:s3:::{rng.choice(BUCKETS)}"
    return {
        "encryptionContext": {"aws:s3:arn": arn},
        "encryptionAlgorithm": "SYMMETRIC_DEFAULT",
        "keyId": f"arn:aws:kms:{account.region}:{account.id}:key/5f0c1a9e-62d1-4f0e-9a55-0d6f6f2b7c31",
    }


def _run(rng: Random, _account: Account) -> dict[str, Any]:
    return {
        "instancesSet": {"items": [{"imageId": f"ami-{letters(rng, 17)}", "minCount": 1, "maxCount": 1}]},
        "instanceType": rng.choice(("t3.small", "t3.medium", "m6i.large")),
        "blockDeviceMapping": {},
        "monitoring": {"enabled": False},
        "subnetId": f"subnet-{letters(rng, 17)}",
        "disableApiTermination": False,
        "clientToken": letters(rng, 32),
    }


def _running(rng: Random, account: Account) -> dict[str, Any]:
    item = {
        "instanceId": f"i-{letters(rng, 17)}",
        "currentState": {"code": 0, "name": "pending"},
        "privateIpAddress": f"10.20.{rng.randrange(4)}.{rng.randrange(4, 250)}",
        "placement": {"availabilityZone": f"{account.region}a", "tenancy": "default"},
    }
    return {"reservationId": f"r-{letters(rng, 17)}", "ownerId": account.id, "instancesSet": {"items": [item]}}


def _assume(rng: Random, account: Account) -> dict[str, Any]:
    return {"roleArn": f"arn:aws:iam::{account.id}:role/invoice-renderer-role", "roleSessionName": letters(rng, 16)}


def _assumed(rng: Random, account: Account) -> dict[str, Any]:
    session = letters(rng, 16)
    return {
        "credentials": {
            "accessKeyId": access_key(rng, "ASIA"),
            "sessionToken": "made-up-" + letters(rng, 64),
            "expiration": "Jan 1, 2027, 1:00:00 AM",
        },
        "assumedRoleUser": {
            "assumedRoleId": f"AROA{letters(rng, 16).upper()}:{session}",
            "arn": f"arn:aws:sts::{account.id}:assumed-role/invoice-renderer-role/{session}",
        },
    }


def access_key(rng: Random, prefix: str) -> str:
    """Return an access key id that nobody can take for a real one."""
    return prefix + "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=9)) + "EXAMPLE"


def _instances(rng: Random, _account: Account) -> dict[str, Any]:
    return {"instancesSet": {"items": [{"instanceId": f"i-{letters(rng, 17)}"}]}, "filterSet": {}}


def _named(key: str, *names: str) -> Maker:
    return lambda rng, _account: {key: rng.choice(names)}


_FUNCTIONS = ("invoice-renderer", "fare-cache", "mail-out")

_CALLS = (
    Call("ec2", "DescribeInstances", request=_instances),
    Call("ec2", "DescribeSecurityGroups", request=lambda _r, _a: {"securityGroupSet": {}, "filterSet": {}}),
    Call("ec2", "RunInstances", read=False, request=_run, response=_running),
    Call("ec2", "TerminateInstances", read=False, request=_instances),
    Call(
        "ec2",
        "AuthorizeSecurityGroupIngress",
        read=False,
        request=lambda r, _a: {
            "groupId": f"sg-{letters(r, 17)}",
            "ipPermissions": {
                "items": [
                    {
                        "ipProtocol": "tcp",
                        "fromPort": 443,
                        "toPort": 443,
                        "ipRanges": {"items": [{"cidrIp": "198.51.100.0/27"}]},
                    }
                ]
            },
        },
        response=lambda r, _a: {"requestId": letters(r, 32), "_return": True},
    ),
    Call("s3", "GetObject", data=True, request=object_request, extra=transfer, resources=object_resources, denied=12),
    Call("s3", "PutObject", read=False, data=True, request=object_request, extra=transfer, resources=object_resources),
    Call("s3", "ListObjects", data=True, request=object_request, extra=transfer, resources=object_resources),
    Call("s3", "ListBuckets", request=lambda _r, _a: {"Host": "s3.eu-central-1.amazonaws.com"}, extra=transfer),
    Call("s3", "HeadBucket", request=_named("bucketName", *BUCKETS), extra=transfer),
    Call("s3", "GetBucketPolicy", request=_named("bucketName", *BUCKETS), extra=transfer, denied=80),
    Call("kms", "Decrypt", request=_encryption, resources=_key_resources, denied=4),
    Call("kms", "GenerateDataKey", request=_encryption, resources=_key_resources),
    Call("lambda", "ListFunctions20150331", request=None),
    Call(
        "lambda",
        "UpdateFunctionCode20150331v2",
        read=False,
        request=lambda r, _a: {
            "functionName": r.choice(_FUNCTIONS),
            "s3Bucket": "lanternfish-artifacts",
            "s3Key": f"builds/{letters(r, 12)}.zip",
            "publish": True,
            "dryRun": False,
        },
        response=lambda r, a: {
            "functionName": "invoice-renderer",
            "runtime": "python3.12",
            "role": f"arn:aws:iam::{a.id}:role/invoice-renderer-role",
            "codeSize": r.randrange(10**5, 10**7),
            "version": str(r.randrange(20, 400)),
        },
    ),
    Call(
        "lambda",
        "Invoke",
        read=False,
        data=True,
        request=lambda r, a: {
            "functionName": f"arn:aws:lambda:{a.region}:{a.id}:function:{r.choice(_FUNCTIONS)}",
            "invocationType": "Event",
        },
    ),
    Call("secretsmanager", "GetSecretValue", request=_named("secretId", "prod/payments", "prod/db"), denied=60),
    Call("ssm", "GetParameter", request=lambda r, _a: {"name": f"/app/{letters(r, 4)}", "withDecryption": True}),
    Call(
        "ssm",
        "PutParameter",
        read=False,
        request=lambda r, _a: {"name": f"/app/{letters(r, 4)}", "type": "SecureString", "overwrite": True},
    ),
    Call("ssm", "StartSession", read=False, request=lambda r, _a: {"target": f"i-{letters(r, 17)}"}),
    Call("logs", "DescribeLogGroups", request=_named("logGroupNamePrefix", "/aws/lambda/", "/ecs/")),
    Call("iam", "ListRoles", region="us-east-1", request=lambda _r, _a: {"maxItems": 1000}),
    Call("iam", "ListUsers", region="us-east-1"),
    Call("iam", "GetAccountSummary", region="us-east-1"),
    Call("sts", "AssumeRole", request=_assume, response=_assumed),
    Call("sts", "AssumeRoleWithWebIdentity", request=_assume, response=_assumed),
    Call(
        "athena",
        "StartQueryExecution",
        read=False,
        request=lambda r, _a: {
            "queryString": "***OMITTED***",
            "clientRequestToken": letters(r, 32),
            "workGroup": "analysts",
            "queryExecutionContext": {"database": "bookings"},
        },
        response=lambda r, _a: {"queryExecutionId": letters(r, 32)},
    ),
    Call("athena", "GetQueryResults", request=lambda r, _a: {"queryExecutionId": letters(r, 32)}),
    Call("glue", "GetTable", request=_named("name", "orders", "itineraries", "passengers"), denied=30),
    Call("securityhub", "GetFindings", request=lambda _r, _a: {"MaxResults": 100}),
    Call("cloudtrail", "LookupEvents", request=lambda _r, _a: {"maxResults": 50}),
    Call("cloudtrail", "DescribeTrails", request=lambda _r, _a: {"trailNameList": []}),
    Call("ce", "GetCostAndUsage", region="us-east-1", request=lambda _r, _a: {"Granularity": "DAILY"}),
    Call("billing", "GetInvoice", region="us-east-1", request=lambda r, _a: {"invoiceId": letters(r, 9)}, denied=200),
    Call("organizations", "ListAccounts", region="us-east-1"),
    Call("ecs", "UpdateService", read=False, request=_named("service", "checkout", "search")),
    Call("ecr", "GetAuthorizationToken"),
    Call(
        "ecr",
        "PutImage",
        read=False,
        request=lambda r, a: {"repositoryName": "checkout", "imageTag": letters(r, 8), "registryId": a.id},
    ),
)

_SHORT = {"ListFunctions20150331": "ListFunctions", "UpdateFunctionCode20150331v2": "UpdateFunctionCode",
          "Invoke": "InvokeFunction"}  # fmt: skip
CALLS = {_SHORT.get(call.name, call.name): call for call in _CALLS}
