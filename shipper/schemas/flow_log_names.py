"""What the name of a flow log's object tells."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_LABEL = re.compile(r"_(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)Z_[^/]*$")


def label_ms(key: str) -> int | None:
    """The start of the window that the object's name gives, in milliseconds since the epoch; None where it gives none.

    Source: "Publish flow logs to Amazon S3", such as `…_fl-1234abcd_20180620T1620Z_fe123456.log.gz`.
    """
    label = _LABEL.search(key)
    if label is None:
        return None
    year, month, day, hour, minute = map(int, label.groups())
    try:
        return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) * 1000
    except ValueError:
        return None
