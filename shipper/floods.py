"""Bounds what one object makes: records, bytes and dead letters, so that a small object cannot become a flood."""

from __future__ import annotations

from collections.abc import Callable

from shipper.errors import BadInputError
from shipper.model import OutputLimits

LOOK_EVERY = 64
"""Records between two looks: what is made beyond a limit is what so many records make."""
FREE_BYTES = 16_777_216
"""Up to here no ratio is looked at: many equal lines are stored in next to nothing, and honest."""
LETTER_BYTES = 67_108_864
"""So many bytes of one object's records are kept in dead letters of their own."""
UNBOUNDED = OutputLimits(*[2**63] * 4)
"""For what is no object."""


class Flood:
    """What one object has made so far, held against its limits. Used by one thread.

    Args:
        stored_bytes: the object's bytes as stored; None where they are not known.
        lanes: kinds of documents that each record makes.
        made: returns the bytes of the source's documents so far, for the kind that has most.
        moved: called at each look, since the work goes on.

    Attributes:
        look_at: the number of records at which `look` is due.
        unkept: refused records that have no dead letter of their own.
    """

    def __init__(
        self,
        limits: OutputLimits,
        *,
        stored_bytes: int | None,
        lanes: int,
        made: Callable[[], int],
        moved: Callable[[], None],
    ) -> None:
        self._limits = limits
        self._stored_bytes = stored_bytes
        self._lanes = lanes
        self._made = made
        self._moved = moved
        self._made_before = made()
        self._refused = 0
        self._letters = self._letter_bytes = 0
        self.unkept = 0
        self.look_at = min(LOOK_EVERY, limits.records)

    def look(self, read: int) -> None:
        """Hold what was made of the first `read` records against the limits.

        Raises:
            BadInputError: a limit is reached. The rest of the object is not read.
        """
        self._moved()
        self.look_at = min(read + LOOK_EVERY, self._limits.records)
        limits, made, stored = self._limits, self._made() - self._made_before, self._stored_bytes
        if read >= limits.records:
            raise _too_much(f"more than {limits.records:,} records", "object_records")
        if made > limits.made_bytes:
            raise _too_much(f"documents of more than {limits.made_bytes:,} bytes", "object_made_bytes")
        if stored is not None and made > max(FREE_BYTES, limits.made_ratio * stored):
            what = f"documents of {made:,} bytes from {stored:,}, more than {limits.made_ratio:,} times as many"
            raise _too_much(what, "object_made_ratio")
        if self.unkept and self._refused * 2 > read * self._lanes:
            raise BadInputError(
                f"most of its first {read:,} records cannot be shipped, and the rest of it was not read:"
                " look at the object, and whether its log type is right"
            )

    def keeps_letter(self, payload: bytes, lanes: int) -> bool:
        """Count a record that cannot be shipped; return whether it is kept as a dead letter of its own.

        Args:
            lanes: for so many kinds of documents.
        """
        self._refused += lanes
        if self._letters < self._limits.letters and self._letter_bytes < LETTER_BYTES:
            self._letters += 1
            self._letter_bytes += len(payload)
            return True
        self.unkept += 1
        return False


def _too_much(what: str, key: str) -> BadInputError:
    return BadInputError(
        f"it makes {what}; the rest of it was not read: look at the object, and raise limits.{key} if it is honest"
    )
