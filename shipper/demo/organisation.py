"""The demo's organisation at work: two days of CloudTrail objects under their keys, the same for the same seed."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import orjson

from shipper.demo.calls import CALLS
from shipper.demo.cast import (
    ACCOUNTS,
    ACTORS,
    DEPLOY_ROLE,
    DOMAIN,
    MANAGEMENT,
    ORGANISATION,
    PEOPLE,
    PRODUCTION,
    TRAIL_BUCKET,
    Account,
    Actor,
)
from shipper.demo.clerk import Clerk
from shipper.demo.incident import Incident, Intrusion, insight
from shipper.demo.sessions import iso

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
# The hours' weights, UTC: an office day, machines that never sleep (but have fewer customers at night), a night job.
_HOURS = {
    "office": (0, 0, 0, 0, 0, 1, 4, 12, 20, 22, 20, 12, 14, 22, 22, 18, 12, 6, 3, 2, 1, 1, 0, 0),
    "always": (5, 4, 3, 3, 3, 4, 6, 8, 10, 11, 11, 11, 12, 11, 10, 10, 10, 11, 12, 12, 11, 10, 8, 6),
    "nightly": (20, 40, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 10),
}
_WEEKEND = 0.15
# CloudTrail writes about every five minutes; an hour keeps the demo's objects few.
_DELIVERY = timedelta(hours=1)
_LATE_IN_A_THOUSAND = 15


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of the bucket.

    Attributes:
        last_modified: when CloudTrail delivered it.
        records: how many it holds; 0 for digest files.
    """

    key: str
    last_modified: datetime
    body: bytes
    records: int


class Organisation:
    """Lanternfish, a travel agency with four AWS accounts and one organisation trail.

    Args:
        seed: the same seed and time make the same bytes.
        now: the newest event's time, with a time zone.
        days: how far back the logs go; at least 2, so that the incident is among them.
        events: about how many records.
    """

    def __init__(self, seed: int, now: datetime, *, days: int = 2, events: int = 9000) -> None:
        if days < 2:
            raise ValueError("the incident needs at least 2 days")
        self.bucket = TRAIL_BUCKET
        self._rng = Random(seed)
        self._now = now.astimezone(UTC).replace(microsecond=0)
        self._days = days
        self._events = events
        self._clerk = Clerk(self._rng)
        story, self.incident = Intrusion(self._rng, self._clerk, self._now).records()
        self._story = [step for step in story if step[1] <= self._now]

    def objects(self) -> Iterator[StoredObject]:
        """Yield all objects, oldest delivery first: log files, then insights and digests."""
        deliveries: dict[tuple[datetime, str, str], list[dict[str, Any]]] = {}
        story = {record["eventID"] for _, _, record in self._story}
        for account, when, record in self._everything():
            late = self._rng.randrange(1000) < _LATE_IN_A_THOUSAND and record["eventID"] not in story
            delay = _DELIVERY * (1 + late * 3)
            at = _floor(when) + delay
            if at <= self._now + _DELIVERY:
                deliveries.setdefault((at, account.id, record["awsRegion"]), []).append(record)
        stored = [self._log_file(*place, records) for place, records in sorted(deliveries.items(), key=_place)]
        yield from stored
        yield from self._insights()
        yield from self._digests(stored)

    def _everything(self) -> list[tuple[Account, datetime, dict[str, Any]]]:
        events = [*self._everyday(), *self._sign_ins(), *self._releases(), *self._strangers(), *self._story]
        events += [opened for opened in self._clerk.opened if opened[1] >= self._now - timedelta(days=self._days)]
        events.sort(key=lambda event: event[1])
        return events

    def _everyday(self) -> Iterator[tuple[Account, datetime, dict[str, Any]]]:
        """What everyone does, in order of time: a session begins with the first of its calls."""
        work = [(when, number, actor) for number, actor in enumerate(ACTORS) for when in self._times(actor)]
        for when, _, actor in sorted(work, key=lambda one: one[:2]):
            account = actor.accounts[0] if self._rng.random() < 0.7 else self._rng.choice(actor.accounts)
            call = CALLS[self._rng.choices(list(actor.calls), list(actor.calls.values()))[0]]
            yield account, when, self._clerk.record(call, actor, account, when)

    def _times(self, actor: Actor) -> Iterator[datetime]:
        """When an actor calls, as often as its share says."""
        shares = sum(one.share for one in ACTORS)
        first = self._now - timedelta(days=self._days)
        hours = [first + timedelta(hours=n) for n in range(self._days * 24)]
        weights = [_weight(actor.hours, hour) + 1e-9 for hour in hours]
        for hour in self._rng.choices(hours, weights, k=round(self._events * actor.share / shares)):
            yield hour + timedelta(seconds=self._rng.randrange(3600))

    def _releases(self) -> Iterator[tuple[Account, datetime, dict[str, Any]]]:
        """Every working day the platform's engineer releases, in the role that may, under her own name."""
        ines = next(person for person in PEOPLE if person.name == "ines.duarte")
        for day in range(self._days + 1):
            when = (self._now - timedelta(days=day)).replace(hour=9, minute=40, second=11)
            if when.weekday() > 4 or not self._now - timedelta(days=self._days) < when < self._now - timedelta(hours=1):
                continue
            caller = self._clerk.identity(ines, PRODUCTION, when)
            name = f"{ines.name}@{DOMAIN}"
            record, session = self._clerk.assume(
                ines, PRODUCTION, when, DEPLOY_ROLE, "release", source_identity=name, identity=caller
            )
            yield PRODUCTION, when, record
            for step, call in enumerate(
                ("GetAuthorizationToken", "PutImage", "UpdateFunctionCode", "UpdateService") * 3
            ):
                at = when + timedelta(seconds=70 * (step + 1))
                yield PRODUCTION, at, self._clerk.record(CALLS[call], ines, PRODUCTION, at, identity=session)

    def _sign_ins(self) -> Iterator[tuple[Account, datetime, dict[str, Any]]]:
        """Every person signs in each working day."""
        for person in PEOPLE:
            for day in range(self._days + 1):
                midnight = (self._now - timedelta(days=day)).replace(hour=0, minute=0, second=0)
                when = midnight + timedelta(hours=7, minutes=self._rng.randrange(20, 140))
                if when.weekday() < 5 and self._now - timedelta(days=self._days) < when < self._now:
                    account = person.accounts[0]
                    identity = self._clerk.identity(person, account, when)
                    agent = person.agent if "Mozilla" in person.agent else PEOPLE[2].agent
                    yield account, when, self._clerk.sign_in(account, identity, when, person.addresses[0], agent)

    def _strangers(self) -> Iterator[tuple[Account, datetime, dict[str, Any]]]:
        """Someone tries passwords for the root user, and gets nowhere."""
        agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/124.0.0.0 Safari/537.36"
        identity = {"type": "Root", "principalId": MANAGEMENT.id, "arn": f"arn:aws:iam::{MANAGEMENT.id}:root",
                    "accountId": MANAGEMENT.id, "accessKeyId": ""}  # fmt: skip
        for _ in range(23):
            when = self._now - timedelta(seconds=self._rng.randrange(3600, self._days * 86_400))
            address = f"203.0.113.{self._rng.randrange(130, 190)}"
            yield MANAGEMENT, when, self._clerk.failed_sign_in(MANAGEMENT, identity, when, address, agent)

    def _log_file(self, at: datetime, account: str, region: str, records: list[dict[str, Any]]) -> StoredObject:
        name = f"{account}_CloudTrail_{region}_{at:%Y%m%dT%H%MZ}_{self._unique()}.json.gz"
        return self._stored(f"{account}/CloudTrail/{region}/{at:%Y/%m/%d}/{name}", at, {"Records": records})

    def _insights(self) -> Iterator[StoredObject]:
        account, region = PRODUCTION.id, PRODUCTION.region
        for state in ("Start", "End"):
            record = insight(self._clerk, self.incident.began, state)
            at = _floor(datetime.fromisoformat(record["eventTime"])) + 2 * _DELIVERY
            name = f"{account}_CloudTrail-Insight_{region}_{at:%Y%m%dT%H%MZ}_{self._unique()}.json.gz"
            folder = f"{account}/CloudTrail-Insight/{region}/{at:%Y/%m/%d}"
            yield self._stored(f"{folder}/{name}", at, {"Records": [record]})

    def _digests(self, stored: list[StoredObject]) -> Iterator[StoredObject]:
        """The last three hours' digest files of one account and region.

        https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html
        """
        account, region = PRODUCTION.id, PRODUCTION.region
        for hour in range(3):
            end = self._now.replace(minute=31, second=31) - timedelta(hours=hour + 1)
            start = end - timedelta(hours=1)
            files = [
                o for o in stored if f"/{account}/CloudTrail/{region}/" in o.key and start < o.last_modified <= end
            ]
            name = f"{account}_CloudTrail-Digest_{region}_lanternfish-org_us-east-1_{end:%Y%m%dT%H%M%SZ}.json.gz"
            yield self._stored(
                f"{account}/CloudTrail-Digest/{region}/{end:%Y/%m/%d}/{name}", end, self._digest(files, start, end)
            )

    def _digest(self, files: list[StoredObject], start: datetime, end: datetime) -> dict[str, Any]:
        return {
            "awsAccountId": PRODUCTION.id,
            "digestStartTime": iso(start),
            "digestEndTime": iso(end),
            "digestS3Bucket": self.bucket,
            "digestSignatureAlgorithm": "SHA256withRSA",
            "logFiles": [
                {
                    "s3Bucket": self.bucket,
                    "s3Object": file.key,
                    "hashValue": hashlib.sha256(gzip.decompress(file.body)).hexdigest(),
                    "hashAlgorithm": "SHA-256",
                }
                for file in files
            ],
        }

    def _stored(self, path: str, at: datetime, content: dict[str, Any]) -> StoredObject:
        # CloudTrail stores a file a few minutes before or after the time in its name.
        delivered = min(at + timedelta(seconds=self._rng.randrange(-120, 240)), self._now)
        body = gzip.compress(orjson.dumps(content), 6, mtime=0)
        return StoredObject(f"AWSLogs/{ORGANISATION}/{path}", delivered, body, len(content.get("Records", ())))

    def _unique(self) -> str:
        return "".join(self._rng.choices(_ALPHABET, k=16))


def records(count: int, seed: int = 1) -> Iterator[bytes]:
    """Yield single records of everyday work, for benchmarks and tests: about 1.4 kB of JSON each.

    They are of one day, in no order, by everyone in turn as often as in the organisation.
    """
    rng = Random(seed)
    clerk = Clerk(rng)
    start = datetime(2026, 1, 15, tzinfo=UTC)
    shares = [actor.share for actor in ACTORS]
    choices = [(list(actor.calls), list(actor.calls.values())) for actor in ACTORS]
    for number in rng.choices(range(len(ACTORS)), shares, k=count):
        actor = ACTORS[number]
        call = CALLS[rng.choices(*choices[number])[0]]
        when = start + timedelta(seconds=rng.randrange(86_400))
        yield orjson.dumps(clerk.record(call, actor, rng.choice(actor.accounts), when))


def _weight(hours: str, hour: datetime) -> float:
    weight = _HOURS[hours][hour.hour]
    return weight * _WEEKEND if hours == "office" and hour.weekday() > 4 else weight


def _floor(when: datetime) -> datetime:
    return when - (when - datetime.min.replace(tzinfo=UTC)) % _DELIVERY


def _place(item: tuple[tuple[datetime, str, str], Any]) -> tuple[datetime, str, str]:
    return item[0]


__all__ = ["ACCOUNTS", "Incident", "Organisation", "StoredObject", "records"]
