"""Remarks on the fields of a filter rule that records of the rule's log types never have."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from shipper.config.known_fields import FIELDS, canonical
from shipper.config.nearest_field import nearest_field
from shipper.counting import named

EVENT_TYPES = tuple(name for name in FIELDS if name not in {"elb", "s3access"})
"""What an event of a log group, or of a subscription filter, may be."""
FOLDER_TYPES = ("cloudtrail", "vpcflow", "elb", "route53_resolver", "waf")
"""What an object in AWS's own folders may be."""

_MOST_TYPES = 3


def remarks_of(names: Sequence[str], logs: Collection[str], more: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """Yield what is odd about a rule's fields, and what to do, in words.

    Args:
        names: the fields that the rule asks for.
        logs: the log types of the records that it is for.
        more: names of a flow log's fields beside those that AWS has documented.
    """
    types = {name: FIELDS[name] for name in logs if name in FIELDS}
    about = named(list(types)[:_MOST_TYPES], len(types)) + (" log types" if len(types) > _MOST_TYPES else "")
    if types and not any(known.names or known.open for known in types.values()):
        what = f"records of {about} are plain lines, which have no fields: the rule keeps all of them"
        yield what, "remove the filter, or filter at the destination"
        return
    also = frozenset(map(canonical, more))
    open_ = any(known.open for known in types.values())
    known_types = [known for known in types.values() if known.names]
    for name in names:
        if not types or canonical(name) in also or any(known.has(name) for known in known_types):
            continue
        near = nearest_field(name, known_types, sure=open_)
        if open_ and near:
            yield (
                f"no record of {about} that AWS documents has a field '{name}', but '{near}'",
                f"write {near}, if that is meant",
            )
        elif not open_:
            hint = f"did you mean {near}?" if near else "fields have the names that AWS gives them in the records"
            yield f"no record of {about} has a field '{name}': a test of it never finds a value", hint


def types_of(logs: str, kind: str, fallback: str | None = None) -> tuple[str, ...]:
    """Return the log types that records of a source may have.

    Args:
        logs: the source's setting.
        kind: the source's type.
        fallback: the log type of objects that `auto` does not recognise; None if there is none.
    """
    if logs == "subscription" or (logs == "auto" and kind == "cloudwatch_logs"):
        return EVENT_TYPES
    if logs == "auto":
        more = types_of(fallback, kind) if fallback and fallback != "auto" else ()
        return tuple(dict.fromkeys((*FOLDER_TYPES, *more)))
    return (logs,)
