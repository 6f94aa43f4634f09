"""The error kinds, told apart by what their catcher does."""

from __future__ import annotations

from typing import Literal

UnreadableKind = Literal["missing", "forbidden", "archived", "stalls"]


class ShipperError(Exception):
    """Any error that this program raises on purpose.

    Attributes:
        hint: what to do about it; "" if the message says all.
    """

    hint: str = ""

    @property
    def advice(self) -> str:
        """What happened and what to do about it, for a log line."""
        return f"{self}; {self.hint}" if self.hint else str(self)


class ConfigError(ShipperError):
    """The configuration cannot work. Caught by the command line: message and hint, exit 78.

    Args:
        message: what is wrong, with its place (file, line, key) where there is one.
        hint: what to do about it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class RetryableError(ShipperError):
    """Not now, maybe later: a busy or unreachable server, an ambiguous answer.

    Caught by delivery or the coordinator, which wait (interruptibly, with jitter) and try again, for ever.

    Args:
        message: what happened, with the server's own words.
        retry_after: seconds that the server asked for; None where it did not say.
        paused: true where a person has to act (credentials, permissions, a read-only index): the same wait, but
            it is reported as an alarm.
        restart: true where sending the same batch again cannot work, because what was sent before it is gone too (an
            archive's half-written file): the whole split is shipped anew.
        busy: true where the server is well and asks for less: what is sent next is sent in smaller pieces.
        hint: what to do about it, if that is known: it names the cause's remedy.
        denied: true if the server knows who asks, and does not allow it: a permission is missing.
    """

    def __init__(
        self,
        message: str,
        retry_after: float | None = None,
        *,
        paused: bool = False,
        restart: bool = False,
        busy: bool = False,
        hint: str = "",
        denied: bool = False,
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.denied = denied
        self.retry_after = retry_after
        self.paused = paused
        self.restart = restart
        self.busy = busy


class UnreadableError(ShipperError):
    """One object of a split cannot be opened now. Caught by shipping, which leaves it out and says so in the receipt.

    Raised before any record of the object was read, so that the rest of the split can be settled without it.

    Args:
        message: the server's own words.
        kind: "missing" (404), "forbidden" (403 or a KMS refusal), "archived" (Glacier class, restore first), "stalls"
            (what reads it does not survive).
    """

    def __init__(self, message: str, kind: UnreadableKind) -> None:
        super().__init__(message)
        self.kind: UnreadableKind = kind


class BadInputError(ShipperError):
    """A record or an object that will never be readable. Caught by shipping: dead letter, count, go on."""


class FatalError(ShipperError):
    """Nothing can go on. Caught by the service: stop all, exit 1, systemd restarts.

    Args:
        message: what happened.
        hint: what a person can do about it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Stopped(ShipperError):  # noqa: N818 - not an error, but the way out of a wait
    """The process was asked to stop and the grace time is over. Caught by the service: quiet end."""
