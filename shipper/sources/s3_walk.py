"""Finds the scopes of a bucket: a walk down its folders, one listing a step."""

from __future__ import annotations

from shipper.sources.s3_bucket import Bucket
from shipper.sources.s3_keys import Scope, Service, leads_to_scopes, scope_of
from shipper.sources.s3_strays import Coverage, Strays

_MOST_ELSEWHERE = 1000


class Walk:
    """One walk from a prefix down to the folders of the given services.

    Args:
        prefix: any beginning of keys; it may lie above, in, or below a scope.
        coverage: what the walk's source takes as a whole; the services alone by default.

    Attributes:
        found: how many scopes the walk came across.
        strays: what it left aside.
    """

    def __init__(
        self, bucket: Bucket, prefix: str, services: tuple[Service, ...], coverage: Coverage | None = None
    ) -> None:
        self._bucket = bucket
        self._services = services
        self.found = 0
        self.strays = Strays(prefix, coverage or Coverage(services))
        self._elsewhere = 0
        self._folders: list[str] = []
        self._whole = scope_of(prefix, services)
        if self._whole is None and services:
            self._folders.append(prefix)

    @property
    def done(self) -> bool:
        """Whether there is nothing left to look into."""
        return self._whole is None and not self._folders

    def step(self) -> list[Scope]:
        """Look into one folder and return the scopes found in it.

        Raises:
            RetryableError: the listing failed; the same folder is next.
        """
        if self._whole is not None:
            whole, self._whole, self.found = self._whole, None, 1
            return [whole]
        if not self._folders:
            return []
        scopes: list[Scope] = []
        deeper: list[str] = []
        folder = self._folders[-1]
        level = self._bucket.level(folder)
        for below in level.folders:
            scope = scope_of(below, self._services)
            if scope is not None:
                scopes.append(scope)
                self.strays.leads(below)
            elif leads_to_scopes(below, self._services) and self._affords(below):
                deeper.append(below)
            else:
                self.strays.add(below)
        for key in level.keys:
            self.strays.add(key)
        self.strays.add_more(level.more_keys)
        self._folders.pop()
        self._folders.extend(reversed(deeper))
        self.found += len(scopes)
        return scopes

    def _affords(self, folder: str) -> bool:
        """Whether to look into a folder: a bucket may hold any number of folders that have nothing to do with logs."""
        if "AWSLogs/" in folder:
            return True
        self._elsewhere += 1
        return self._elsewhere <= _MOST_ELSEWHERE
