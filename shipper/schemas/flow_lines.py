"""Whether a flow log's line can be a document: the answer is the same for every sink."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shipper.flow_layouts import layout_from_count
from shipper.schemas.community_id import packed_address
from shipper.schemas.event_times import LAST_MS, MILLISECONDS_FROM, time_of

LineProblem = Callable[[Sequence[str]], "str | None"]
"""A line's fields → what is wrong with them; None where nothing is."""

_MOST_KNOWN = 20_000
_MOST_DIGITS = 18


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def _is_number_up_to(most: int) -> Callable[[str], bool]:
    return lambda text: _is_number(text) and int(text) <= most


def _is_time(text: str) -> bool:
    if not _is_number(text):
        return False
    value = int(text)
    return (value if value >= MILLISECONDS_FROM else value * 1000) <= LAST_MS


def _is_address(text: str) -> bool:
    return packed_address(text) is not None


_CHECKS: tuple[tuple[str, Callable[[str], bool], str], ...] = (
    ("start", _is_time, "no time"),
    ("end", _is_time, "no time"),
    ("srcport", _is_number_up_to(65_535), "no number, or out of range"),
    ("dstport", _is_number_up_to(65_535), "no number, or out of range"),
    ("protocol", _is_number_up_to(255), "no number, or out of range"),
    ("packets", _is_number, "no number, or out of range"),
    ("bytes", _is_number, "no number, or out of range"),
    ("srcaddr", _is_address, "no address"),
    ("dstaddr", _is_address, "no address"),
    ("pkt-srcaddr", _is_address, "no address"),
    ("pkt-dstaddr", _is_address, "no address"),
)


class FlowChecks:
    """Checks the lines of any layout. Safe to use from many threads; values that were right once are remembered."""

    def __init__(self) -> None:
        self._right: dict[str, set[str]] = {name: {"-"} for name, _, _ in _CHECKS}

    def of(self, layout: Sequence[str]) -> LineProblem:
        """Return the check of one layout's lines.

        Args:
            layout: AWS's field names in order; of several columns with one name the first counts.
        """
        columns = {name: index for index, name in reversed(list(enumerate(layout)))}
        checks = [
            (columns[name], self._right[name], valid, f"{name} is {wrong}")
            for name, valid, wrong in _CHECKS
            if name in columns
        ]
        width = len(layout)

        def problem(parts: Sequence[str]) -> str | None:
            if len(parts) != width:
                return f"{len(parts)} fields instead of {width}"
            for column, right, valid, wrong in checks:
                text = parts[column]
                if text not in right:
                    if not valid(text):
                        return wrong
                    if len(right) >= _MOST_KNOWN:
                        right.clear()
                        right.add("-")
                    right.add(text)
            return None

        return problem


def exported_ms(text: str) -> int | None:
    """Return the time that an export from CloudWatch Logs wrote in front of a line; None where it is no time.

    Args:
        text: the field `EXPORT_TIME`; "" where the line has none.
    """
    time_ms = time_of(text) if text else None
    return time_ms if time_ms is not None and 0 <= time_ms <= LAST_MS else None


def flow_line_problem(line: bytes, layout: Sequence[str] | None) -> str | None:
    """Return why a line is no flow log's; None where it is one.

    Args:
        layout: None to tell it from the number of fields.
    """
    parts = line.decode("utf-8", "replace").split(" ")
    known = layout or layout_from_count(len(parts))
    if known is None:
        return NO_LAYOUT
    return FlowChecks().of(known)(parts)


NO_LAYOUT = "not a documented layout of flow logs; name its fields with format"
