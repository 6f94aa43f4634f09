"""Lines that CloudWatch Logs exported to S3: each event's time stands in front of its message.

Source: "Exporting log data to Amazon S3" (CloudWatch Logs User Guide).
"""

from __future__ import annotations

import re

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ", re.ASCII)


def parted(line: str) -> tuple[str, str]:
    """Return an event's time as the export wrote it and the message behind it; "" and the line if it has none."""
    found = _TIME.match(line)
    return (found[1], line[found.end() :]) if found is not None else ("", line)
