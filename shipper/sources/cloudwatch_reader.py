"""Reads a window of a log group page by page. Read `_records` first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import structlog

from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.model import (
    Events,
    LogEvent,
    LogStream,
    Origin,
    ReadLimits,
    Record,
    Rejected,
    Split,
    WindowSplit,
    event_position,
    hash64,
)
from shipper.sources.cloudwatch_calls import Calls, TokenRefusedError
from shipper.sources.cloudwatch_windows import MINUTE_MS, as_window, unpack_seen

MOST_PAGES = 8
_KEPT_BYTES = 4096
_MOST_RESTARTS = 5

log = structlog.get_logger(__name__)


class CloudWatchReader:
    """Implements `ports.Reader` for windows of log groups; safe to use from many threads.

    Memory holds one page, and 8 bytes of each event of a window. A window of more than `most_pages` is read as far as
    that; the receipt says how far.

    Args:
        stream_prefix: only log streams whose names begin so.
        by_arn: name groups by ARN, as those of other accounts must be.
        limits: a longer message is a dead letter.
    """

    def __init__(
        self,
        calls: Calls,
        *,
        metrics: Metrics,
        stream_prefix: str = "",
        by_arn: bool = False,
        limits: ReadLimits | None = None,
        most_pages: int = MOST_PAGES,
    ) -> None:
        self._calls = calls
        self._metrics = metrics
        self._extra = {"logStreamNamePrefix": stream_prefix} if stream_prefix else {}
        self._by_arn = by_arn
        self._limits = limits or ReadLimits()
        self._most_pages = most_pages

    def open(self, split: Split) -> Iterator[Events]:
        """See ports.Reader."""
        window = as_window(split)
        events = Events(Origin(window.scope, account=window.account, region=window.region), iter(()))
        events.records = self._records(window, events)
        yield events

    def _records(self, split: WindowSplit, events: Events) -> Iterator[Record | Rejected]:
        """Yield what is new in the window, and note how far it was read.

        Events come in the order of their time, so a reader that ends within the window has read all that was before the
        last event's time; of that time itself some may be left.
        """
        seen = unpack_seen(split.seen)
        streams: dict[str, LogStream] = {}
        newest = split.first_ms
        late = again = pages = 0
        lateness = self._metrics.event_lateness.labels(split.source)
        for page in self._pages(split):
            pages += bool(page)
            ordered = True
            for item in page:
                time_ms, name = item["timestamp"], item["logStreamName"]
                ordered = ordered and time_ms >= newest
                newest = max(newest, time_ms)
                key = hash64(name, item["eventId"])
                if key in seen:
                    again += 1
                    continue
                seen.add(key)
                stream = streams.get(name)
                if stream is None:
                    stream = streams[name] = LogStream(split.account, split.region, split.group, name)
                late += time_ms < split.oldest * 1000
                lateness.observe(max(item.get("ingestionTime", 0) - time_ms, 0) / 1000)
                yield self._record(item, key, stream, events, split.layout)
            if pages >= self._most_pages and newest > split.first_ms and ordered:
                events.reached_ms = newest
                break
        self._metrics.late_events_recovered.labels(split.source).inc(late)
        self._metrics.events_reread.labels(split.source).inc(again)

    def _record(
        self, item: dict[str, Any], key: int, stream: LogStream, events: Events, layout: tuple[str, ...] | None
    ) -> Record | Rejected:
        time_ms: int = item["timestamp"]
        raw = item["message"].encode("utf-8", "replace")
        events.done.append((time_ms // MINUTE_MS, key))
        events.bytes_in += len(raw)
        position = event_position(key)
        if len(raw) > self._limits.record_bytes:
            return Rejected(raw[:_KEPT_BYTES], position, f"longer than {self._limits.record_bytes} bytes", time_ms)
        return Record(raw, position, layout, LogEvent(item["eventId"], time_ms, stream, item.get("ingestionTime")))

    def _pages(self, split: WindowSplit) -> Iterator[list[dict[str, Any]]]:
        """Yield the window's pages; one whose token is refused or comes again is read from its beginning.

        An empty page is not the end: only the absence of a token is.
        """
        restarts = 0
        token: str | None = None
        while True:
            try:
                answer = self._calls.filter(
                    split.region, **self._query(split), **({"nextToken": token} if token else {})
                )
            except TokenRefusedError as error:
                restarts = _restarted(restarts, str(error))
                token = None
                continue
            yield answer.get("events", [])
            following = answer.get("nextToken")
            if not following:
                return
            if following == token:
                restarts = _restarted(restarts, "the same token came again")
                following = None
            token = following

    def _query(self, split: WindowSplit) -> dict[str, Any]:
        name = {"logGroupIdentifier": split.scope} if self._by_arn else {"logGroupName": split.group}
        return {**name, **self._extra, "startTime": split.first_ms, "endTime": split.last_ms}


def _restarted(restarts: int, why: str) -> int:
    log.debug("a window is read from its beginning again", why=why)
    if restarts == _MOST_RESTARTS:
        raise RetryableError(f"a window was begun {restarts + 1} times: {why}")
    return restarts + 1
