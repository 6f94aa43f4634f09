"""Calls to CloudWatch Logs: paced by what an account and region may take, timed by AWS's clock, told apart by error.

Read `Calls.filter` first.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import structlog
from botocore.exceptions import ClientError

from shipper.aws import AWS_ERRORS, answered, as_retryable, is_throttling
from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.ports import Clock, Stop
from shipper.sources.aws_clock import AwsClock

GroupTrouble = Literal["denied", "deleted", "refused", "throttled"]
_STATES: dict[str, GroupTrouble] = {
    "AccessDeniedException": "denied",
    "AccessDenied": "denied",
    "ResourceNotFoundException": "deleted",
    "InvalidOperationException": "refused",
}
# Without it a page of a proxy would be a window without events.
_ALWAYS = {
    "FilterLogEvents": ("events",),
    "DescribeLogGroups": ("logGroups",),
    "ListTagsForResource": ("tags",),
    "DescribeSubscriptionFilters": ("subscriptionFilters",),
}
_WAITS: dict[GroupTrouble, float] = {"denied": 60.0, "deleted": 300.0, "refused": 300.0, "throttled": 30.0}
_ATTEMPTS = 5
_LISTING_ATTEMPTS = 2
_LONGEST_WAIT_SECONDS = 8.0

log = structlog.get_logger(__name__)


class GroupError(RetryableError):
    """One log group cannot be read now; the others can.

    Args:
        state: what its kind of trouble is called in metrics.
        hint: what to do, where the trouble is not the group's.
    """

    def __init__(self, message: str, state: GroupTrouble, hint: str = "") -> None:
        denied = state == "denied" and not hint
        super().__init__(message, _WAITS[state], paused=state != "throttled", hint=hint, denied=denied)
        self.state: GroupTrouble = state

    def __reduce__(self) -> tuple[type[GroupError], tuple[str, GroupTrouble, str]]:
        return GroupError, (str(self), self.state, self.hint)


class TokenRefusedError(Exception):
    """The page's token is not taken any more: the window is read from its beginning."""


class Budget:
    """What one account and region may be asked, shared by all its log groups and sources. Used from any thread.

    Args:
        calls_per_second: of FilterLogEvents, at most.
    """

    def __init__(self, calls_per_second: float, monotonic: Clock = time.monotonic) -> None:
        self.calls_per_second = calls_per_second
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._next = 0.0

    def take(self, stop: Stop) -> None:
        """Wait for one's turn.

        Raises:
            Stopped: the grace time is over.
        """
        with self._lock:
            now = self._monotonic()
            turn = max(self._next, now)
            self._next = turn + 1 / self.calls_per_second
        if turn > now:
            stop.wait(turn - now)

    def throttled(self, seconds: float) -> None:
        """AWS refused a call, because others use the quota as well: all wait a little."""
        with self._lock:
            self._next = max(self._next, self._monotonic() + seconds)


class Calls:
    """One source's calls. Used from any thread.

    Args:
        client: boto3's client of CloudWatch Logs for a region, without retries of its own.
        budget: the budget of a region.
        patience_seconds: for how long a call may be throttled before its window is put aside.
    """

    def __init__(
        self,
        source: str,
        *,
        client: Callable[[str], Any],
        budget: Callable[[str], Budget],
        metrics: Metrics,
        stop: Stop,
        clock: AwsClock | None = None,
        patience_seconds: float = 600.0,
        monotonic: Clock = time.monotonic,
    ) -> None:
        self.clock = clock or AwsClock(monotonic)
        self.budget = budget
        self.stop = stop
        self._source = source
        self._client = client
        self._metrics = metrics
        self._patience_seconds = patience_seconds
        self._monotonic = monotonic

    def filter(self, region: str, **parameters: Any) -> dict[str, Any]:
        """Return one page of FilterLogEvents; a throttled or broken call is made again with the same token.

        Raises:
            TokenRefusedError: the token expired or is not known.
            GroupError: the group is denied, deleted, of a class that cannot be read, or throttled for too long.
            RetryableError: AWS does not answer.
            Stopped: the grace time is over.
        """
        began = self._monotonic()
        wait = 0.5
        failures = 0
        while True:
            self.budget(region).take(self.stop)
            try:
                return self._call("FilterLogEvents", region, "filter_log_events", parameters)
            except AWS_ERRORS as error:
                if _code(error) == "InvalidParameterException" and "nextToken" in parameters:
                    raise TokenRefusedError(str(error)) from error
                if is_throttling(error):
                    self._metrics.aws_throttles.labels(self._source).inc()
                    if self._monotonic() - began > self._patience_seconds:
                        raise GroupError(str(error), "throttled") from error
                    self.budget(region).throttled(random.uniform(0.3, 1.0) / self.budget(region).calls_per_second)  # noqa: S311 - jitter
                else:
                    failures += 1
                    meaning = _meaning(error)
                    if isinstance(meaning, GroupError) or meaning.paused or failures == _ATTEMPTS:
                        raise meaning from error
            self.stop.wait(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            wait = min(wait * 2, _LONGEST_WAIT_SECONDS)

    def groups(self, region: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Yield log groups as DescribeLogGroups describes them.

        Raises:
            RetryableError: the listing failed.
        """
        while True:
            answer = self._listing("DescribeLogGroups", region, "describe_log_groups", parameters)
            yield from answer["logGroups"]
            token = answer.get("nextToken")
            if not token:
                return
            parameters = {**parameters, "nextToken": token}

    def tags(self, region: str, arn: str) -> dict[str, str]:
        """Return a log group's tags.

        Raises:
            RetryableError: they cannot be read.
        """
        found = self._listing("ListTagsForResource", region, "list_tags_for_resource", {"resourceArn": arn})["tags"]
        return {str(key): str(value) for key, value in found.items()}

    def patterns(self, region: str, name: str) -> list[str]:
        """Return the patterns of the filters that subscribe to a log group of the own account; there are two at most.

        Raises:
            RetryableError: they cannot be read.
        """
        call = "DescribeSubscriptionFilters"
        answer = self._listing(call, region, "describe_subscription_filters", {"logGroupName": name})
        return [str(one.get("filterPattern", "")) for one in answer["subscriptionFilters"]]

    def _listing(self, operation: str, region: str, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        for attempt in range(_LISTING_ATTEMPTS):
            try:
                return self._call(operation, region, method, parameters)
            except AWS_ERRORS as error:
                meaning = _meaning(error)
                if meaning.paused or attempt == _LISTING_ATTEMPTS - 1:
                    raise RetryableError(
                        str(meaning), paused=meaning.paused, hint=meaning.hint, denied=meaning.denied
                    ) from error
            self.stop.wait(0.5 * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
        raise AssertionError("the last attempt returned or raised")

    def _call(self, operation: str, region: str, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._metrics.aws_calls.labels(self._source, operation).inc()
        try:
            answer: dict[str, Any] = getattr(self._client(region), method)(**parameters)
        except ClientError as error:
            self._learn(error.response)
            raise
        answered(answer, *_ALWAYS[operation])
        self._learn(answer)
        return answer

    def _learn(self, answer: Any) -> None:
        self.clock.saw(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date"))


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def _meaning(error: Exception) -> RetryableError:
    meaning = as_retryable(error)
    state = _STATES.get(_code(error))
    return meaning if state is None else GroupError(str(meaning), state, meaning.hint)
