"""Sorts what a queue's message says into what is to be shipped, what is left out and why, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from shipper.model import DeadLetter, Origin, S3Object
from shipper.sources.s3_allowed import Allowed
from shipper.sources.s3_keys import account_and_region
from shipper.sources.sqs_messages import Notice
from shipper.sources.sqs_queue import Message

# Why nothing is shipped for a message with several objects: what its operator has to know before the others.
_BY_WEIGHT = ("unrecognised", "other_logs", "test_file", "digest", "duplicate")
NO_LOG_TYPE = "no_log_type"
"""The reason of dead letters of objects whose log type nothing tells."""


@dataclass(slots=True)
class Sorted:
    """A message's objects.

    Attributes:
        to_ship: with their log types.
        left_out: with the reason, as `Allowed.logs_of` has it, or "duplicate" for what has been settled before.
        faults: what is wrong with the message, in words.
    """

    to_ship: list[tuple[str, S3Object]] = field(default_factory=list)
    left_out: list[tuple[str, S3Object]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def outside(self) -> list[S3Object]:
        """Objects that become dead letters, because nothing tells their log type."""
        return [item for reason, item in self.left_out if reason == "outside"]

    def outcome(self) -> tuple[str, str]:
        """Return what becomes of a message that nothing is to be shipped for, and an example of why."""
        if self.faults:
            return "dead_lettered", self.faults[0]
        if outside := self.outside:
            return "dead_lettered", outside[0].uri
        examples = {reason: item.uri for reason, item in reversed(self.left_out)}
        reason = next((reason for reason in _BY_WEIGHT if reason in examples), "ignored")
        return reason, examples.get(reason, "")


def sort(notice: Notice, allowed: Allowed, is_done: Callable[[int], bool]) -> Sorted:
    """Sort a message's objects.

    Args:
        is_done: whether the object of a hash has been settled.
    """
    found = Sorted(faults=list(notice.faults))
    for item in notice.objects:
        if not allowed.covers(item):
            found.faults.append(f"s3://{item.bucket}/{item.key} is not in the allowed buckets")
        elif is_done(item.hash):
            found.left_out.append(("duplicate", item))
        else:
            logs, reason = allowed.logs_of(item)
            if logs is None:
                found.left_out.append((reason, item))
            else:
                found.to_ship.append((logs, item))
    return found


def letter_of_message(source: str, queue: str, message: Message, faults: Sequence[str], now: float) -> DeadLetter:
    """Return the dead letter of a message that says nothing usable, or nothing allowed."""
    return DeadLetter(
        source=source,
        sink="",
        split_id=message.id,
        logs="",
        origin=Origin(f"sqs://{queue}/{message.id}"),
        position=None,
        reason="bucket_not_allowed" if all(fault.startswith("s3://") for fault in faults) else "unusable_message",
        answer="; ".join(faults),
        payload=message.body.encode("utf-8", "surrogatepass"),
        time=now,
    )


def letter_of_object(source: str, message: Message, item: S3Object, now: float) -> DeadLetter:
    """Return the dead letter of an object whose log type nothing tells."""
    return DeadLetter(
        source=source,
        sink="",
        split_id=message.id,
        logs="",
        origin=Origin(item.uri, item.bucket, item.key, *account_and_region(item.key)),
        position=None,
        reason=NO_LOG_TYPE,
        answer=f"{item.key} is in none of AWS's folders, so that `logs: auto` cannot tell its log type:"
        " name it with logs_fallback, or with logs",
        time=now,
    )
