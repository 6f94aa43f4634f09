"""Tries log groups with harmless calls, and says what reading them will cost, for `shipper check`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shipper.counting import counted
from shipper.errors import RetryableError
from shipper.model import Problem
from shipper.sources.cloudwatch_calls import Calls, GroupError
from shipper.sources.cloudwatch_groups import READABLE_CLASS, Finder, LogGroup, Selection, unmatched
from shipper.sources.cloudwatch_tiers import (
    DAY,
    PAGE_BYTES,
    QUOTA_CALLS_PER_SECOND,
    Tiers,
    amplification,
    calls_a_day,
    late_horizon,
)

_MOST_TRIED = 20
_MOST_SHOWN = 20
_QUOTA_A_DAY = QUOTA_CALLS_PER_SECOND * DAY
_ELSE = "try again; if it stays so, look at the region's state on the AWS Health Dashboard"
_HINTS = {
    "denied": _ELSE,
    "deleted": "it was deleted just now, or its name, region or account is another: look at log_groups",
    "refused": "exclude it: its class or state does not let it be read",
    "throttled": "others use the quota too: set calls_per_second lower, or ask AWS for more",
}
_SUBSCRIPTION = (
    "a subscription filter → Firehose → S3 is the better road for these logs: it has no such quota; let an s3 source"
    " read them"
)


def check_groups(
    source: str, selection: Selection, finder: Finder, calls: Calls, tiers: Tiers, *, stream_prefix: str = ""
) -> Iterator[Problem]:
    """Yield what keeps log groups from being read, and what reading costs; raises nothing."""
    where = f"sources.{source}"
    groups: list[LogGroup] = []
    listed = True
    for region in selection.regions:
        try:
            groups += finder.find(region)
        except RetryableError as error:
            listed = False
            hint = error.hint or (_listing_hint(selection) if error.denied else _ELSE)
            yield Problem(where, f"cannot list the log groups of {region}: {error}", hint)
    if listed:
        for pattern in unmatched(selection, groups):
            hint = "look at the name, regions, accounts, tags and exclude"
            yield Problem(f"{where}.log_groups", f"no log group matches {pattern.text!r}", hint, serious=pattern.exact)
    readable = [group for group in groups if group.log_class == READABLE_CLASS]
    for group in groups:
        if group.log_class != READABLE_CLASS:
            yield Problem(
                f"{where}.log_groups",
                f"log group {group.name!r} has the class {group.log_class}, which FilterLogEvents cannot read",
                "exclude it; a class cannot be changed: have its logs written to a new group of class STANDARD",
            )
    for group in readable[:_MOST_TRIED]:
        yield from _try(where, group, calls, by_arn=selection.foreign, stream_prefix=stream_prefix)
    yield from _forecast(where, readable, tiers, calls)


def _try(where: str, group: LogGroup, calls: Calls, *, by_arn: bool, stream_prefix: str) -> Iterator[Problem]:
    """Ask for one event: listing and reading are different permissions, and KMS has its own."""
    name = {"logGroupIdentifier": group.arn} if by_arn else {"logGroupName": group.name}
    extra = {"logStreamNamePrefix": stream_prefix} if stream_prefix else {}
    now_ms = int(calls.clock.now() * 1000)
    try:
        calls.filter(group.region, **name, **extra, startTime=now_ms - 60_000, endTime=now_ms, limit=1)
    except GroupError as error:
        hint = error.hint or _HINTS[error.state]
        if error.denied:
            hint = f'allow {{"Effect": "Allow", "Action": "logs:FilterLogEvents", "Resource": "{group.arn}:*"}}'
        yield Problem(where, f"cannot read log group {group.name!r}: {error}", hint, serious=error.state != "throttled")
    except RetryableError as error:
        yield Problem(where, f"cannot read log group {group.name!r}: {error}", error.hint or _ELSE)


def _listing_hint(selection: Selection) -> str:
    tags = ', "logs:ListTagsForResource"' if selection.tags else ""
    return f'allow {{"Effect": "Allow", "Action": ["logs:DescribeLogGroups"{tags}], "Resource": "*"}}'


def _forecast(where: str, groups: Sequence[LogGroup], tiers: Tiers, calls: Calls) -> Iterator[Problem]:
    """What reading will cost, from what each group holds and for how long it has held it."""
    now = calls.clock.now()
    spans = ", ".join(f"{_span(tier.look_back)} every {_span(tier.period)}" for tier in tiers)
    text = f"late horizon {_span(late_horizon(tiers))}: what is visible within that time of its own is read ({spans})"
    yield Problem(where, text, "", serious=False, note=True)
    rates = {group.arn: _bytes_per_second(group, now) for group in groups}
    costs = {group.arn: calls_a_day(tiers, bytes_per_second=rates[group.arn]) for group in groups}
    for region in sorted({group.region for group in groups}):
        total = sum(costs[group.arn] for group in groups if group.region == region)
        allowed = calls.budget(region).calls_per_second * DAY
        text = f"{region}: about {total:,.0f} calls a day, {total / _QUOTA_A_DAY:.1%} of the quota"
        yield Problem(where, text, "", serious=False, note=True)
        if total > allowed:
            text = (
                f"{region}: {total:,.0f} calls a day are more than the {allowed:,.0f} allowed: groups will lag behind"
            )
            yield Problem(where, text, _SUBSCRIPTION, serious=False)
    ranked = sorted(groups, key=lambda group: -costs[group.arn])
    for group in ranked[:_MOST_SHOWN]:
        cost = costs[group.arn]
        text = (
            f"log group {group.name!r}: about {cost:,.0f} calls a day, {cost / _QUOTA_A_DAY:.1%} of the quota,"
            f" each event read {amplification(tiers):.1f} times ({rates[group.arn] * DAY / PAGE_BYTES:,.0f} MiB a day)"
        )
        yield Problem(where, text, "", serious=False, note=True)
        if cost > calls.budget(group.region).calls_per_second * DAY / 2:
            text = f"log group {group.name!r} needs more than half of the calls that {group.region} may make"
            yield Problem(where, text, _SUBSCRIPTION, serious=False)
    if len(ranked) > _MOST_SHOWN:
        most = costs[ranked[_MOST_SHOWN].arn]
        more = counted(len(ranked) - _MOST_SHOWN, "more log group costs", "more log groups cost")
        text = f"{more} at most {most:,.0f} calls a day each"
        yield Problem(where, text, "", serious=False, note=True)


def _bytes_per_second(group: LogGroup, now: float) -> float:
    """The average since the group was made, or over its retention."""
    kept = (group.retention_days or 36_500) * DAY
    return group.stored_bytes / max(min(now - group.created, kept), 3600.0)


def _span(seconds: float) -> str:
    for unit, size in (("d", DAY), ("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
