"""A queue in memory with SQS's semantics: hidden messages, newest handles, redrive, at-least-once delivery."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import quote_plus

from shipper.errors import RetryableError
from shipper.model import S3Object
from shipper.sources.sqs_queue import BATCH, Message, QueueState


@dataclass
class _Kept:
    id: str
    body: str
    sent: float
    visible_at: float = 0.0
    handle: str = ""
    receives: int = 0


@dataclass
class MemoryQueue:
    """Hides what is received until a time on the given clock.

    Attributes:
        most_receives: of its redrive policy; 0 for none.
        dead: what the redrive policy took away.
        failures: raised by the next requests, of any kind.
        silences: raised by the next receipts.
        hidden: (handle, seconds) of each message in a `hide`.
    """

    clock: Callable[[], float]
    name: str = "notifications"
    visibility_seconds: int = 30
    most_receives: int = 0
    dead: list[str] = field(default_factory=list)
    failures: list[RetryableError] = field(default_factory=list)
    silences: list[RetryableError] = field(default_factory=list)
    hidden: list[tuple[str, int]] = field(default_factory=list)
    receives: int = 0
    _kept: dict[str, _Kept] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=count)

    def send(self, body: Any) -> str:
        name = f"m{next(self._numbers)}"
        text = body if isinstance(body, str) else json.dumps(body)
        self._kept[name] = _Kept(name, text, self.clock())
        return name

    def show(self, name: str) -> None:
        """A message becomes visible before its time, as when its receiver is frozen."""
        self._kept[name].visible_at = 0.0

    @property
    def left(self) -> list[str]:
        """Bodies of all messages that are not deleted, hidden ones included."""
        return [kept.body for kept in self._kept.values()]

    def copy(self, clock: Callable[[], float]) -> MemoryQueue:
        """The queue as it would be when everything is visible again."""
        other = MemoryQueue(clock, self.name, self.visibility_seconds, self.most_receives)
        for kept in self._kept.values():
            other._kept[kept.id] = _Kept(kept.id, kept.body, kept.sent)
        return other

    def receive(self, wait_seconds: int, most: int = BATCH) -> list[Message]:
        self._fail()
        if self.silences:
            raise self.silences.pop(0)
        self.receives += 1
        found: list[Message] = []
        for kept in list(self._kept.values()):
            if kept.visible_at > self.clock() or len(found) == most:
                continue
            if self.most_receives and kept.receives >= self.most_receives:
                self.dead.append(self._kept.pop(kept.id).body)
                continue
            kept.receives += 1
            kept.handle = f"{kept.id}-{kept.receives}"
            kept.visible_at = self.clock() + self.visibility_seconds
            found.append(Message(kept.id, kept.handle, kept.body, kept.sent, kept.receives))
        return found

    def delete(self, handles: Sequence[str]) -> list[str]:
        self._fail()
        for handle in handles:
            kept = self._of(handle)
            if kept is not None:
                del self._kept[kept.id]
        return []

    def hide(self, handles: Sequence[str], seconds: int) -> list[str]:
        self._fail()
        lost: list[str] = []
        for handle in handles:
            self.hidden.append((handle, seconds))
            kept = self._of(handle)
            if kept is None or kept.visible_at <= self.clock():
                lost.append(handle)
            else:
                kept.visible_at = self.clock() + seconds
        return lost

    def state(self) -> QueueState:
        self._fail()
        visible = sum(kept.visible_at <= self.clock() for kept in self._kept.values())
        return QueueState(visible, len(self._kept) - visible, 0, self.visibility_seconds, self.most_receives)

    def _of(self, handle: str) -> _Kept | None:
        return next((kept for kept in self._kept.values() if kept.handle == handle), None)

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


def s3_record(item: S3Object, *, event: str = "ObjectCreated:Put") -> dict[str, Any]:
    """One record of S3's own event; the key is encoded as S3 does it."""
    described: dict[str, Any] = {"key": quote_plus(item.key, safe="/"), "size": item.size, "eTag": item.etag}
    if item.version_id:
        described["versionId"] = item.version_id
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-03-10T12:00:00.000Z",
        "eventName": event,
        "s3": {"bucket": {"name": item.bucket, "arn": f"arn:aws:s3:::{item.bucket}"}, "object": described},
    }


def s3_event(*items: S3Object) -> dict[str, Any]:
    """S3's own event of created objects."""
    return {"Records": [s3_record(item) for item in items]}


def sns(body: Any) -> dict[str, Any]:
    """SNS's envelope around a message."""
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:us-east-1:111122223333:logs",
        "Subject": "Amazon S3 Notification",
        "Message": body if isinstance(body, str) else json.dumps(body),
        "Timestamp": "2026-03-10T12:00:00.000Z",
    }


def bridge_event(item: S3Object, **changes: Any) -> dict[str, Any]:
    """EventBridge's event of a created object; its key is not encoded."""
    described: dict[str, Any] = {"key": item.key, "size": item.size, "etag": item.etag, "sequencer": "617f08299329d189"}
    if item.version_id:
        described["version-id"] = item.version_id
    event = {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2026-03-10T12:00:00Z",
        "region": "ca-central-1",
        "resources": [f"arn:aws:s3:::{item.bucket}"],
        "detail": {"version": "0", "bucket": {"name": item.bucket}, "object": described, "reason": "PutObject"},
    }
    return {name: value for name, value in {**event, **changes}.items() if value is not None}
