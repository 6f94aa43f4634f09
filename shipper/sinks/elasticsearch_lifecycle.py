"""The ILM policy of the data streams: whether the server has ILM, the policy, and templates that lack it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from shipper.model import Problem
from shipper.sinks.elasticsearch_probes import HINT, Client, NotAllowedError, present
from shipper.sinks.elasticsearch_templates import POLICY, SETTINGS, names_policy, policy

_STATUS, _POLICY = "/_ilm/status", f"/_ilm/policy/{POLICY}"
_ILM_HINT = "give the credentials the cluster privilege manage_ilm: `shipper setup elasticsearch --show-role` has it"
_INSTALL_HINT = "the next start does it, or `shipper setup elasticsearch` now"


class Lifecycle:
    """ILM of one cluster.

    Args:
        names: pattern of the data streams.
    """

    def __init__(self, client: Client, names: str) -> None:
        self._client = client
        self._names = names

    def available(self) -> bool | None:
        """Return whether the server has ILM; None where the credentials may not see it.

        Raises:
            RetryableError: the server does not say now.
        """
        return present(self._client.get(_STATUS), "whether the server has ILM")

    def install(self) -> list[str]:
        """Put the policy where it is missing; return a line for what was done.

        Raises:
            RetryableError: the cluster is not reachable or is busy.
            NotAllowedError: the credentials do not allow it.
        """
        what = f"ILM policy {POLICY}"
        has = present(self._client.get(_POLICY), what)
        if has is None:
            raise NotAllowedError(f"{what}: HTTP 403 for GET {_POLICY}", _ILM_HINT)
        if has:
            return []  # an operator may have changed it
        self._client.expect_ok(self._client.ask("PUT", _POLICY, policy()), what)
        return [f"{what} installed"]

    def not_visible(self) -> NotAllowedError:
        """Return the error for templates of which it cannot be known whether they may name the policy."""
        what = f"{SETTINGS} depends on whether the server has ILM, which the credentials may not see"
        return NotAllowedError(f"{what}: HTTP 403 for GET {_STATUS}", _ILM_HINT)

    def remedy(self) -> str:
        """Return what brings the policy to data streams that were made without it."""
        settings = orjson.dumps({"index.lifecycle.name": POLICY}).decode()
        words = f"the ILM policy {POLICY}, in force from the next rollover on"
        return f"{words}; for the indices that are there already: PUT /{self._names}/_settings {settings}"

    def problems(self, where: str, settings: dict[str, Any] | None, *, may_install: bool) -> Iterator[Problem]:
        """Yield what keeps data streams from being rolled over, and deleted, by the policy.

        Args:
            settings: the installed component; None where there is none.
            may_install: the credentials may put templates.

        Raises:
            RetryableError: the server does not say now.
        """
        ilm = self.available()
        if ilm and present(self._client.get(_POLICY), f"ILM policy {POLICY}") is False:
            what = f"ILM policy {POLICY} is missing: nothing is rolled over, nor deleted by a phase of yours"
            yield Problem(where, what, _INSTALL_HINT if may_install else _ILM_HINT, serious=not may_install)
        if settings is None or names_policy(settings) or ilm is False:
            return
        what = f"component template {SETTINGS} does not name the ILM policy {POLICY}"
        if ilm:
            hint = f"{_INSTALL_HINT if may_install else HINT}; then it is {self.remedy()}"
            yield Problem(where, f"{what}, although the server has ILM", hint, serious=not may_install)
        else:
            words = f"{what}, and the credentials may not see whether the server has ILM (HTTP 403)"
            yield Problem(where, words, _ILM_HINT, serious=False)
