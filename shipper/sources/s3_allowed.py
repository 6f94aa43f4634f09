"""Which objects a queue's messages may name, and as which log type each is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from shipper.access_points import split_place
from shipper.model import Problem, S3Object
from shipper.sources.s3_check import check_bucket
from shipper.sources.s3_keys import SERVICES, Service, follows_layout, scope_of
from shipper.sources.s3_strays import Coverage, is_test_file


@dataclass(frozen=True, slots=True)
class Allowed:
    """The allow-list of a queue, which anybody might write to.

    Attributes:
        places: (bucket, prefix); an object must lie in one of them.
        logs: the log type of all objects; None to tell by each key's layout.
        known: the log types that this program can take apart.
        fallback: the log type of objects outside AWS's folders, where `logs` is None; None for dead letters.
    """

    places: tuple[tuple[str, str], ...]
    logs: str | None
    known: frozenset[str]
    fallback: str | None = None

    def covers(self, item: S3Object) -> bool:
        """Whether an object may be asked for."""
        return any(item.bucket == bucket and item.key.startswith(prefix) for bucket, prefix in self.places)

    def logs_of(self, item: S3Object) -> tuple[str | None, str]:
        """Return an object's log type, or None and why it has none that is shipped.

        Why is one of: "outside" (in none of AWS's folders, so that no log type can be told), "unrecognised" (in a
        folder of AWS's that no log type takes), "other_logs", "digest" and "test_file".
        """
        if is_test_file(item.key):
            return None, "test_file"
        scope = scope_of(item.key)
        if scope is None or scope.service is None:
            if follows_layout(item.key):
                return None, Coverage(self._services()).reason_of(item.key)
            logs = self.logs or self.fallback
            return (logs, "") if logs is not None else (None, "outside")
        if not scope.service.shipped:
            return None, "digest" if self.logs in (None, scope.service.logs) else "other_logs"
        logs = scope.service.logs
        if logs not in self.known or self.logs not in (None, logs):
            return None, "other_logs"
        return logs, ""

    def problems(self, client: Any, where: str, expected_owner: str | None) -> Iterator[Problem]:
        """Try to read from each place; see `ports.Source.problems`."""
        services = self._services()
        for bucket, prefix in self.places:
            yield from check_bucket(
                client,
                bucket,
                prefix,
                services=services,
                where=where,
                expected_owner=expected_owner,
                coverage=Coverage(services, outside=self.logs is not None or self.fallback is not None),
                layouts_only=self.logs is None and self.fallback is None,
            )

    def _services(self) -> tuple[Service, ...]:
        return tuple(service for service in SERVICES if self.logs in (None, service.logs))


def places(entries: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Take entries of the form `bucket` or `bucket/prefix` apart."""
    return tuple(map(split_place, entries))
