"""Which sources' files in an archive carry the source's name: those that make other documents of the same objects."""

from __future__ import annotations

from collections.abc import Iterator

from shipper.access_points import split_place
from shipper.build.sources import names
from shipper.config import ArchiveSink, S3NotificationsSource, S3Source, Settings

_S3 = S3Source | S3NotificationsSource


def archive_marks(settings: Settings) -> dict[str, str]:
    """For each running source whose files need a name of their own, that name.

    An archive's file is named by its split's objects alone, so that the same group of them stands there once. Where
    two sources read the same objects with different filters, formats or log types, the file of one would take the
    other's place.
    """
    chosen = {name: source for name, source in settings.sources.items() if isinstance(source, _S3)}
    marked = {
        name
        for name, own in chosen.items()
        for other_name, other in chosen.items()
        if name != other_name
        and _archives(settings, name) & _archives(settings, other_name)
        and _meet(own, other)
        and _makes_others(own, other)
    }
    return {running: owner for running, owner in names(settings).items() if owner in marked}


def _archives(settings: Settings, source: str) -> set[str]:
    return {name for name in settings.sinks_of(source) if isinstance(settings.sinks[name], ArchiveSink)}


def _meet(own: _S3, other: _S3) -> bool:
    """Whether both may read the same object. Log types in folders of AWS's own leave each other's alone."""
    if own.logs != other.logs and _in_folders(own) and _in_folders(other):
        return False
    return any(
        bucket == its_bucket and (prefix.startswith(its_prefix) or its_prefix.startswith(prefix))
        for bucket, prefix in _places(own)
        for its_bucket, its_prefix in _places(other)
    )


def _makes_others(own: _S3, other: _S3) -> bool:
    """Whether a source makes other documents than another one does, by a key that it has: one of the two has it."""
    keys = ("filter", "format", "logs_region")
    differs = any(getattr(own, key) not in (None, getattr(other, key)) for key in keys)
    return differs or (own.logs != other.logs and "auto" not in (own.logs, other.logs) and not _in_folders(own))


def _in_folders(source: _S3) -> bool:
    from shipper.sources.s3_keys import services_of

    return bool(services_of(source.logs))


def _places(source: _S3) -> Iterator[tuple[str, str]]:
    """Buckets and prefixes."""
    if isinstance(source, S3Source):
        yield source.bucket, source.prefix
        return
    for place in source.buckets:
        yield split_place(place)
