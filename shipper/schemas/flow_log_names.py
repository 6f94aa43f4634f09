"""What the name of a flow log's object tells."""

from __future__ import annotations

import calendar
import re
import time

_LABEL = re.compile(r"_(\d{8}T\d{4})Z_[^/]*$")


def label_ms(key: str) -> int | None:
    """The start of the window that the object's name gives, in milliseconds since the epoch; None where it gives none.

    Source: "Publish flow logs to Amazon S3", such as `…_fl-1234abcd_20180620T1620Z_fe123456.log.gz`.
    """
    label = _LABEL.search(key)
    try:
        return calendar.timegm(time.strptime(label[1], "%Y%m%dT%H%M")) * 1000 if label else None
    except ValueError:
        return None
