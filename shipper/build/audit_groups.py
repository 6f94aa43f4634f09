"""The hours of log groups that a state knows all delivered events of."""

from __future__ import annotations

from collections.abc import Iterator

from shipper.audit.groups import Span, spans
from shipper.checkpoints.sqlite import SqliteCheckpoints
from shipper.model import WindowSplit
from shipper.sources.cloudwatch_groups import READABLE_CLASS, LogGroup
from shipper.sources.cloudwatch_logs import LogTypeOf
from shipper.sources.cloudwatch_windows import MINUTE_MS


def known_spans(
    source: str, store: SqliteCheckpoints, log_type_of: LogTypeOf, *, since: float, until: float
) -> Iterator[Span]:
    """Yield the hours of all groups of a source.

    Args:
        since, until: of the events' times, seconds since the epoch.
    """
    for scope, cursor in sorted(store.cursors(source).items()):
        parts = scope.split(":", 6)
        if len(parts) != 7 or "open" not in cursor:
            continue  # the source as a whole, or a group that was never read to the end
        first = max(int(cursor["open"] // 60), int(-(-since // 60)))
        last = int(until // 60)
        done = store.done(source, scope, first, last)
        if not done:
            continue
        region, account, name = parts[3], parts[4], parts[6]
        logs, layout = log_type_of(LogGroup(scope, account, region, name, READABLE_CLASS, 0.0))
        whole = WindowSplit(
            id=f"audit-{scope}",
            source=source,
            scope=scope,
            logs=logs,
            account=account,
            region=region,
            group=name,
            first_ms=first * MINUTE_MS,
            last_ms=last * MINUTE_MS - 1,
            layout=layout,
        )
        yield from spans(whole, done)
