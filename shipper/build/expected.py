"""What records of each log type are like, and which other type a line that is none looks like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from shipper.access_layouts import elb_layout, s3_layout
from shipper.build.event_types import PLAIN, type_of_message
from shipper.errors import BadInputError
from shipper.exported_lines import parted
from shipper.flow_layouts import layout_from_header
from shipper.formats.checked import CheckedFormat, Expected
from shipper.model import Record
from shipper.ports import Format
from shipper.schemas.ecs.unparsed import is_unparsed
from shipper.schemas.flow_lines import flow_line_problem

if TYPE_CHECKING:
    from shipper.schemas.ecs.log_event import LogEventEcs

_STRICTNESS: Mapping[str, Literal["strict", "loose", "any"]] = {
    **dict.fromkeys(("cloudwatch", "ec2", "containers"), "any"),
    **dict.fromkeys(("subscription", "apigateway", "eks", "rds"), "loose"),
}
"""How strict a log type is, where it is not strict."""


_FLOW_ADVICE = "if the fields have an order of their own and no header, name them with `format`; else correct `logs`"


def checked(logs: str, format_: Format, messages: Callable[[], LogEventEcs] | None) -> Format:
    """Return a format that looks at an object's first records before any is shipped.

    Args:
        logs: the log type.
        messages: makes what reads the messages of the type; None for types that are no messages.
    """
    strictness = _STRICTNESS.get(logs, "strict")
    unit = "records" if logs in {"cloudtrail", "waf", "route53_resolver"} else "lines"
    expected = Expected(logs, _fits_of(logs, messages), likely_type, strictness, unit)
    if logs == "vpcflow":  # a line that does not fit is refused in any case: better once, with what to do
        expected = replace(expected, few=1, advice=_FLOW_ADVICE)
    return CheckedFormat(format_, expected)


def likely_type(line: bytes) -> str | None:
    """Return the log type whose form a line has; None where it has none of the known ones."""
    _, text = parted(line.decode("utf-8", "replace"))
    if elb_layout(text) is not None:
        return "elb"
    if s3_layout(text) is not None:
        return "s3access"
    if layout_from_header(line) is not None or (" " in text and flow_line_problem(text.encode(), None) is None):
        return "vpcflow"
    found = type_of_message(text)
    return found if found != PLAIN else None


def _fits_of(logs: str, messages: Callable[[], LogEventEcs] | None) -> Callable[[Record], bool]:
    if logs == "cloudtrail":
        from shipper.formats.cloudtrail import is_cloudtrail

        return lambda record: is_cloudtrail(record.raw)
    if logs == "vpcflow":
        return lambda record: flow_line_problem(record.raw, record.layout) is None
    if logs in {"elb", "s3access"}:  # the format has told the layout
        return lambda record: record.layout is not None
    if logs == "subscription":
        return lambda record: record.event is not None
    if messages is None:
        return lambda _: True
    if logs in _STRICTNESS:
        return lambda record: record.event is not None or likely_type(record.raw) in {None, logs}
    schema = messages()

    def fits(record: Record) -> bool:
        try:
            said, _ = schema.read(record.raw.decode("utf-8", "replace"), record.event)
        except BadInputError:
            return False
        return not is_unparsed(said)

    return fits
