"""Times as log messages write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

COMMON_LOG_FORM: Final = "%d/%b/%Y:%H:%M:%S %z"
"""The Common Log Format's, of `datetime.strptime`: API Gateway's and S3's access logs have it."""
LAST_MS: Final = 253_402_300_799_999
"""The end of the year 9999, in milliseconds since the epoch."""
MILLISECONDS_FROM: Final = 100_000_000_000
"""Larger numbers are milliseconds: as seconds they would lie after the year 5000."""
_MOST_TIMES = 4_096
_LONGEST_TIME = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def time_of(text: str, form: str = "") -> int | None:
    """A text's time in whole milliseconds since the epoch, None where it is none; UTC where it names no zone.

    Args:
        form: of `datetime.strptime`; ISO 8601 when not given.
    """
    return _time_of(text, form) if len(text) <= _LONGEST_TIME else None


@lru_cache(_MOST_TIMES)
def _time_of(text: str, form: str) -> int | None:
    try:
        moment = datetime.strptime(text, form) if form else datetime.fromisoformat(text)  # noqa: DTZ007 - set below
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        return None
