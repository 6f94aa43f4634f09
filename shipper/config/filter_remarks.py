"""What `shipper check` remarks of filters: fields that no record that comes to them ever has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shipper.config.field_remarks import remarks_of, types_of
from shipper.errors import ConfigError
from shipper.filters import read_filter
from shipper.model import Problem

if TYPE_CHECKING:
    from shipper.config.settings import Settings


def filter_remarks(settings: Settings) -> Iterator[Problem]:
    """Yield a remark for each field of a rule that its records do not have."""
    for name, source in settings.sources.items():
        if source.filter is not None:
            yield from _remarks(settings, f"sources.{name}.filter", source.filter, [name])
    for name, sink in settings.sinks.items():
        if sink.filter is not None:
            sources = [source for source in settings.sources if name in settings.sinks_of(source)]
            yield from _remarks(settings, f"sinks.{name}.filter", sink.filter, sources)


def _remarks(settings: Settings, where: str, rule: str, sources: list[str]) -> Iterator[Problem]:
    try:
        names = read_filter(rule).names
    except ConfigError:
        return  # told already, as a mistake
    logs: dict[str, None] = {}
    more: set[str] = set()
    for source in map(settings.sources.__getitem__, sources):
        logs |= dict.fromkeys(types_of(source.logs, source.type, getattr(source, "logs_fallback", None)))
        more.update(source.layout or ())
    for what, hint in remarks_of(names, logs, more):
        yield Problem(where, what, hint, serious=False)
