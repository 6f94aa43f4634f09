"""Reads what a cluster answers to the question whether it has something: yes, no, or nothing that can be known now."""

from __future__ import annotations

import re
from typing import Any

import orjson

from shipper.errors import ConfigError, RetryableError
from shipper.sinks.elasticsearch_connection import Answer, Connection

HINT = "run `shipper setup elasticsearch` with credentials that have the cluster privilege manage_index_templates"

_NO_SUCH_REQUEST = re.compile(
    r"no handler found for uri|incorrect http method for uri|not available when running in serverless mode"
    # Without security; and AWS's own services, which answer 401 to what they do not offer.
    r"|security is not enabled|security must be explicitly enabled|your request: '[^']*' is not allowed",
    re.IGNORECASE,
)


class NotAllowedError(ConfigError):
    """The credentials may not look at templates, or may not put them. Delivering may work all the same."""


class Client:
    """Requests of the set-up to one cluster."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, path: str) -> Answer:
        """Send a GET request; see `ask`."""
        return self.ask("GET", path)

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        """Send one request, once.

        Raises:
            RetryableError: the cluster is not reachable, or does not know the credentials.
        """
        answer = self._connection.request(method, path, orjson.dumps(body) if body else None)
        if answer.status == 401 and not _NO_SUCH_REQUEST.search(" ".join(answer.error())):
            raise RetryableError(f"HTTP 401 {' '.join(answer.error())}", paused=True)
        return answer

    def expect_ok(self, answer: Answer, what: str) -> None:
        """Raise what an answer other than 200 means for whoever has put something.

        Raises:
            RetryableError: the cluster is busy.
            NotAllowedError: the credentials do not allow it.
            ConfigError: the cluster refuses it for good.
        """
        if _object(answer.body) is None:
            raise unknown(answer, what)
        if answer.status == 200:
            return
        said = f"{what}: HTTP {answer.status} {' '.join(answer.error())}"
        if answer.status == 403:
            raise NotAllowedError(said, HINT)
        if answer.status in (408, 429) or answer.status >= 500:
            raise RetryableError(said, answer.retry_after)
        raise ConfigError(said, "the cluster refuses this template; the message is its own")


def present(answer: Answer, what: str) -> bool | None:
    """Return whether the server has what was asked for; None where the credentials may not see it.

    Only words of the server's own that say so mean no. A busy server, a proxy's page and whatever else is no answer to
    the question, so that it must be asked again.

    Args:
        what: for the message.

    Raises:
        RetryableError: nothing can be concluded from the answer.
    """
    body = _object(answer.body)
    if body is not None:
        if answer.status == 200:
            return True
        if answer.status == 404 and (not body or "error" in body):
            return False
        if _NO_SUCH_REQUEST.search(" ".join(answer.error())):
            return False
        if answer.status == 403:
            return None
    raise unknown(answer, what)


def unknown(answer: Answer, what: str) -> RetryableError:
    """Return the error for an answer that says nothing of what was asked for."""
    words = f"{what}: HTTP {answer.status} {' '.join(answer.error()).strip()}"
    return RetryableError(words, answer.retry_after, paused=answer.status in (401, 403))


def hint_for(error: RetryableError) -> str:
    """Return what to do about a cluster that cannot be asked."""
    words = str(error)
    if "TLS" in words:
        return "give the cluster's CA as ca_certs, or its fingerprint as ssl_assert_fingerprint"
    if "HTTP 401" in words:
        return "check api_key_file, or user and password"
    if "HTTP 403" in words:
        return "the credentials lack privileges: give the role what `shipper setup elasticsearch --show-role` prints"
    return "check that the cluster runs, that hosts names it, and that nothing in between blocks the way"


def _object(body: bytes) -> dict[str, object] | None:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
