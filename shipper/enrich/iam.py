"""Tags, path and description of IAM roles and users, looked up in the background and kept fresh by CloudTrail itself.

GetRole and GetUser return the tags too: https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from shipper.errors import RetryableError, UnreadableError
from shipper.metrics import Metrics
from shipper.model import IamPrincipal
from shipper.ports import Stop

Fetch = Callable[[str], IamPrincipal | None]
"""Asks IAM for a role's or user's ARN; None where there is none of that name. Blocks.

Raises:
    RetryableError: IAM cannot be asked now; `paused` where a permission is missing.
"""

_MOST_WAITING = 10_000
_FAILED_SECONDS = 60.0
_FRESH_SECONDS = 900.0
_LONGEST_REST_SECONDS = 300.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Known:
    """What is known of one ARN.

    Attributes:
        principal: None where nothing is: there is none, or it may not be asked for.
        asked_at: when IAM was asked, seconds since the epoch; changes before it are in the answer already.
        ask_again_at: on the monotonic clock.
    """

    principal: IamPrincipal | None
    asked_at: float
    ask_again_at: float


class IamPrincipals:
    """Implements `ports.PrincipalLookup`: answers from memory, and asks IAM in a thread of its own.

    The first records of a principal go without. A role that is deleted keeps what was known of it.

    Args:
        most: entries kept; those not asked for the longest time go first.
        refresh_seconds: after that an entry is looked up again; the old one serves until then.
        absent_seconds: the same for principals that are not there or may not be asked for.
        requests_per_second: most calls of IAM.
        allowed, denied: tag keys; no allowed ones means all.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        fetch: Fetch,
        metrics: Metrics,
        stop: Stop,
        *,
        most: int = 10_000,
        refresh_seconds: float = 3_600.0,
        absent_seconds: float = 600.0,
        requests_per_second: float = 5.0,
        allowed: frozenset[str] = frozenset(),
        denied: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fetch = fetch
        self._metrics = metrics
        self._stop = stop
        self._most = most
        self._refresh_seconds = refresh_seconds
        self._absent_seconds = absent_seconds
        self._pause = 1.0 / requests_per_second
        self._allowed = allowed
        self._denied = denied
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None
        self._said: set[str] = set()

    def __call__(self, arn: str) -> IamPrincipal | None:
        """What is known of a role or user now; see `ports.PrincipalLookup`."""
        with self._lock:
            known = self._known.get(arn)
            if known is not None:
                self._known.move_to_end(arn)
                if known.ask_again_at > time.monotonic():
                    return known.principal
            self._want(arn)
            return known.principal if known else None

    def learn(self, arn: str, change: Mapping[str, Any], kind: Literal["create", "tag", "untag"], at: float) -> None:
        """Note a change that passes by in CloudTrail; see `ports.PrincipalLookup`."""
        with self._lock:
            known = self._known.get(arn)
            if known is not None and known.asked_at > at:
                return  # the answer knows it already
            if kind == "create":
                found = IamPrincipal(
                    path=change.get("path"), description=change.get("description"), tags=change.get("tags", {})
                )
            elif known is None or known.principal is None:
                return
            else:
                before = known.principal
                tags = {**before.tags, **change.get("tags", {})}
                for key in change.get("keys", ()):
                    tags.pop(key, None)
                found = IamPrincipal(path=before.path, description=before.description, tags=tags)
            # A change of long ago may have been followed by others: good for now, but asked for at the next use.
            fresh = self._clock() - at < _FRESH_SECONDS
            self._keep(arn, found, at, self._refresh_seconds if fresh else 0.0)

    def waiting(self) -> int:
        """How many principals wait to be looked up."""
        return len(self._waiting)

    def _want(self, arn: str) -> None:
        if arn in self._waiting or self._stop.requested:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._metrics.iam_lookups.labels("put_off").inc()
            return
        self._waiting[arn] = None
        self._woken.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="iam", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        failures = 0
        while not self._stop.requested:
            self._woken.wait(1.0)
            with self._lock:
                arn = next(iter(self._waiting), None)
                if arn is None:
                    self._woken.clear()
            if arn is None:
                continue
            failures = 0 if self._look_up(arn) else failures + 1
            self._stop.rest(min(self._pause * 2.0 ** min(failures, 20), _LONGEST_REST_SECONDS))

    def _look_up(self, arn: str) -> bool:
        """Ask IAM for one principal; return false where it had better be left alone for a while."""
        asked_at = self._clock()
        principal, seconds, outcome = None, self._absent_seconds, "absent"
        try:
            principal = self._fetch(arn)
        except (RetryableError, UnreadableError) as error:
            denied = isinstance(error, RetryableError) and error.paused
            outcome = "denied" if denied else "failed"
            seconds = self._absent_seconds if denied else _FAILED_SECONDS
            self._say(arn, outcome, str(error))
        except Exception as error:  # noqa: BLE001 - a document goes out without tags rather than not at all
            outcome, seconds = "failed", _FAILED_SECONDS
            self._say(arn, outcome, str(error) or type(error).__name__)
        if principal is not None:
            outcome, seconds = "found", self._refresh_seconds
        self._metrics.iam_lookups.labels(outcome).inc()
        with self._lock:
            self._waiting.pop(arn, None)
            known = self._known.get(arn)
            if principal is None and known is not None and known.principal is not None:
                principal = known.principal  # what was known of it last
            self._keep(arn, principal, asked_at, seconds)
        return outcome != "failed"

    def _say(self, arn: str, outcome: str, why: str) -> None:
        """Tell a failure's cause once for each account, not for each principal."""
        account = arn.split(":")[4]
        if (said := f"{account} {outcome}") not in self._said:
            self._said.add(said)
            log.warning("IAM cannot be asked, documents go without tags", account=account, why=why)

    def _keep(self, arn: str, principal: IamPrincipal | None, asked_at: float, seconds: float) -> None:
        if principal is not None:
            principal = IamPrincipal(principal.path, principal.description, self._wanted(principal.tags))
        self._known[arn] = _Known(principal, asked_at, time.monotonic() + seconds)
        self._known.move_to_end(arn)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        self._metrics.iam_principals.set(len(self._known))

    def _wanted(self, tags: Mapping[str, str]) -> dict[str, str]:
        return {
            key: value
            for key, value in tags.items()
            if key not in self._denied and (not self._allowed or key in self._allowed)
        }
