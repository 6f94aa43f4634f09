"""What a filter would leave out of real input: `shipper decode --explain-filter`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from shipper.counting import counted
from shipper.filters import Filter, values_of
from shipper.model import Record

_MOST_VALUES = 1000
OTHERS = "(others)"


@dataclass(slots=True)
class Share:
    """Some of the records.

    Attributes:
        bytes: of the records' own bytes, before any mapping.
        values: by field of the rule, how often each value occurs; beyond a thousand values the rest are `(others)`.
    """

    records: int = 0
    bytes: int = 0
    values: dict[str, Counter[str]] = field(default_factory=dict)


class FilterReport:
    """Tries a rule on records and counts; used by one thread.

    Attributes:
        kept, dropped: what the rule makes of the records seen so far.
    """

    def __init__(self, rule: Filter) -> None:
        self._rule = rule
        self._keeps = rule.on_records()
        self.kept = Share(values={name: Counter() for name in rule.names})
        self.dropped = Share(values={name: Counter() for name in rule.names})

    def add(self, record: Record) -> bool:
        """Count one record; return whether it is kept."""
        keeps = self._keeps(record)
        share = self.kept if keeps else self.dropped
        share.records += 1
        share.bytes += len(record.raw)
        for name, value in values_of(record, self._rule.names).items():
            counts = share.values[name]
            counts[value if value in counts or len(counts) < _MOST_VALUES else OTHERS] += 1
        return keeps

    def lines(self, most: int = 5) -> Iterator[str]:
        """Yield the account as text, the most frequent values of each field of the rule first."""
        total = self.kept.records + self.dropped.records
        yield self._rule.text
        for what, share in (("dropped", self.dropped), ("kept", self.kept)):
            part = share.records / total if total else 0.0
            size = counted(share.bytes, "byte")
            yield f"{what}: {share.records:,} of {counted(total, 'record')} ({part:.1%}), {size}"
            for name, counts in share.values.items():
                found = ", ".join(f"{value} {count:,}" for value, count in counts.most_common(most))
                yield f"  {name}: {found or 'nothing'}" + (" …" if len(counts) > most else "")
