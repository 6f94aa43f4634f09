"""One SQS queue as the notifications source sees it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from shipper.aws import AWS_ERRORS, as_retryable

BATCH = 10
"""Most messages of one request (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/)."""

_LOST = frozenset({"ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue"})


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it was received.

    Attributes:
        handle: what this receipt is deleted or extended by; another receipt of the message has another one.
        sent: seconds since the epoch.
        receives: how often the queue has handed it out, this time included.
    """

    id: str
    handle: str
    body: str
    sent: float
    receives: int


@dataclass(frozen=True, slots=True)
class QueueState:
    """What a queue says of itself.

    Attributes:
        waiting, in_flight, delayed: messages, approximately.
        visibility_seconds: for how long a received message is hidden.
        most_receives: after so many receipts a message goes to another queue; 0 where there is no redrive policy.
    """

    waiting: int
    in_flight: int
    delayed: int
    visibility_seconds: int
    most_receives: int

    @property
    def redrive(self) -> bool:
        """Whether a message that is received too often goes to another queue."""
        return self.most_receives > 0


class Queue(Protocol):
    """What the notifications source asks of a queue. Blocks on the network; used by two threads."""

    name: str

    def receive(self, wait_seconds: int, most: int = BATCH) -> list[Message]:
        """Return up to ten messages, waiting for the first of them.

        Raises:
            RetryableError: the queue does not answer, or refuses.
        """
        ...

    def delete(self, handles: Sequence[str]) -> list[str]:
        """Delete messages; return the handles of those that are to be tried again.

        A handle that is no longer valid is none of them: its message comes again under another one.

        Raises:
            RetryableError: nothing is known of any of them.
        """
        ...

    def hide(self, handles: Sequence[str], seconds: int) -> list[str]:
        """Hide messages for so long from now on, 0 to show them at once; return the handles that are lost for good.

        Raises:
            RetryableError: nothing is known of any of them.
        """
        ...

    def state(self) -> QueueState:
        """Return what the queue says of itself.

        Raises:
            RetryableError: as `receive`.
        """
        ...


class SqsQueue:
    """A queue behind a boto3 client.

    Args:
        client: boto3's SQS client, at the endpoint that `endpoint_of` names.
        url: the queue's.
    """

    def __init__(self, client: Any, url: str) -> None:
        self.name = queue_name(url)
        self._client = client
        self._url = url

    def receive(self, wait_seconds: int, most: int = BATCH) -> list[Message]:
        """See Queue."""
        answer = self._call(
            self._client.receive_message,
            MaxNumberOfMessages=most,
            WaitTimeSeconds=wait_seconds,
            AttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
        )
        return [_message(item) for item in answer.get("Messages", ())]

    def delete(self, handles: Sequence[str]) -> list[str]:
        """See Queue."""
        return [handle for handle, lost in self._each(self._client.delete_message_batch, handles) if not lost]

    def hide(self, handles: Sequence[str], seconds: int) -> list[str]:
        """See Queue."""
        failed = self._each(self._client.change_message_visibility_batch, handles, VisibilityTimeout=seconds)
        return [handle for handle, lost in failed if lost]

    def state(self) -> QueueState:
        """See Queue."""
        answer = self._call(self._client.get_queue_attributes, AttributeNames=["All"])
        found: Mapping[str, str] = answer.get("Attributes", {})
        return QueueState(
            waiting=int(found.get("ApproximateNumberOfMessages", 0)),
            in_flight=int(found.get("ApproximateNumberOfMessagesNotVisible", 0)),
            delayed=int(found.get("ApproximateNumberOfMessagesDelayed", 0)),
            visibility_seconds=int(found.get("VisibilityTimeout", 30)),
            most_receives=_most_receives(found.get("RedrivePolicy", "")),
        )

    def _each(
        self, call: Callable[..., dict[str, Any]], handles: Sequence[str], **more: int
    ) -> Iterator[tuple[str, bool]]:
        """Call for ten handles at a time; yield those that failed, and whether they are lost for good."""
        for first in range(0, len(handles), BATCH):
            some = handles[first : first + BATCH]
            entries = [{"Id": str(number), "ReceiptHandle": handle, **more} for number, handle in enumerate(some)]
            for failure in self._call(call, Entries=entries).get("Failed", ()):
                yield some[int(failure["Id"])], failure.get("Code", "").rpartition(".")[2] in _LOST

    def _call(self, call: Callable[..., dict[str, Any]], **arguments: Any) -> dict[str, Any]:
        try:
            return call(QueueUrl=self._url, **arguments)
        except AWS_ERRORS as error:
            raise as_retryable(error) from error


def endpoint_of(url: str) -> tuple[str | None, str | None]:
    """Return the region that a queue's URL names, and the endpoint to be used where it is not AWS's own.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-queue-message-identifiers.html
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        words = host.split(".")
        region = words[1] if words[0] in ("sqs", "sqs-fips") else None
        return region if region != "amazonaws" else None, None
    return None, f"{parts.scheme}://{parts.netloc}"


def queue_name(url: str) -> str:
    """Return the last part of a queue's URL."""
    return urlsplit(url).path.rstrip("/").rpartition("/")[2]


def _most_receives(policy: str) -> int:
    return int(json.loads(policy).get("maxReceiveCount", 10)) if policy else 0


def _message(item: dict[str, Any]) -> Message:
    attributes: Mapping[str, str] = item.get("Attributes", {})
    return Message(
        id=item["MessageId"],
        handle=item["ReceiptHandle"],
        body=item.get("Body", ""),
        sent=int(attributes.get("SentTimestamp", 0)) / 1000,
        receives=int(attributes.get("ApproximateReceiveCount", 1)),
    )
