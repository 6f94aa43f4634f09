"""Who acts in the demo: the accounts of Lanternfish, a made-up travel agency, its people and its machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ORGANISATION = "o-lanternfish1"
DOMAIN = "lanternfish.example"
TRAIL_BUCKET = "lanternfish-org-trail"
READER_ROLE = "log-reader"
DEPLOY_ROLE = "deploy"
RESCUE_ROLE = "break-glass"

Hours = Literal["office", "always", "nightly"]
Kind = Literal["sso", "user", "role", "web_identity", "service", "root"]


@dataclass(frozen=True, slots=True)
class Account:
    """An AWS account; ids are those that AWS uses in examples."""

    id: str
    name: str
    region: str


MANAGEMENT = Account("111122223333", "management", "us-east-1")
PRODUCTION = Account("444455556666", "production", "eu-central-1")
STAGING = Account("777788889999", "staging", "eu-west-1")
SECURITY = Account("123456789012", "security", "eu-central-1")
ACCOUNTS = (MANAGEMENT, PRODUCTION, STAGING, SECURITY)


@dataclass(frozen=True, slots=True)
class Actor:
    """Someone or something that calls AWS.

    Attributes:
        name: the person, IAM user, session or service.
        role: the role's name, for those who act in one; of people, that of their permission set.
        accounts: where they act; the first most often.
        addresses: where they call from; a service's own host name for AWS services.
        calls: names of what they do (see `calls.CALLS`) with weights.
        share: their part of all events, as a weight.
    """

    name: str
    kind: Kind
    accounts: tuple[Account, ...]
    addresses: tuple[str, ...]
    agent: str
    hours: Hours
    share: float
    calls: dict[str, int]
    role: str = ""


_FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
_CHROME = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)
_CLI = (
    "aws-cli/2.17.9 md/awscrt#0.20.11 ua/2.0 os/macos#23.5.0 md/arch#arm64 lang/python#3.11.9 "
    "cfg/retry-mode#standard md/installer#exe md/prompt#off md/command#{}"
)
_TERRAFORM = (
    "APN/1.0 HashiCorp/1.0 Terraform/1.8.5 (+https://www.terraform.io) terraform-provider-aws/5.57.0 "
    "(+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.30.1 os/linux lang/go#1.22.4 "
    "md/GOOS#linux md/GOARCH#amd64 api/ec2#1.166.0"
)

PEOPLE = (
    Actor(
        "ines.duarte",
        "sso",
        (PRODUCTION, STAGING),
        ("198.51.100.37",),
        _CLI.format("ec2.describe-instances"),
        "office",
        7,
        {
            "DescribeInstances": 30,
            "DescribeSecurityGroups": 12,
            "StartSession": 4,
            "PutParameter": 2,
            "ListRoles": 4,
            "UpdateFunctionCode": 2,
            "DescribeLogGroups": 10,
            "AuthorizeSecurityGroupIngress": 1,
            "ListBuckets": 3,
        },
        "PlatformAdmin",
    ),
    Actor(
        "jonas.weber",
        "sso",
        (STAGING, PRODUCTION),
        ("198.51.100.11",),
        _CHROME,
        "office",
        8,
        {
            "DescribeInstances": 16,
            "ListFunctions": 12,
            "UpdateFunctionCode": 6,
            "GetParameter": 14,
            "RunInstances": 2,
            "TerminateInstances": 2,
            "DescribeLogGroups": 16,
            "GetSecretValue": 3,
            "ListBuckets": 6,
        },
        "Developer",
    ),
    Actor(
        "mei.tanaka",
        "sso",
        (PRODUCTION,),
        ("198.51.100.12",),
        _FIREFOX,
        "office",
        6,
        {"StartQueryExecution": 20, "GetQueryResults": 30, "GetObject": 14, "ListBuckets": 4, "GetTable": 10},
        "DataAnalyst",
    ),
    Actor(
        "priya.raman",
        "sso",
        (SECURITY, PRODUCTION, MANAGEMENT),
        ("2001:db8:70::51",),
        _CHROME,
        "office",
        5,
        {
            "GetFindings": 20,
            "LookupEvents": 16,
            "ListUsers": 6,
            "GetAccountSummary": 3,
            "DescribeTrails": 6,
            "ListRoles": 8,
            "GetBucketPolicy": 6,
        },
        "SecurityAudit",
    ),
    Actor(
        "tom.okafor",
        "sso",
        (MANAGEMENT,),
        ("198.51.100.14",),
        _FIREFOX,
        "office",
        2,
        {"GetCostAndUsage": 20, "ListAccounts": 6, "GetInvoice": 3},
        "Billing",
    ),
)

BACKUP_USER = Actor(
    f"nils.brandt@{DOMAIN}",
    "user",
    (PRODUCTION,),
    ("198.51.100.20",),
    "Boto3/1.26.76 Python/3.9.16 Linux/4.4.302+ Botocore/1.29.76 S3Transfer/0.6.0",
    "nightly",
    6,
    {"GetObject": 30, "PutObject": 20, "ListObjects": 6, "HeadBucket": 4},
)

MACHINES = (
    BACKUP_USER,
    Actor(
        "github-actions",
        "web_identity",
        (STAGING, PRODUCTION),
        ("198.51.100.131", "198.51.100.140", "198.51.100.163", "198.51.100.177"),
        _TERRAFORM,
        "office",
        12,
        {
            "AssumeRoleWithWebIdentity": 6,
            "DescribeSecurityGroups": 14,
            "DescribeInstances": 12,
            "ListRoles": 8,
            "PutObject": 8,
            "UpdateFunctionCode": 6,
            "UpdateService": 5,
            "GetAuthorizationToken": 7,
            "PutImage": 4,
            "DescribeTrails": 2,
            "GetParameter": 10,
        },
        "github-deploy",
    ),
    Actor(
        "checkout-7f9c",
        "role",
        (PRODUCTION,),
        ("192.0.2.10", "192.0.2.11"),
        "aws-sdk-java/2.26.12 Linux/5.10.219 OpenJDK_64-Bit_Server_VM/21.0.3+9-LTS Java/21.0.3 vendor/Amazon.com_Inc. "
        "io/async http/NettyNio cfg/retry-mode/legacy",
        "always",
        26,
        {"Decrypt": 30, "GetObject": 34, "PutObject": 18, "GetSecretValue": 5, "InvokeFunction": 12},
        "checkout-service",
    ),
    Actor(
        "invoice-renderer",
        "role",
        (PRODUCTION,),
        ("192.0.2.23",),
        "Boto3/1.34.131 md/Botocore#1.34.131 ua/2.0 os/linux#5.10.219 md/arch#x86_64 lang/python#3.12.3 "
        "exec-env/AWS_Lambda_python3.12 cfg/retry-mode#legacy Botocore/1.34.131",
        "always",
        10,
        {"PutObject": 20, "GenerateDataKey": 16, "GetObject": 10},
        "invoice-renderer-role",
    ),
    Actor(
        "config.amazonaws.com",
        "service",
        ACCOUNTS,
        ("config.amazonaws.com",),
        "config.amazonaws.com",
        "always",
        7,
        {"AssumeRole": 1},
        "AWSServiceRoleForConfig",
    ),
    Actor(
        "lambda.amazonaws.com",
        "service",
        (PRODUCTION, STAGING),
        ("lambda.amazonaws.com",),
        "lambda.amazonaws.com",
        "always",
        5,
        {"AssumeRole": 1},
        "invoice-renderer-role",
    ),
    Actor(
        "AutoScaling",
        "role",
        (PRODUCTION,),
        ("autoscaling.amazonaws.com",),
        "autoscaling.amazonaws.com",
        "always",
        6,
        {"DescribeInstances": 10, "DescribeSecurityGroups": 3, "RunInstances": 1, "TerminateInstances": 1},
        "AWSServiceRoleForAutoScaling",
    ),
)

ACTORS = PEOPLE + MACHINES
