"""Sources and readers of CloudWatch Logs, which share their calls: one budget for each account and region."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING

from shipper.build.event_types import GroupTypes
from shipper.build.log_types import LOG_TYPES
from shipper.config import Aws, CloudWatchLogsSource, Settings
from shipper.errors import ConfigError
from shipper.metrics import Metrics
from shipper.model import DeadLetter, ReadLimits, WindowSplit
from shipper.ports import CheckpointStore, Reader, Source, Stop

if TYPE_CHECKING:
    from shipper.aws import AwsSessions
    from shipper.sources.cloudwatch_calls import Budget, Calls
    from shipper.sources.cloudwatch_groups import LogGroup
    from shipper.sources.cloudwatch_logs import LogTypeOf


def cloudwatch_calls(
    settings: Settings, sessions: Mapping[str, AwsSessions], metrics: Metrics, stop: Stop
) -> dict[str, Calls]:
    """How each source of CloudWatch Logs calls AWS, by source name; contacts nothing."""
    from shipper.sources.cloudwatch_calls import Calls

    budgets: dict[tuple[str, str], Budget] = {}

    def calls(name: str, source: CloudWatchLogsSource) -> Calls:
        return Calls(
            name,
            client=lambda region: sessions[name].client("logs", region),
            budget=_shared(budgets, _account(settings.aws_of(name)), source.calls_per_second),
            metrics=metrics,
            stop=stop,
        )

    return {name: calls(name, s) for name, s in settings.sources.items() if isinstance(s, CloudWatchLogsSource)}


def _shared(budgets: dict[tuple[str, str], Budget], account: str, rate: float) -> Callable[[str], Budget]:
    """One budget for an account and region, whichever of its sources asks; the least of their rates counts."""
    from shipper.sources.cloudwatch_calls import Budget

    def budget(region: str) -> Budget:
        found = budgets.setdefault((account, region), Budget(rate))
        found.calls_per_second = min(found.calls_per_second, rate)
        return found

    return budget


def _account(aws: Aws) -> str:
    """What stands for the account that is asked: the role's, or that of the profile."""
    return aws.role_arn.split(":")[4] if aws.role_arn else f"profile {aws.profile or ''}"


def log_groups(
    name: str,
    source: CloudWatchLogsSource,
    *,
    aws: Aws,
    calls: Calls,
    store: CheckpointStore,
    metrics: Metrics,
    session: AwsSessions,
) -> Source:
    """A source of log groups.

    Raises:
        ConfigError: no region is known.
    """
    from shipper.sources.cloudwatch_groups import Selection, pattern_of
    from shipper.sources.cloudwatch_logs import CloudWatchSource
    from shipper.sources.cloudwatch_tiers import tiers_for

    regions = source.all_regions(aws.region or usual_region(aws.profile))
    if not regions:
        raise ConfigError(f"sources.{name}: no AWS region is known", "set regions, aws.region or AWS_REGION")
    selection = Selection(
        log_groups=tuple(map(pattern_of, source.log_groups or ["*"])),
        regions=tuple(regions),
        exclude=tuple(map(pattern_of, source.exclude)),
        tags=tuple(source.tags.items()),
        accounts="linked" if "linked" in source.accounts else tuple(source.accounts) or None,
    )
    return CloudWatchSource(
        name,
        selection=selection,
        calls=calls,
        tiers=tiers_for(source.horizon_seconds),
        start=source.start_seconds,
        log_type_of=log_type_of(source, calls, session),
        store=store,
        metrics=metrics,
        discover_seconds=source.discover_seconds,
        stream_prefix=source.streams.prefix,
    )


def log_type_of(source: CloudWatchLogsSource, calls: Calls, session: AwsSessions) -> LogTypeOf:
    """How a source tells a log group's log type, and the field names of its lines (None: told by their number)."""
    if source.logs != "auto":
        named, layout = source.logs, source.layout
        return lambda _: (named, layout)
    from shipper.build.log_group_types import LogGroupTypes
    from shipper.build.log_writers import written_groups

    types = LogGroupTypes(
        frozenset(name for name, log_type in LOG_TYPES.items() if log_type.told),
        written=lambda region: written_groups(session, region),
        tags=lambda group: calls.tags(group.region, group.arn),
        # A group of another account has a name there, and one of the same name here is another.
        patterns=None if source.accounts else lambda group: calls.patterns(group.region, group.name),
        named=GroupTypes(source.log_group_types),
        foreign=bool(source.accounts),
    )

    def told(group: LogGroup) -> tuple[str, tuple[str, ...] | None]:
        logs, found = types(group)
        return logs, found or source.layout

    return told


def window_reader(source: CloudWatchLogsSource, calls: Calls, metrics: Metrics, limits: ReadLimits) -> Reader:
    """What opens the windows of a source."""
    from shipper.sources.cloudwatch_reader import CloudWatchReader

    return CloudWatchReader(
        calls,
        metrics=metrics,
        stream_prefix=source.streams.prefix,
        by_arn=bool(source.accounts),
        limits=limits,
    )


def letter_windows(
    settings: Settings, sessions: Mapping[str, AwsSessions], calls: Mapping[str, Calls]
) -> Callable[[DeadLetter, int, int], WindowSplit]:
    """How the events of dead letters are found again; the group is taken for what the configuration says of it now."""
    from shipper.sources.cloudwatch_groups import READABLE_CLASS, LogGroup

    types = {
        name: log_type_of(source, calls[name], sessions[name])
        for name, source in settings.sources.items()
        if isinstance(source, CloudWatchLogsSource)
    }

    def window(letter: DeadLetter, first_ms: int, last_ms: int) -> WindowSplit:
        arn = letter.origin.uri
        region, account, name = itemgetter(3, 4, 6)(arn.split(":", 6))
        logs, layout = types[letter.source](LogGroup(arn, account, region, name, READABLE_CLASS, 0.0))
        text = "\0".join(map(str, (letter.source, arn, letter.sink, letter.position, first_ms, last_ms)))
        return WindowSplit(
            # Of its own: an archive's file must not take another's place.
            id=f"replay-{hashlib.blake2b(text.encode(), digest_size=15).hexdigest()}",
            source=letter.source,
            scope=arn,
            logs=logs,
            account=account,
            region=region,
            group=name,
            first_ms=first_ms,
            last_ms=last_ms,
            layout=layout,
        )

    return window


def usual_region(profile: str | None) -> str | None:
    """The region of the environment or of the AWS configuration files."""
    import botocore.session

    region = botocore.session.Session(profile=profile).get_config_variable("region")
    return str(region) if region else None
