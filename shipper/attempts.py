"""Counts attempts that the process did not survive, so that one object cannot stop all others again and again."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from shipper.errors import ShipperError
from shipper.model import Receipt, S3Split, Split, Unread
from shipper.ports import GIVE_UP_ATTEMPTS, CheckpointStore

log = structlog.get_logger(__name__)


class CountedAttempts:
    """Ships splits, each of which is on record in the state while it is on its way. Called from many threads at once.

    What ends the process within a split (the memory runs out, a native library crashes, a worker is stuck until a
    watchdog ends it) leaves the record behind. Sources take a group of objects apart by it
    (`sources.s3_pending`); a single object is given up here.

    Args:
        ship: ships one split.
    """

    def __init__(self, ship: Callable[[Split], Receipt], store: CheckpointStore) -> None:
        self._ship = ship
        self._store = store

    def ship(self, split: Split) -> Receipt:
        """Ship one split, or leave out an object that was in the way too often.

        Raises:
            RetryableError, FatalError, Stopped: as they come; then the attempt does not count.
        """
        if not isinstance(split, S3Split):
            return self._ship(split)
        attempts = self._store.begin_attempt(split)
        if attempts > GIVE_UP_ATTEMPTS and len(split.objects) == 1:
            return _left_out(split, attempts - 1)
        try:
            receipt = self._ship(split)
        except ShipperError:
            self._store.end_attempt(split)
            raise
        self._store.end_attempt(split)
        return receipt


def _left_out(split: S3Split, attempts: int) -> Receipt:
    (item,) = split.objects
    why = f"the process ended {attempts} times while it read this object alone: it stalls or crashes what reads it"
    log.error("object is given up", source=split.source, object=item.uri, why=why)
    return Receipt(split.id, split.source, 0, 0, {}, unread=(Unread(item, "stalls", why),))
