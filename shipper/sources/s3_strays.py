"""What lies below a source's prefix and is none of its logs: its kind, its name, its count; bounded in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import structlog

from shipper.metrics import Metrics
from shipper.sources.s3_keys import Service, folder_of, known_service, leads_to_scopes, scope_of, service_folder

Reason = Literal["taken", "unrecognised", "other_logs", "test_file"]
"""Why something is left aside; "taken" for what another listing of the same source ships."""

_NAMES_KEPT = 1000
_FOLDERS_LOGGED = 100
# What AWS's services write to try whether they may.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html and its neighbours
_TEST_FILES = frozenset(
    {
        "ConfigWritabilityCheckFile",
        "ELBAccessLogTestFile",
        "ELBConnectionLogTestFile",
        "ELBHealthCheckLogTestFile",
        "aws-programmatic-access-test-object",
    }
)

log = structlog.get_logger(__name__)


def is_test_file(key: str) -> bool:
    """Return whether an AWS service wrote an object only to try whether it may."""
    return key.rpartition("/")[2] in _TEST_FILES


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a source of the configuration takes as a whole, which one listing or queue may be a part of.

    Attributes:
        services: whose folders are its own; the folders of other known services are other log types.
        outside: whether objects outside AWS's folders are shipped, too, by another listing than that of folders.
        others: beginnings of keys of the same bucket that other sources read.
        silent: another listing of the same source reports what is left aside.
    """

    services: tuple[Service, ...]
    outside: bool = False
    others: tuple[str, ...] = ()
    silent: bool = False

    def reason_of(self, name: str) -> Reason:
        """Return why a key or folder that no scope takes is left aside."""
        if is_test_file(name):
            return "test_file"
        if scope_of(name, self.services) is not None:
            return "taken"
        folder = service_folder(name)
        if folder is None:
            return "taken" if self.outside else "unrecognised"
        service = known_service(folder)
        if service is None or service in self.services:
            # A folder that is only on the way to scopes of another part of the same source is none to be named.
            return "taken" if name[-1:] == "/" and leads_to_scopes(name, self.services) else "unrecognised"
        return "other_logs"

    def is_anothers(self, name: str) -> bool:
        """Return whether another source reads a key, or something in a folder."""
        return any(name.startswith(other) or (name[-1:] == "/" and other.startswith(name)) for other in self.others)


class Strays:
    """Gathers what a walk down the folders left aside.

    A folder outside AWS's folders in which nothing is that leads to logs is named once, at its top.

    Args:
        prefix: where the walk began.
    """

    def __init__(self, prefix: str, coverage: Coverage) -> None:
        self._prefix = prefix
        self._coverage = coverage
        self._names: dict[str, None] = {}
        self._leading: set[str] = set()
        self._more = 0

    def leads(self, name: str) -> None:
        """Note a key or folder in AWS's folders: what it lies in is none to be named as a whole."""
        root = name.partition("AWSLogs/")[0]
        place = root.find("/")
        while place >= 0:
            self._leading.add(root[: place + 1])
            place = root.find("/", place + 1)

    def add(self, name: str) -> None:
        """Note a folder that is not looked into, or an object in none of the folders that are listed."""
        if self._coverage.is_anothers(name):
            return
        if "AWSLogs/" in name:
            self.leads(name)
        if len(self._names) < _NAMES_KEPT:
            self._names[name] = None
        else:
            self._more += 1

    def add_more(self, number: int) -> None:
        """Note objects whose names are not known."""
        self._more += number

    def named(self, *, whole: bool = False) -> dict[str, Reason]:
        """Return each folder or object that is left aside, with the reason.

        Args:
            whole: all of the prefix is listed, so that only AWS's folders are left aside.
        """
        outside = whole or self._coverage.outside
        found: dict[str, Reason] = {}
        for name in self._names:
            if service_folder(name) is None and outside:
                continue
            top = self._top(name)
            reason = self._coverage.reason_of(top)
            if reason != "taken":
                found[top] = reason
        return found

    @property
    def any_outside(self) -> bool:
        """Whether something lies outside AWS's folders."""
        return bool(self._more) or any(service_folder(name) is None for name in self._names)

    @property
    def more(self) -> int:
        """How many were not kept by name."""
        return self._more

    def _top(self, name: str) -> str:
        if "AWSLogs/" in name:
            return name
        place = name.find("/", len(self._prefix))
        while 0 <= place < len(name) - 1:
            folder = name[: place + 1]
            if folder not in self._leading and not self._coverage.is_anothers(folder):
                return folder
            place = name.find("/", place + 1)
        return name


class StrayReport:
    """Counts what a running source leaves aside, and logs each unrecognised folder once. Used by one thread.

    Args:
        source: the source's name.
    """

    def __init__(self, source: str, metrics: Metrics) -> None:
        self._source = source
        self._metrics = metrics
        self._counted: set[str] = set()
        self._logged: set[str] = set()

    def folders(self, bucket: str, found: Iterable[tuple[str, Reason]]) -> None:
        """Count folders and objects that a listing came across, each once in the life of the process."""
        for name, reason in found:
            uri = f"s3://{bucket}/{name}"
            if uri in self._counted or len(self._counted) >= _NAMES_KEPT:
                continue
            self._counted.add(uri)
            self._metrics.objects_filtered.labels(self._source, reason).inc()
            if reason == "unrecognised":
                self._log(uri, name)

    def object(self, bucket: str, key: str, reason: str) -> None:
        """Count an object that is left aside for good."""
        self._metrics.objects_filtered.labels(self._source, reason).inc()
        if reason == "unrecognised":
            self._log(f"s3://{bucket}/{folder_of(key)}", key)

    def _log(self, folder: str, example: str) -> None:
        if folder in self._logged or len(self._logged) > _FOLDERS_LOGGED:
            return
        self._logged.add(folder)
        if len(self._logged) > _FOLDERS_LOGGED:
            log.warning("more folders hold what no log type takes: no more of them are logged", source=self._source)
            return
        log.warning(
            "not shipped: no log type takes what is here; see `shipper check`",
            source=self._source,
            folder=folder,
            example=example,
        )
