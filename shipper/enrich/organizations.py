"""Asks AWS Organizations for accounts: their names, the units that they are in, and their tags.

https://docs.aws.amazon.com/organizations/latest/APIReference/API_Operations.html. Only the management account and
delegated administrators may ask.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import botocore.exceptions
import structlog

from shipper.aws import AwsSessions, AwsSettings, classify
from shipper.errors import RetryableError
from shipper.model import AccountFacts
from shipper.ports import Stop

Result = TypeVar("Result")

_DEEPEST = 10
_LISTED_SECONDS = 600.0
_ROOT = "Root"

log = structlog.get_logger(__name__)


class Organizations:
    """Implements `accounts.Fetch`. Used from one thread.

    An account whose units or tags may not be asked for has its name alone.

    Args:
        settings: how the management account, or a delegated administrator, is reached.
        stop: ends waits.
        pause: seconds between calls.
        denied: told of each call that was refused while others were allowed.
    """

    def __init__(self, settings: AwsSettings, stop: Stop, *, pause: float, denied: Callable[[], None]) -> None:
        self._client = AwsSessions(settings, threads=1).client("organizations")
        self._stop = stop
        self._pause = pause
        self._denied = denied
        self._listed: dict[str, Mapping[str, Any]] = {}
        self._listed_at = float("-inf")
        self._units: dict[str, tuple[float, str]] = {}
        self._said: set[str] = set()

    def __call__(self, account: str) -> AccountFacts | None:
        """Look up one account; see `accounts.Fetch`."""
        if time.monotonic() - self._listed_at > _LISTED_SECONDS:
            self._listed = _call(self._list)
            self._listed_at = time.monotonic()
        found = self._listed.get(account)
        if found is None:
            return None
        return AccountFacts(
            name=found.get("Name"),
            organization=_organization(found.get("Arn", "")),
            unit=self._if_allowed("list_parents", lambda: self._unit(account), None),
            tags=self._if_allowed("list_tags_for_resource", lambda: self._tags(account), {}),
        )

    def _list(self) -> dict[str, Mapping[str, Any]]:
        accounts: dict[str, Mapping[str, Any]] = {}
        for page in self._client.get_paginator("list_accounts").paginate():
            accounts |= {each["Id"]: each for each in page["Accounts"]}
            self._stop.rest(self._pause)
        return accounts

    def _unit(self, child: str, depth: int = 0) -> str:
        """The names of the units that an account or unit is in, from the root down: `Root/Workloads/Production`."""
        (parent,) = self._client.list_parents(ChildId=child)["Parents"]
        self._stop.rest(self._pause)
        if parent["Type"] == "ROOT" or depth == _DEEPEST:
            return _ROOT
        above: str = parent["Id"]
        if (known := self._units.get(above)) is not None and time.monotonic() - known[0] < _LISTED_SECONDS:
            return known[1]
        unit = self._client.describe_organizational_unit(OrganizationalUnitId=above)["OrganizationalUnit"]
        self._stop.rest(self._pause)
        path = f"{self._unit(above, depth + 1)}/{unit['Name']}"
        self._units[above] = time.monotonic(), path
        return path

    def _tags(self, account: str) -> dict[str, str]:
        tags: dict[str, str] = {}
        for page in self._client.get_paginator("list_tags_for_resource").paginate(ResourceId=account):
            tags |= {tag["Key"]: tag["Value"] for tag in page["Tags"]}
            self._stop.rest(self._pause)
        return tags

    def _if_allowed(self, what: str, ask: Callable[[], Result], otherwise: Result) -> Result:
        try:
            return _call(ask)
        except RetryableError as error:
            if not error.paused:
                raise
            self._denied()
            if what not in self._said:
                self._said.add(what)
                log.warning("Organizations does not tell all of accounts, documents go without it", why=error.advice)
            return otherwise


def _call(ask: Callable[[], Result]) -> Result:
    try:
        return ask()
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        raise classify(error, service="organizations") from error


def _organization(arn: str) -> str | None:
    """The organisation's id in an account's ARN: `arn:aws:organizations::111122223333:account/o-ID/444455556666`."""
    parts = arn.split("/")
    return parts[1] if len(parts) == 3 else None
