"""What an audit finds: differences, and what is no difference but worth saying."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["missing", "never_shipped", "doubled"]

MOST_IDS = 10
"""So many document ids of a difference are named."""

MOST_NAMES = 20
"""So many folders and objects that no log type takes are named, for each source."""

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
        empty: by source, where it looks in vain: not one object of it was listed.
        left_aside: by source, folders and objects in its buckets that no log type takes, the first of them.
        more_left_aside: by source, how many more there are.
        names_of: by source and remark, some of what the remark is about.
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
    empty: dict[str, str] = field(default_factory=dict)
    left_aside: dict[str, list[str]] = field(default_factory=dict)
    more_left_aside: Counter[str] = field(default_factory=Counter)
    names_of: dict[tuple[str, str], list[str]] = field(default_factory=dict)
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

    def leave_aside(self, source: str, names: Iterable[str], more: int) -> None:
        """Note what no log type takes; the first of it by name."""
        found = list(names)
        kept = self.left_aside.setdefault(source, [])
        named = found[: max(MOST_NAMES - len(kept), 0)]
        kept += named
        self.more_left_aside[source] += len(found) - len(named) + more

    def remark(self, source: str, words: str, number: int = 1, names: Sequence[str] = ()) -> None:
        """Note what is no difference.

        Args:
            names: of some that it is about; the first `MOST_IDS` are kept.
        """
        if number:
            self.remarks[source, words] += number
            kept = self.names_of.setdefault((source, words), []) if names else []
            kept += names[: MOST_IDS - len(kept)]

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
            "nothing_found": self.empty,
            "unrecognised": {
                source: {"number": len(names) + self.more_left_aside[source], "names": names}
                for source, names in sorted(self.left_aside.items())
            },
            "notes": self.notes,
            "remarks": [
                {"source": source, "number": number, "what": words}
                | ({"names": names} if (names := self.names_of.get((source, words))) else {})
                for (source, words), number in sorted(self.remarks.items())
            ],
        }
