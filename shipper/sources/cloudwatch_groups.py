"""Which log groups a source reads: by name, glob, ARN, tag and linked account, found anew on a schedule."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from shipper.sources.cloudwatch_calls import Calls

_ARN = re.compile(r"arn:aws[a-z-]*:logs:([a-z0-9-]+):([0-9]{12}):log-group:(.+?)(:\*)?")
_WILD = re.compile(r"[*?]")
_MOST_ACCOUNTS = 20
"""DescribeLogGroups takes as many account ids at once."""
_TAGS_SECONDS = 3600.0
READABLE_CLASS = "STANDARD"


@dataclass(frozen=True, slots=True)
class LogGroup:
    """A log group as AWS describes it.

    Attributes:
        arn: without `:*` at its end.
        log_class: STANDARD, INFREQUENT_ACCESS, DELIVERY, …
        created: seconds since the epoch.
        stored_bytes: what it holds, as far as AWS says.
        retention_days: how long events are kept; None for ever.
    """

    arn: str
    account: str
    region: str
    name: str
    log_class: str
    created: float
    stored_bytes: int = 0
    retention_days: int | None = None


@dataclass(frozen=True, slots=True)
class Pattern:
    """One entry of `log_groups`: a name, a glob (`*`, `?`) or an ARN, whose name may be a glob."""

    text: str
    region: str | None
    account: str | None
    glob: str

    @property
    def prefix(self) -> str:
        """What all matching names begin with."""
        return _WILD.split(self.glob, maxsplit=1)[0]

    @property
    def exact(self) -> bool:
        """Whether one name is meant."""
        return self.prefix == self.glob

    def matches(self, group: LogGroup) -> bool:
        """Whether the group is meant."""
        return (
            self.region in (None, group.region)
            and self.account in (None, group.account)
            and fnmatch.fnmatchcase(group.name, self.glob)
        )


def pattern_of(text: str) -> Pattern:
    """Read an entry of `log_groups` or `exclude`."""
    arn = _ARN.fullmatch(text)
    return Pattern(text, arn[1], arn[2], arn[3]) if arn else Pattern(text, None, None, text)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a source reads.

    Attributes:
        tags: all of them, with their values, which may be globs; empty for any group.
        accounts: None for the own one, "linked" for all that are linked to it, or account ids.
    """

    log_groups: tuple[Pattern, ...]
    regions: tuple[str, ...]
    exclude: tuple[Pattern, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    accounts: str | tuple[str, ...] | None = None

    @property
    def foreign(self) -> bool:
        """Whether groups of other accounts are among them."""
        return self.accounts is not None

    def wants(self, group: LogGroup) -> bool:
        """Whether the name, region and account are right."""
        return any(p.matches(group) for p in self.log_groups) and not any(p.matches(group) for p in self.exclude)

    def prefixes(self, region: str) -> list[str]:
        """The fewest prefixes of names that have to be listed in a region."""
        wanted = sorted({p.prefix for p in self.log_groups if p.region in (None, region)})
        return [p for place, p in enumerate(wanted) if not any(p.startswith(other) for other in wanted[:place])]


@dataclass(slots=True)
class Finder:
    """Lists the log groups of a selection. Used by its source's thread.

    Args:
        now: seconds since the epoch.
    """

    selection: Selection
    calls: Calls
    now: Callable[[], float]
    _tags: dict[str, tuple[float, bool]] = field(default_factory=dict)

    def find(self, region: str) -> list[LogGroup]:
        """Return the wanted groups of a region, those of unreadable classes included.

        Raises:
            RetryableError: the listing failed, or tags cannot be read.
        """
        found: dict[str, LogGroup] = {}
        for prefix in self.selection.prefixes(region):
            for accounts in _accounts(self.selection.accounts):
                name = {"logGroupNamePrefix": prefix} if prefix else {}
                for described in self.calls.groups(region, **name, **accounts):
                    group = _group(described)
                    if self.selection.wants(group):
                        found[group.arn] = group
        return [group for group in found.values() if self._has_tags(group)]

    def _has_tags(self, group: LogGroup) -> bool:
        """Tags cost a call for each group, so they are looked at once an hour."""
        if not self.selection.tags:
            return True
        looked, wanted = self._tags.get(group.arn, (0.0, False))
        if self.now() - looked > _TAGS_SECONDS:
            tags = self.calls.tags(group.region, group.arn)
            wanted = all(fnmatch.fnmatchcase(tags.get(k, "\0"), value) for k, value in self.selection.tags)
            self._tags[group.arn] = (self.now(), wanted)
        return wanted


def unmatched(selection: Selection, groups: Iterable[LogGroup]) -> list[Pattern]:
    """The entries of `log_groups` that no group matches."""
    known = list(groups)
    return [pattern for pattern in selection.log_groups if not any(pattern.matches(group) for group in known)]


def _accounts(wanted: str | Sequence[str] | None) -> list[dict[str, Any]]:
    if wanted is None:
        return [{}]
    if isinstance(wanted, str):
        return [{"includeLinkedAccounts": True}]
    some = [list(wanted[first : first + _MOST_ACCOUNTS]) for first in range(0, len(wanted), _MOST_ACCOUNTS)]
    return [{"includeLinkedAccounts": True, "accountIdentifiers": accounts} for accounts in some]


def _group(described: dict[str, Any]) -> LogGroup:
    arn = str(described["arn"]).removesuffix(":*")
    parts = arn.split(":")
    return LogGroup(
        arn=arn,
        account=parts[4],
        region=parts[3],
        name=described["logGroupName"],
        log_class=described.get("logGroupClass", READABLE_CLASS),
        created=described.get("creationTime", 0) / 1000,
        stored_bytes=described.get("storedBytes", 0),
        retention_days=described.get("retentionInDays"),
    )
