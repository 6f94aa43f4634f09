"""One run of the pipeline through a storm of faults, and the judgement: every record has the end that it should have.

Everything is drawn from the seed and one worker ships, so that a failing seed fails again:
`TORTURE_SEED=17 pytest tests/torture`.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shipper.delivery import Patience
from shipper.errors import BadInputError, RetryableError
from shipper.metrics import Metrics
from shipper.model import Document, Origin, Receipt, Record, document_id
from shipper.ports import Encoder, Sink
from shipper.shipping import Lane, Route, Shipper
from tests.fakes.pipeline import HastyStop, LinesFormat, LinesReader, MemoryDeadLetters, lines_split

RECORDS = 600
OBJECTS = 6
MOST_MEGABYTES = 100
_FIRST_MS = 1_767_225_600_000


def seeds(few: int) -> list[int]:
    """`TORTURE_SEED` alone, else the first ones: `few`, or `TORTURE_SEEDS` of them."""
    if chosen := os.environ.get("TORTURE_SEED"):
        return [int(chosen)]
    return list(range(1, int(os.environ.get("TORTURE_SEEDS", few)) + 1))


def scenes() -> list[int]:
    """Seeds of what runs the whole daemon, which takes a minute each: one, or `TORTURE_SCENES` of them."""
    if chosen := os.environ.get("TORTURE_SEED"):
        return [int(chosen)]
    return list(range(1, int(os.environ.get("TORTURE_SCENES", "1")) + 1))


class NumberedSchema:
    """A document for each line `n` or `poison n`, spread over three days; its id depends on the line alone."""

    def __init__(self, namespace: str = "default") -> None:
        self._index = f"logs-aws.cloudtrail-{namespace}"

    def encoder(self, origin: Origin) -> Encoder:
        def encode(record: Record) -> Document | None:
            number = int(record.raw.split()[-1])
            if record.raw.startswith(b"unmappable"):
                raise BadInputError("no document for this")
            time_ms = _FIRST_MS + number * 400_000
            poison = b',"source":"text"' if record.raw.startswith(b"poison") else b""
            body = b'{"@timestamp":%d,"event":{"id":"%d"}%s}' % (time_ms, number, poison)
            return Document(identity(number), self._index, time_ms, body, record, origin)

        return encode


def identity(number: int) -> str:
    """The id of a record's document."""
    return document_id(_FIRST_MS + number * 400_000, str(number))


@dataclass
class Campaign:
    """A numbered source with planted poison.

    Attributes:
        good, poison: ids of what must be delivered, and of what the server refuses for good.
        broken: lines that are no record, or make no document.
    """

    seed: int
    contents: dict[str, bytes | Exception] = field(default_factory=dict)
    good: set[str] = field(default_factory=set)
    poison: set[str] = field(default_factory=set)
    broken: Counter[bytes] = field(default_factory=Counter)
    letters: MemoryDeadLetters = field(default_factory=MemoryDeadLetters)
    receipts: list[Receipt] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self._before = _forget_peak()
        lines = [self._line(number) for number in range(RECORDS)]
        for part in range(OBJECTS):
            self.contents[f"object{part}"] = b"\n".join(lines[part::OBJECTS])

    def _line(self, number: int) -> bytes:
        kind = self.chance.choices(["", "poison ", "unmappable ", "!"], [94, 2, 2, 2])[0]
        line = f"{kind}{number}".encode()
        if kind == "":
            self.good.add(identity(number))
        elif kind == "poison ":
            self.poison.add(identity(number))
        else:
            self.broken[line] += 1
        return line

    def run(self, sink: Sink, namespace: str = "default", *, again: Callable[[], None] | None = None) -> None:
        """Ship every object until it is done, as the coordinator does; `again` is called between two attempts."""
        stop = HastyStop()
        shipper = Shipper(
            formats={"lines": LinesFormat()},
            routes={"lines": Route(LinesReader(self.contents), (Lane({"lines": NumberedSchema(namespace)}, (sink,)),))},
            dead_letters=self.letters,
            metrics=Metrics(),
            stop=stop,
            patience=Patience(120.0),
        )
        for key in self.contents:
            for _ in range(100):
                try:
                    receipt = shipper.ship(lines_split(key))
                except RetryableError:
                    if again:
                        again()
                    continue
                self.receipts.append(receipt)
                break

    def judge(self, stored: Mapping[str, int], *, most_duplicates: int = 0) -> None:
        """Compare what arrived with what was sent.

        Args:
            stored: how often each id stands in the destination.
        """
        where = f"seed {self.seed}"
        refused = Counter(x.document_id for x in self.letters.letters if x.document_id)
        broken = {x.payload for x in self.letters.letters if not x.document_id}
        assert len(self.receipts) == OBJECTS, f"{where}: {OBJECTS - len(self.receipts)} objects were never done"
        assert self.good - set(stored) == set(), f"{where}: lost"
        assert set(stored) - self.good == set(), f"{where}: foreign"
        assert set(refused) == self.poison, f"{where}: the dead letters are not what was planted"
        assert broken == set(self.broken), f"{where}: broken lines are not what was planted"
        doubled = sum(stored.values()) - len(stored)
        assert doubled <= most_duplicates, f"{where}: {doubled} duplicates"
        tally = [receipt.sinks["siem"] for receipt in self.receipts]
        assert sum(receipt.read for receipt in self.receipts) == RECORDS, where
        assert sum(t.accounted for t in tally) == RECORDS, where
        assert sum(t.dead_lettered for t in tally) == RECORDS - len(self.good), where
        grown = _peak_megabytes() - self._before
        assert grown < MOST_MEGABYTES, f"{where}: {grown:.0f} MB more than at the beginning"


def _forget_peak() -> float:
    """Begin to measure the process's peak memory anew (proc(5), clear_refs); what it holds now, in megabytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak_megabytes()


def _peak_megabytes() -> float:
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) / 1024
