"""CloudWatch Logs in memory, with the semantics that make readers lose data: what AWS documents, and what it does.

Sources: the API's own texts in botocore (order, inclusive endTime, page limits, empty and partial pages, token life),
and for the 5 calls a second https://repost.aws/knowledge-center/cloudwatch-logs-throttling. Served over HTTP by
`tests.fakes.cloudwatch_server`; `tests.fakes.cloudwatch_client` answers in the same process and in simulated time.
"""

from __future__ import annotations

import itertools
import re
import threading
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

Fault = Literal["throttle", "unavailable", "unavailable-midway", "expired", "repeat", "reset"]
_MIDWAY: set[Fault] = {"expired", "repeat", "unavailable-midway"}
Order = tuple[int, int, int, int]
"""Timestamp, ingestion time, PutLogEvents request, place in it: FilterLogEvents' documented order."""

ACCOUNT = "111111111111"
REGION = "us-east-1"
_GROUP_NAME = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")
EVENT_OVERHEAD_BYTES = 26
"""What PutLogEvents counts for each event beside its message."""


class ApiError(Exception):
    """An answer of AWS that is an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `visible_ms` is when FilterLogEvents begins to return it."""

    id: str
    stream: str
    time_ms: int
    ingested_ms: int
    visible_ms: int
    message: str


@dataclass(slots=True)
class Group:
    """A log group; `denied` and `deleted` may be set at any time, and `stored_bytes`, else what its events hold.

    Attributes:
        subscriptions: the patterns of the filters that subscribe to it.
    """

    name: str
    account: str
    region: str
    log_class: str
    tags: dict[str, str]
    created_ms: int
    denied: bool = False
    deleted: bool = False
    retention_days: int | None = None
    stored_bytes: int | None = None
    subscriptions: list[str] = field(default_factory=list)
    events: list[tuple[Order, Event]] = field(default_factory=list)

    @property
    def arn(self) -> str:
        return f"arn:aws:logs:{self.region}:{self.account}:log-group:{self.name}"


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came."""

    operation: str
    account: str
    region: str
    parameters: dict[str, Any]
    time: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Token:
    query: tuple[tuple[str, Any], ...]
    after: Order
    issued: float
    empty_pages: int


class CloudWatchLogs:
    """All accounts and regions. Safe to use from many threads.

    Args:
        clock: AWS's own time, which stands in each answer's Date header, in seconds since the epoch.

    Attributes:
        calls_per_second: of FilterLogEvents for each account and region; None for no limit. AWS has 5.
        page_events, page_bytes: most of a page.
        empty_pages: how many pages without events, but with a token, come before each page.
        throttle_share: how many calls of FilterLogEvents are throttled at random.
        links: accounts that a monitoring account sees.
        faults: for the next calls of FilterLogEvents on a group (by name), in order.
        refusals: how many of the next calls of DescribeLogGroups are denied.
    """

    def __init__(self, clock: Callable[[], float], seed: int = 0) -> None:
        self.clock = clock
        self.calls_per_second: float | None = None
        self.page_events = 10_000
        self.page_bytes = 1_048_576
        self.empty_pages = 0
        self.token_seconds = 86_400.0
        self.throttle_share = 0.0
        self.links: dict[str, set[str]] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.refusals = 0
        self.calls: list[Call] = []
        self._chance = Random(seed)
        self._groups: dict[str, Group] = {}
        self._tokens: dict[str, _Token] = {}
        self._recent: dict[tuple[str, str], deque[float]] = {}
        self._numbers = itertools.count(1)
        self._in_stream: dict[tuple[str, str, int], int] = {}
        self._mutex = threading.RLock()

    def group(
        self,
        name: str,
        *,
        account: str = ACCOUNT,
        region: str = REGION,
        log_class: str = "STANDARD",
        tags: dict[str, str] | None = None,
        created: float | None = None,
    ) -> Group:
        """Create a log group."""
        made = self.clock() if created is None else created
        group = Group(name, account, region, log_class, tags or {}, int(made * 1000))
        with self._mutex:
            self._groups[group.arn] = group
        return group

    def put(self, group: Group, stream: str, *events: tuple[int, str], visible_ms: int | None = None) -> list[Event]:
        """Store (timestamp in ms, message) pairs as one PutLogEvents request.

        Ids are AWS's 56 digits; they are unique in their stream only, so that a reader that forgets the stream is found
        out.

        Args:
            visible_ms: when FilterLogEvents begins to return them; now where not given.
        """
        now_ms = int(self.clock() * 1000)
        seen_from = now_ms if visible_ms is None else visible_ms
        stored = []
        with self._mutex:
            request = next(self._numbers)
            for place, (time_ms, message) in enumerate(events):
                key = (group.arn, stream, time_ms)
                number = self._in_stream[key] = self._in_stream.get(key, -1) + 1
                identity = f"{(time_ms << 144) | number:056d}"
                event = Event(identity, stream, time_ms, seen_from, seen_from, message)
                insort(group.events, ((time_ms, seen_from, request, place), event))
                stored.append(event)
        return stored

    def call(self, operation: str, parameters: dict[str, Any], *, account: str, region: str) -> dict[str, Any]:
        """Answer one request.

        Raises:
            ApiError: AWS's refusal.
            ConnectionError: the connection breaks instead of an answer.
        """
        with self._mutex:
            try:
                answer = self._answer(operation, parameters, account, region)
            except ApiError as error:
                self.calls.append(Call(operation, account, region, parameters, self.clock(), error.code))
                raise
            self.calls.append(Call(operation, account, region, parameters, self.clock()))
            return answer

    def count(self, operation: str = "FilterLogEvents", error: str | None = None) -> int:
        """How many calls came; those that were answered so where `error` is given."""
        return sum(c.operation == operation and error in (None, c.error) for c in self.calls)

    def _answer(self, operation: str, parameters: dict[str, Any], account: str, region: str) -> dict[str, Any]:
        if operation == "FilterLogEvents":
            return self._filter(parameters, account, region)
        if operation == "DescribeLogGroups":
            return self._describe(parameters, account, region)
        if operation == "ListTagsForResource":
            return {"tags": dict(self._find(parameters["resourceArn"], account, region).tags)}
        if operation == "DescribeSubscriptionFilters":
            return self._subscriptions(parameters, account, region)
        raise ApiError(400, "UnknownOperationException", operation)

    def _subscriptions(self, given: dict[str, Any], account: str, region: str) -> dict[str, Any]:
        """Of a group of the own account, by its name: this call takes no ARN."""
        name = given.get("logGroupName", "")
        if given.keys() != {"logGroupName"} or not _GROUP_NAME.fullmatch(name):
            raise ApiError(400, "InvalidParameterException", f"unexpected or missing parameters: {sorted(given)}")
        group = self._find(name, account, region)
        filters = [
            {"filterName": f"filter-{number}", "logGroupName": name, "filterPattern": pattern}
            for number, pattern in enumerate(group.subscriptions)
        ]
        return {"subscriptionFilters": filters}

    def _filter(self, given: dict[str, Any], account: str, region: str) -> dict[str, Any]:
        self._throttle(account, region)
        known = {"logGroupName", "logGroupIdentifier", "logStreamNamePrefix", "startTime", "endTime", "limit"}
        unknown = given.keys() - known - {"nextToken"}
        if unknown or ("logGroupName" in given) == ("logGroupIdentifier" in given):
            raise ApiError(400, "InvalidParameterException", f"unexpected or missing parameters: {sorted(given)}")
        group = self._find(given.get("logGroupIdentifier") or given["logGroupName"], account, region)
        fault = self._fault(group, midway="nextToken" in given)
        if group.log_class != "STANDARD":
            message = f"Operation is not supported for log group class {group.log_class}"
            raise ApiError(400, "InvalidOperationException", message)
        first, last = given.get("startTime", 0), given.get("endTime", 2**62)
        if first > last or first < 0:
            raise ApiError(400, "InvalidParameterException", "End time should be after start time")
        query = tuple(sorted((name, value) for name, value in given.items() if name != "nextToken"))
        token = self._token(given.get("nextToken"), query, expired=fault == "expired")
        if fault == "repeat":
            return {"events": [], "nextToken": given["nextToken"], "searchedLogStreams": []}
        return self._page(group, given, query, token)

    def _page(self, group: Group, given: dict[str, Any], query: Any, token: _Token | None) -> dict[str, Any]:
        after = token.after if token else (given.get("startTime", 0), -1, -1, -1)
        if (token.empty_pages if token else self.empty_pages) > 0:
            left = (token.empty_pages if token else self.empty_pages) - 1
            return {"events": [], "nextToken": self._issue(query, after, left), "searchedLogStreams": []}
        now_ms = int(self.clock() * 1000)
        most = min(given.get("limit", 10_000), self.page_events)
        page: list[dict[str, Any]] = []
        size = 0
        more = False
        for place in range(bisect_left(group.events, (after,)), len(group.events)):
            order, event = group.events[place]
            if event.time_ms > given.get("endTime", 2**62):  # inclusive: a later time is not returned
                break
            prefix = given.get("logStreamNamePrefix", "")
            if order == after or event.visible_ms > now_ms or not event.stream.startswith(prefix):
                continue
            weight = len(event.message.encode()) + EVENT_OVERHEAD_BYTES
            if page and (len(page) >= most or size + weight > self.page_bytes):
                more = True
                break
            size += weight
            after = order
            page.append(_shown(event))
        # A full page has a token though nothing may follow: only its absence is the end.
        end = not more and len(page) < most
        answer: dict[str, Any] = {"events": page, "searchedLogStreams": []}
        return answer if end else answer | {"nextToken": self._issue(query, after, self.empty_pages)}

    def _issue(self, query: Any, after: Order, empty_pages: int) -> str:
        name = f"Bxkq6k{self._chance.getrandbits(160):040x}/{len(self._tokens)}"
        self._tokens[name] = _Token(query, after, self.clock(), empty_pages)
        return name

    def _token(self, name: str | None, query: Any, *, expired: bool) -> _Token | None:
        if name is None:
            return None
        token = self._tokens.get(name)
        if token is None or token.query != query or expired or self.clock() - token.issued > self.token_seconds:
            raise ApiError(400, "InvalidParameterException", "The specified nextToken is invalid.")
        return token

    def _throttle(self, account: str, region: str) -> None:
        now = self.clock()
        recent = self._recent.setdefault((account, region), deque())
        while recent and recent[0] <= now - 1:
            recent.popleft()
        over = self.calls_per_second is not None and len(recent) >= self.calls_per_second
        if over or self._chance.random() < self.throttle_share:
            raise ApiError(400, "ThrottlingException", "Rate exceeded")
        recent.append(now)

    def _fault(self, group: Group, *, midway: bool) -> Fault | None:
        waiting = self.faults.get(group.name, [])
        if not waiting or (waiting[0] in _MIDWAY and not midway):
            return None
        fault = waiting.pop(0)
        if fault == "throttle":
            raise ApiError(400, "ThrottlingException", "Rate exceeded")
        if fault in ("unavailable", "unavailable-midway"):
            raise ApiError(503, "ServiceUnavailableException", "The service cannot complete the request.")
        if fault == "reset":
            raise ConnectionError("reset")
        return fault

    def _find(self, name: str, account: str, region: str) -> Group:
        arn = name if name.startswith("arn:") else f"arn:aws:logs:{region}:{account}:log-group:{name}"
        if arn.endswith("*"):
            raise ApiError(400, "InvalidParameterException", "The ARN must not end with an asterisk")
        group = self._groups.get(arn)
        if group is not None and group.account not in {account, *self.links.get(account, ())}:
            raise ApiError(400, "AccessDeniedException", f"not authorized to perform: logs:FilterLogEvents on {arn}")
        if group is None or group.deleted or group.region != region:
            raise ApiError(400, "ResourceNotFoundException", "The specified log group does not exist.")
        if group.denied:
            raise ApiError(400, "AccessDeniedException", f"not authorized to perform: logs:FilterLogEvents on {arn}")
        return group

    def _describe(self, given: dict[str, Any], account: str, region: str) -> dict[str, Any]:
        if self.refusals:
            self.refusals -= 1
            raise ApiError(400, "AccessDeniedException", "not authorized to perform: logs:DescribeLogGroups")
        known = {"logGroupNamePrefix", "logGroupNamePattern", "includeLinkedAccounts", "accountIdentifiers"}
        unknown = given.keys() - known - {"limit", "nextToken", "logGroupClass"}
        if unknown or ("logGroupNamePrefix" in given and "logGroupNamePattern" in given):
            raise ApiError(400, "InvalidParameterException", f"unexpected parameters: {sorted(given)}")
        if not 1 <= given.get("limit", 50) <= 50 or len(given.get("accountIdentifiers", ())) > 20:
            raise ApiError(400, "InvalidParameterException", "1 validation error detected")
        accounts = {account}
        if given.get("includeLinkedAccounts"):
            accounts |= self.links.get(account, set())
            accounts &= set(given.get("accountIdentifiers") or accounts)
        wanted = given.get("logGroupClass")
        found = [
            group
            for _, group in sorted(self._groups.items(), key=lambda item: (item[1].name, item[0]))
            if group.region == region and group.account in accounts and not group.deleted
            if group.name.startswith(given.get("logGroupNamePrefix", ""))
            if given.get("logGroupNamePattern", "") in group.name and wanted in (None, group.log_class)
        ]
        first = int(given.get("nextToken", "0"))
        last = first + given.get("limit", 50)
        brief = "logGroupNamePattern" in given  # then only arn, creationTime and logGroupName are returned
        answer: dict[str, Any] = {"logGroups": [_described(group, brief=brief) for group in found[first:last]]}
        return answer | {"nextToken": str(last)} if last < len(found) else answer


def _shown(event: Event) -> dict[str, Any]:
    return {
        "logStreamName": event.stream,
        "timestamp": event.time_ms,
        "message": event.message,
        "ingestionTime": event.ingested_ms,
        "eventId": event.id,
    }


def _described(group: Group, *, brief: bool) -> dict[str, Any]:
    shown = {"logGroupName": group.name, "arn": f"{group.arn}:*", "creationTime": group.created_ms}
    if brief:
        return shown
    held = sum(len(event.message) + EVENT_OVERHEAD_BYTES for _, event in group.events)
    stored = held if group.stored_bytes is None else group.stored_bytes
    more = {"logGroupArn": group.arn, "logGroupClass": group.log_class, "storedBytes": stored, "metricFilterCount": 0}
    return shown | more | ({"retentionInDays": group.retention_days} if group.retention_days else {})
