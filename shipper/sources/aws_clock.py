"""AWS's time instead of this machine's, whose clock may be wrong or jump."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Any

from shipper.ports import Clock

SKEW_SECONDS = 5.0


class AwsClock:
    """AWS's time, from the Date header of its answers and this machine's monotonic clock: jumps of ours do not matter.

    The header has whole seconds and is old when it arrives, so the time is never ahead of AWS's by more than
    `SKEW_SECONDS`, and mostly up to a second behind; what is behind is only read a little later. Used from any thread.

    Args:
        monotonic: seconds from any beginning.
    """

    def __init__(self, monotonic: Clock = time.monotonic) -> None:
        self._monotonic = monotonic
        self._offset: float | None = None

    @property
    def known(self) -> bool:
        """Whether AWS has answered yet."""
        return self._offset is not None

    def now(self) -> float:
        """Seconds since the epoch; by this machine's clock until AWS has answered."""
        return self._monotonic() + self._offset if self._offset is not None else time.time()

    def saw(self, date: str | None) -> None:
        """Learn from an answer's Date header."""
        try:
            sample = parsedate_to_datetime(date or "").timestamp() - self._monotonic()
        except ValueError:
            return
        # The answer that came fastest after its second began knows best; a clock that was put right is believed.
        if self._offset is None or sample > self._offset or self._offset - sample > SKEW_SECONDS:
            self._offset = sample

    def watch(self, client: Any) -> None:
        """Learn from every answer to a boto3 client, refusals included."""
        # https://boto3.amazonaws.com/v1/documentation/api/latest/guide/events.html
        client.meta.events.register("after-call", self._answered)

    def _answered(self, parsed: dict[str, Any], **_: Any) -> None:
        self.saw(parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date"))
