"""Lines that CloudWatch Logs exported to S3: each event's time stands in front of its message.

Source: "Exporting log data to Amazon S3" (CloudWatch Logs User Guide).
"""

from __future__ import annotations

import re

_FORM = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (?!(?:stdout|stderr) [FP])"
"""Not before what a container's runtime writes: the time is the runtime's own then."""
_TIME = re.compile(_FORM, re.ASCII)
_TIME_BYTES = re.compile(_FORM.encode())


def parted(line: str) -> tuple[str, str]:
    """Return an event's time as the export wrote it and the message behind it; "" and the line if it has none."""
    found = _TIME.match(line)
    return (found[1], line[found.end() :]) if found is not None else ("", line)


def is_exported(line: bytes) -> bool:
    """Return whether an event's time stands in front of a line."""
    return _TIME_BYTES.match(line) is not None
