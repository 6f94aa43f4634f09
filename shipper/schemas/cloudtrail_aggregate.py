"""CloudTrail's aggregated events: counts of data events in five minutes, whose id, account and time have other names.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-aggregated-events.html
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
from msgspec import Raw

from shipper.errors import BadInputError
from shipper.schemas.cloudtrail_record import loaded, text_of, time_of


class Window(msgspec.Struct, gc=False, frozen=True):
    """When the counted events happened: from the start on, before the end."""

    start: str | None = msgspec.field(default=None, name="windowStart")
    end: str | None = msgspec.field(default=None, name="windowEnd")


class Aggregate(msgspec.Struct, gc=False, frozen=True):
    """What an aggregated event has in place of a record's usual fields."""

    window: Window = msgspec.field(name="timeWindow")
    account: str | None = msgspec.field(default=None, name="accountId")
    event_id: str | None = msgspec.field(default=None, name="eventId")
    summary: Raw = Raw()

    @property
    def time(self) -> tuple[int, str] | None:
        """The beginning of its window, or the end where that is absent; None if it has neither.

        Raises:
            BadInputError: it is no time.
        """
        text = self.window.start or self.window.end
        try:
            return time_of(text) if text else None
        except BadInputError as error:
            raise BadInputError(f"a time of timeWindow is no time: {str(text)[:64]!r}") from error


_decode = msgspec.json.Decoder(Aggregate).decode


def aggregate_of(raw: bytes) -> Aggregate | None:
    """Return what only an aggregated event has, or None if a record has no timeWindow.

    Args:
        raw: a record that has no eventTime.
    """
    if b'"timeWindow"' not in raw:
        return None
    try:
        return _decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _tolerantly(raw)


def _tolerantly(raw: bytes) -> Aggregate | None:
    """Do the same where fields have unexpected types."""
    fields = loaded(raw)
    if not isinstance(fields, dict) or not isinstance(window := fields.get("timeWindow"), dict):
        return None
    return Aggregate(
        window=Window(text_of(window.get("windowStart")), text_of(window.get("windowEnd"))),
        account=text_of(fields.get("accountId")),
        event_id=text_of(fields.get("eventId")),
        summary=Raw(_dumped(fields["summary"])) if fields.get("summary") is not None else Raw(),
    )


def _dumped(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except (TypeError, ValueError, RecursionError):  # a number of more than 64 bits, or nested too deeply
        return orjson.dumps(str(text_of(value)))
