"""Tries a queue with harmless calls and says what is wrong and what to do, for `shipper check`."""

from __future__ import annotations

from collections.abc import Iterator

from shipper.counting import counted
from shipper.errors import RetryableError
from shipper.model import Problem
from shipper.sources.sqs_queue import Queue

_LEAST_SECONDS = 60
_ENOUGH_RECEIVES = 3
_NOBODYS_HANDLE = "shipper-check"


def check_queue(queue: Queue, where: str) -> Iterator[Problem]:
    """Yield what keeps a queue's messages from being used well; raises nothing, and takes no message away.

    Args:
        where: the place in the configuration that the problems are reported for.
    """
    try:
        state = queue.state()
    except RetryableError as error:
        yield Problem(where, f"cannot look at the queue {queue.name}: {error}", _hint(error))
        return
    yield from _check_permissions(queue, state.most_receives, where)
    if not state.redrive:
        yield Problem(
            where,
            f"the queue {queue.name} has no redrive policy: messages that say nothing usable become dead letters here",
            "give the queue a dead-letter queue (RedrivePolicy with maxReceiveCount 10)",
            serious=False,
        )
    if state.visibility_seconds < _LEAST_SECONDS:
        yield Problem(
            where,
            f"messages of {queue.name} are hidden for {counted(state.visibility_seconds, 'second')} only: they are"
            " prolonged in time while a daemon lives, but each prolonging is a request",
            "set the queue's VisibilityTimeout to 300",
            serious=state.visibility_seconds < 2,
        )


def _check_permissions(queue: Queue, most_receives: int, where: str) -> Iterator[Problem]:
    """Reading, hiding and deleting are permissions of their own; no message has the handle that is tried here."""
    try:
        queue.hide([_NOBODYS_HANDLE], 0)
        queue.delete([_NOBODYS_HANDLE])
        # Costs one message one of its receipts, which would be its end where there are few.
        if most_receives == 0 or most_receives >= _ENOUGH_RECEIVES:
            queue.hide([message.handle for message in queue.receive(0, most=1)], 0)
    except RetryableError as error:
        yield Problem(where, f"cannot use the messages of {queue.name}: {error}", _hint(error))


def _hint(error: RetryableError) -> str:
    words = str(error)
    if error.hint:
        return error.hint
    if "NonExistentQueue" in words or "does not exist" in words:
        return "look at queue_url, and at the account and region that are used"
    if error.denied or "AccessDenied" in words:
        return (
            "allow sqs:ReceiveMessage, sqs:DeleteMessage, sqs:ChangeMessageVisibility and sqs:GetQueueAttributes"
            " on the queue"
        )
    return "look at queue_url, and at the account and region that are used"
