"""Which objects a queue's messages may name, and as which log type each is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from shipper.model import Problem, S3Object
from shipper.sources.s3_check import check_bucket
from shipper.sources.s3_keys import SERVICES, follows_layout, scope_of


@dataclass(frozen=True, slots=True)
class Allowed:
    """The allow-list of a queue, which anybody might write to.

    Attributes:
        places: (bucket, prefix); an object must lie in one of them.
        logs: the log type of all objects; None to tell by each key's layout.
        known: the log types that this program can take apart.
    """

    places: tuple[tuple[str, str], ...]
    logs: str | None
    known: frozenset[str]

    def covers(self, item: S3Object) -> bool:
        """Whether an object may be asked for."""
        return any(item.bucket == bucket and item.key.startswith(prefix) for bucket, prefix in self.places)

    def logs_of(self, item: S3Object) -> tuple[str | None, str]:
        """Return an object's log type, or None and why it has none that is shipped."""
        scope = scope_of(item.key)
        if scope is None or scope.service is None:
            elsewhere = self.logs is None or follows_layout(item.key)
            return (None, "unrecognised") if elsewhere else (self.logs, "")
        if not scope.service.shipped:
            return None, "digest"
        logs = scope.service.logs
        if logs not in self.known or self.logs not in (None, logs):
            return None, "other_logs"
        return logs, ""

    def problems(self, client: Any, where: str, expected_owner: str | None) -> Iterator[Problem]:
        """Try to read from each place; see `ports.Source.problems`."""
        services = tuple(service for service in SERVICES if self.logs in (None, service.logs))
        for bucket, prefix in self.places:
            yield from check_bucket(
                client, bucket, prefix, services=services, where=where, expected_owner=expected_owner
            )


def places(entries: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Take entries of the form `bucket` or `bucket/prefix` apart."""
    return tuple((bucket, prefix) for bucket, _, prefix in (entry.partition("/") for entry in entries))
