"""The time of records that say none: that of their object, and in the last resort the clock's. Documents tell of it."""

from __future__ import annotations

from shipper.model import Origin
from shipper.ports import Clock
from shipper.schemas.flow_log_names import label_ms

NO_TIME = "no_time"
"""The tag of documents whose record says no time."""
UNPARSED = "unparsed"
"""The tag of documents whose line has none of its log type's forms."""


def fallback_ms(origin: Origin, clock: Clock) -> int:
    """Return the time of an object's records that say none, in milliseconds since the epoch.

    It is the start of the window that the object's name gives, or else when the object was written (LastModified):
    the same whenever the object is read. Only where neither is known it is the clock's.
    """
    label = label_ms(origin.key or origin.uri)
    if label is not None:
        return label
    return int(clock() * 1000) if origin.modified_ms is None else origin.modified_ms
