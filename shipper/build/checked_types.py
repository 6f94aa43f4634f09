"""Log types whose formats look at an object's first records before any of them is shipped."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shipper.build.log_types import LogType
    from shipper.flow_layouts import Layout
    from shipper.model import ReadLimits
    from shipper.ports import Format


def with_checks(log_type: LogType) -> LogType:
    """Return a log type whose formats refuse objects of another type; see `build.expected`."""

    def checked(format_: Format) -> Format:
        from shipper.build.expected import checked

        return checked(log_type.name, format_, log_type.messages)

    laid_out = log_type.laid_out
    if laid_out is None:
        return replace(log_type, format=lambda limits: checked(log_type.format(limits)))

    def with_layout(limits: ReadLimits, layout: Layout) -> Format:
        return checked(laid_out(limits, layout))

    return replace(log_type, format=lambda limits: checked(log_type.format(limits)), laid_out=with_layout)
