"""The incident that is hidden in the demo's logs: a leaked access key, and what was done with it in one night.

Nils left a key of his own in the backup's script. Whoever found it looks around, makes a back door, takes on the role
that may read everything, and carries the customers away; Priya ends it in the morning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from shipper.demo.calls import CALLS, Call, access_key, letters, object_request
from shipper.demo.cast import BACKUP_USER, DEPLOY_ROLE, DOMAIN, PEOPLE, PRODUCTION, RESCUE_ROLE, SECURITY, Account
from shipper.demo.clerk import Clerk
from shipper.demo.networks import INTRUDER
from shipper.demo.sessions import iso

Story = Iterator[tuple[Account, datetime, dict[str, Any]]]

_ADDRESS, _LOADER = "203.0.113.17", "203.0.113.44"
_KALI = "aws-cli/1.29.62 md/Botocore#1.31.62 ua/2.0 os/linux#6.5.0-kali3-amd64 md/arch#x86_64 lang/python#3.11.8"
_BOTO = "Boto3/1.28.62 md/Botocore#1.31.62 ua/2.0 os/linux#6.5.0-kali3-amd64 md/arch#x86_64 lang/python#3.11.8"
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0"
_LOOT = "lanternfish-customer-exports"
_BACK_DOOR = "support-sync"
_ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
_LIMIT = (
    "Client.VcpuLimitExceeded",
    "You have requested more vCPU capacity than your current vCPU limit of 64 allows for this kind of instance.",
)
_FILES = 164


@dataclass(frozen=True, slots=True)
class Incident:
    """What happened, for whoever wants to check that it was found.

    Attributes:
        began, contained: first call with the stolen key, and when the key was switched off.
        events: how many records the intruder left.
        files, bytes_out: objects that were read, and their size.
    """

    began: datetime
    contained: datetime
    account: str
    user: str
    back_door: str
    addresses: tuple[str, ...]
    country: str
    asn: int
    events: int
    bucket: str
    files: int
    bytes_out: int
    trail: str


def begin_of(now: datetime) -> datetime:
    """Return when the incident began: the latest 02:14 UTC that leaves time for the morning after."""
    night = now.replace(hour=2, minute=14, second=7, microsecond=0)
    while now - night < timedelta(hours=7):
        night -= timedelta(days=1)
    return night


class Intrusion:
    """Writes the records of the incident, in order of time."""

    def __init__(self, rng: Random, clerk: Clerk, now: datetime) -> None:
        self._rng = rng
        self._clerk = clerk
        self._began = begin_of(now)
        self._stolen = clerk.identity(BACKUP_USER, PRODUCTION, self._began)
        self._session: dict[str, Any] | None = None
        self._bytes = 0
        self._events = 0

    def records(self) -> tuple[list[tuple[Account, datetime, dict[str, Any]]], Incident]:
        """Return (account, time, record) of each step, and the facts."""
        steps = [*self._look_around(), *self._dig_in(), *self._blind(), *self._become(), *self._take(), *self._mine()]
        self._events = len(steps)
        steps += self._contain()
        return steps, Incident(
            began=self._began,
            contained=self._at(5 * 3600 + 34 * 60),
            account=PRODUCTION.id,
            user=BACKUP_USER.name,
            back_door=_BACK_DOOR,
            addresses=(_ADDRESS, _LOADER),
            country=INTRUDER.country[1],
            asn=INTRUDER.asn,
            events=self._events,
            bucket=_LOOT,
            files=_FILES,
            bytes_out=self._bytes,
            trail="production-audit",
        )

    def _at(self, seconds: float) -> datetime:
        return self._began + timedelta(seconds=seconds)

    def _step(self, seconds: float, call: Call, **details: Any) -> tuple[Account, datetime, dict[str, Any]]:
        when = self._at(seconds)
        details = {"address": _ADDRESS, "agent": _KALI, "identity": self._session, **details}
        record = self._clerk.record(call, BACKUP_USER, PRODUCTION, when, **details)
        record["eventVersion"] = "1.09"
        return PRODUCTION, when, record

    def _denied(self, seconds: float, service: str, name: str) -> tuple[Account, datetime, dict[str, Any]]:
        why = f"User: {self._stolen['arn']} is not authorized to perform: {service}:{name}"
        return self._step(seconds, Call(service, name), error=("AccessDenied", why))

    def _look_around(self) -> Story:
        yield self._step(0, Call("sts", "GetCallerIdentity"))
        yield self._step(41, CALLS["ListBuckets"])
        yield self._step(66, CALLS["ListUsers"])
        yield self._step(93, Call("iam", "ListAttachedUserPolicies", region="us-east-1"),
                         request={"userName": BACKUP_USER.name})  # fmt: skip
        yield self._denied(118, "organizations", "DescribeOrganization")
        yield self._denied(131, "secretsmanager", "ListSecrets")
        yield self._denied(147, "guardduty", "ListDetectors")
        yield self._step(171, CALLS["DescribeInstances"])
        yield self._step(204, CALLS["DescribeTrails"])

    def _dig_in(self) -> Story:

        def change(name: str) -> Call:
            return Call("iam", name, read=False, region="us-east-1")

        name = {"userName": _BACK_DOOR}
        arn = f"arn:aws:iam::{PRODUCTION.id}:user/{_BACK_DOOR}"
        key = {"accessKeyId": access_key(self._rng, "AKIA"), "status": "Active", "userName": _BACK_DOOR,
               "createDate": f"{self._at(512):%b %d, %Y %I:%M:%S %p}"}  # fmt: skip
        yield self._step(436, change("CreateUser"), request=name, response={"user": {**name, "arn": arn}})
        yield self._step(471, change("AttachUserPolicy"), request={**name, "policyArn": _ADMIN})
        yield self._step(512, change("CreateAccessKey"), request=name, response={"accessKey": key})
        yield self._step(559, change("CreateLoginProfile"), request={**name, "passwordResetRequired": False})
        when = self._at(731)
        identity = self._clerk.user(PRODUCTION, _BACK_DOOR, None)
        yield PRODUCTION, when, self._clerk.sign_in(PRODUCTION, identity, when, _ADDRESS, _BROWSER, mfa=False)

    def _blind(self) -> Story:
        organisation = "arn:aws:cloudtrail:us-east-1:111122223333:trail/lanternfish-org"
        own = f"arn:aws:cloudtrail:{PRODUCTION.region}:{PRODUCTION.id}:trail/production-audit"
        stop = Call("cloudtrail", "StopLogging", read=False)
        refused = ("InsufficientDependencyServiceAccessPermissionException",
                   "The organization trail can only be changed by the management account.")  # fmt: skip
        yield self._step(902, stop, request={"name": organisation}, error=refused)
        yield self._step(938, stop, request={"name": own})

    def _become(self) -> Story:
        """Everything after this is done in a role's session: only its beginning tells whose key opened it."""
        when = self._at(1090)
        details = {"address": _ADDRESS, "agent": _KALI}
        record, self._session = self._clerk.assume(BACKUP_USER, PRODUCTION, when, DEPLOY_ROLE, "backup-sync", **details)
        record["eventVersion"] = "1.09"
        yield PRODUCTION, when, record

    def _take(self) -> Story:
        moment = 1150.0
        for _ in range(_FILES):
            moment += self._rng.expovariate(1 / 9)
            request = object_request(self._rng, PRODUCTION) | {
                "bucketName": _LOOT,
                "Host": f"{_LOOT}.s3.eu-central-1.amazonaws.com",
                "key": f"eu/passengers/part-{letters(self._rng, 8)}.parquet",
            }
            step = self._step(moment, CALLS["GetObject"], request=request, address=_LOADER, agent=_BOTO, error=None)
            record = step[2]
            if "errorCode" in record:
                del record["errorCode"], record["errorMessage"]
            size = self._rng.randrange(18_000_000, 44_000_000)
            record["additionalEventData"]["bytesTransferredOut"] = size
            self._bytes += size
            yield step

    def _mine(self) -> Story:
        items = {"items": [{"imageId": f"ami-{letters(self._rng, 17)}", "minCount": 8, "maxCount": 8}]}
        for number in range(6):
            request = {"instancesSet": items, "instanceType": "p4d.24xlarge", "monitoring": {"enabled": False}}
            yield self._step(3400 + 11 * number, CALLS["RunInstances"], request=request, error=_LIMIT)

    def _contain(self) -> Story:
        """The morning after: the security engineer switches off what was opened."""
        priya = next(person for person in PEOPLE if person.name == "priya.raman")
        name = f"{priya.name}@{DOMAIN}"
        when = self._at(5 * 3600 + 31 * 60)
        caller = self._clerk.identity(priya, SECURITY, when)
        record, session = self._clerk.assume(
            priya, PRODUCTION, when, RESCUE_ROLE, "incident", source_identity=name, identity=caller
        )
        yield PRODUCTION, when, record
        user = {"userName": BACKUP_USER.name}
        back_door = {"userName": _BACK_DOOR}
        steps = (
            ("iam", "UpdateAccessKey", {**user, "accessKeyId": self._stolen["accessKeyId"], "status": "Inactive"}),
            ("iam", "DeleteLoginProfile", back_door),
            ("iam", "DetachUserPolicy", {**back_door, "policyArn": _ADMIN}),
            ("cloudtrail", "StartLogging", {"name": f"arn:aws:cloudtrail:{PRODUCTION.region}:{PRODUCTION.id}:trail/"
                                                    "production-audit"}),
        )  # fmt: skip
        for number, (service, name, request) in enumerate(steps):
            when = self._at(5 * 3600 + 34 * 60 + 95 * number)
            region = "us-east-1" if service == "iam" else ""
            call = Call(service, name, read=False, region=region)
            record = self._clerk.record(call, priya, PRODUCTION, when, request=request, identity=session)
            yield PRODUCTION, when, record


def insight(clerk: Clerk, began: datetime, state: str) -> dict[str, Any]:
    """Return CloudTrail Insights' own remark on the incident: calls refused far above the usual rate.

    Shape: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-insight-details.html
    """
    arn = f"arn:aws:iam::{PRODUCTION.id}:user/{BACKUP_USER.name}"
    usual, now = {"average": 0.0021}, {"average": 0.6}
    context: dict[str, Any] = {"statistics": {"baseline": usual, "insight": now, "baselineDuration": 10080}}
    if state == "End":
        context["statistics"]["insightDuration"] = 2
    context["attributions"] = [
        {"attribute": "userIdentityArn", "insight": [{"value": arn, **now}], "baseline": []},
        {"attribute": "userAgent", "insight": [{"value": _KALI, **now}], "baseline": []},
    ]
    return {
        "eventVersion": "1.09",
        "eventTime": iso(began + timedelta(minutes=56 if state == "Start" else 58)),
        "awsRegion": PRODUCTION.region,
        "eventID": clerk.event_id(),
        "eventType": "AwsCloudTrailInsight",
        "recipientAccountId": PRODUCTION.id,
        "sharedEventID": str(Random(arn).getrandbits(64)),
        "insightDetails": {
            "state": state,
            "eventSource": "ec2.amazonaws.com",
            "eventName": "RunInstances",
            "insightType": "ApiErrorRateInsight",
            "errorCode": _LIMIT[0],
            "insightContext": context,
        },
        "eventCategory": "Insight",
    }
