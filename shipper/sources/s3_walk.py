"""Finds the scopes of a bucket: a walk down its folders, one listing a step."""

from __future__ import annotations

from shipper.sources.s3_bucket import Bucket
from shipper.sources.s3_keys import Scope, Service, leads_to_scopes, scope_of


class Walk:
    """One walk from a prefix down to the folders of the given services.

    Args:
        prefix: any beginning of keys; it may lie above, in, or below a scope.
    """

    def __init__(self, bucket: Bucket, prefix: str, services: tuple[Service, ...]) -> None:
        self._bucket = bucket
        self._services = services
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
            found, self._whole = self._whole, None
            return [found]
        if not self._folders:
            return []
        scopes: list[Scope] = []
        deeper: list[str] = []
        for folder in self._bucket.folders(self._folders[-1]):
            scope = scope_of(folder, self._services)
            if scope is not None:
                scopes.append(scope)
            elif leads_to_scopes(folder, self._services):
                deeper.append(folder)
        self._folders.pop()
        self._folders.extend(reversed(deeper))
        return scopes
