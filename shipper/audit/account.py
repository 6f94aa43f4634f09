"""What an audit finds: differences, and what is no difference but worth saying."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["missing", "never_shipped", "doubled"]

MOST_IDS = 10
"""So many document ids of a difference are named."""

MOST_DIFFERENCES = 10_000
"""So many differences are named; the others are counted, so that memory is bounded when all is lost."""


@dataclass(slots=True)
class Difference:
    """Something that a sink should hold and does not, or holds more than once.

    Attributes:
        what: an object's address; a split for sinks that are counted by splits.
        kind: "missing": a receipt says that it was delivered. "never_shipped": there is no receipt at all.
            "doubled": more is there than should be.
        expected, found: documents, or lines.
        ids: of some of the documents.
        repairable: what it is about can still be read.
        repaired: it has been shipped again.
    """

    source: str
    sink: str
    what: str
    kind: Kind
    expected: int
    found: int
    ids: tuple[str, ...] = ()
    why: str = ""
    repairable: bool = True
    repaired: bool = False

    @property
    def lacking(self) -> int:
        """How many are not there."""
        return max(self.expected - self.found, 0)

    @property
    def extra(self) -> int:
        """How many are too many."""
        return max(self.found - self.expected, 0)

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "source": self.source,
            "sink": self.sink,
            "what": self.what,
            "kind": self.kind,
            "expected": self.expected,
            "found": self.found,
            "document_ids": list(self.ids),
            "why": self.why,
            "repaired": self.repaired,
        }


@dataclass(slots=True)
class Pair:
    """One source's account in one sink.

    Attributes:
        splits: how many were counted.
        records: what their receipts say the sink should hold.
        by_id: splits whose count was another, so that each document was asked for by its id.
    """

    splits: int = 0
    records: int = 0
    by_id: int = 0


@dataclass(slots=True)
class Account:
    """All that an audit found.

    Attributes:
        differences: what is wrong, the first of them.
        untold: how many more there are.
        lacking: documents that all differences together lack.
        doubled: documents that are there too many times, all differences together.
        repaired: those of them that have been shipped again.
        notes: what is to be said of a source as a whole.
        remarks: what was left out or cannot be proved, in words, and how often: by source.
        pairs: by source and sink.
        listed: objects in the buckets, by source, of those the audit is about.
        unanswered: by source, why its audit could not be ended: a sink or a bucket did not answer.
    """

    differences: list[Difference] = field(default_factory=list)
    untold: int = 0
    lacking: int = 0
    doubled: int = 0
    repaired: int = 0
    notes: dict[str, str] = field(default_factory=dict)
    remarks: Counter[tuple[str, str]] = field(default_factory=Counter)
    pairs: dict[tuple[str, str], Pair] = field(default_factory=dict)
    listed: Counter[str] = field(default_factory=Counter)
    unanswered: dict[str, str] = field(default_factory=dict)

    def tell(self, told: Sequence[Difference]) -> None:
        """Keep differences."""
        named = told[: max(MOST_DIFFERENCES - len(self.differences), 0)]
        self.differences += named
        self.untold += len(told) - len(named)
        self.lacking += sum(each.lacking for each in told)
        self.doubled += sum(each.extra for each in told)

    def mend(self, difference: Difference) -> None:
        """Note that what it is about has been shipped again, after it was told."""
        difference.repaired = True
        self.repaired += difference.lacking

    def pair(self, source: str, sink: str) -> Pair:
        """One source's account in one sink."""
        return self.pairs.setdefault((source, sink), Pair())

    def remark(self, source: str, words: str, number: int = 1) -> None:
        """Note what is no difference."""
        if number:
            self.remarks[source, words] += number

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "ok": not self.differences and not self.unanswered,
            "unanswered": self.unanswered,
            "missing": self.lacking,
            "doubled": self.doubled,
            "differences_not_named": self.untold,
            "differences": [each.as_json() for each in self.differences],
            "sources": [
                {
                    "source": source,
                    "sink": sink,
                    "splits": pair.splits,
                    "records": pair.records,
                    "splits_by_id": pair.by_id,
                }
                for (source, sink), pair in sorted(self.pairs.items())
            ],
            "objects_listed": dict(self.listed),
            "notes": self.notes,
            "remarks": [
                {"source": source, "number": number, "what": words}
                for (source, words), number in sorted(self.remarks.items())
            ],
        }
