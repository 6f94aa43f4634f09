"""What an audit calls a difference, and what it does not: the arithmetic between receipts, sinks and dead letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shipper.audit.account import Account, Difference
from shipper.audit.asking import Asker, AskingSink, Letters
from shipper.audit.comparison import Comparison
from shipper.audit.ledger import Ledger
from shipper.checkpoints.sqlite import SqliteCheckpoints
from shipper.commands.audit import lines_of
from shipper.deadletters.sqlite import SqliteDeadLetters
from shipper.errors import UnreadableKind
from shipper.model import Document, Doubled, Origin, Receipt, Record, S3Object, S3Split, Split, Tally, Unread
from shipper.ports import Stop
from tests.fakes.checkpoints import MemoryCheckpoints
from tests.fakes.pipeline import MemorySink

OBJECT = S3Object("trail", "key", 10, "etag", 500.0)
SPLIT = S3Split("split", "s3", "scope", "cloudtrail", (OBJECT,))
READ = 10


def document(number: int) -> Document:
    return Document(f"id{number}", "index", number, b"{}", Record(b"{}", number), Origin(OBJECT.uri, "trail", "key"))


@dataclass
class HeldByMemory:
    """A recount of what a test says that a sink holds.

    Attributes:
        held: ids, as often as they are stored under the object's own address.
        elsewhere: ids that are stored under another object's.
        gone: everything stored before has been deleted.
    """

    held: list[str]
    elsewhere: set[str] = field(default_factory=set)
    gone: bool = False
    by_id: bool = True
    doubles: bool = False
    asked: int = 0

    def count(self, splits: Sequence[S3Split]) -> list[int | None]:
        return [len(self.held) for _ in splits]

    def count_events(self, region: str, group: str, first_ms: int, last_ms: int) -> int | None:
        return None

    def doubled(self, paths: Sequence[str]) -> dict[str, Doubled]:
        more = sorted(each for each, number in Counter(self.held).items() if number > 1)
        extra = len(self.held) - len(set(self.held))
        return {path: Doubled(len(self.held), extra, tuple(more)) for path in paths if extra and self.by_id}

    def doubled_events(self, region: str, group: str, first_ms: int, last_ms: int) -> Doubled:
        return Doubled()

    def missing(self, documents: Sequence[Document]) -> list[int]:
        self.asked += 1
        held = {*self.held, *self.elsewhere}
        return [place for place, each in enumerate(documents) if each.id not in held]

    def expired(self, index: str, time_ms: int, stored_at: float) -> bool:
        return self.gone


@dataclass
class World:
    """One split of ten records, of which some are filtered and some are no documents, in one sink.

    Attributes:
        filtered, undecodable: how its records end when they are read now.
        letters: ids of documents that are kept as dead letters.
        unread: why the object cannot be read now.
    """

    folder: Path
    recount: HeldByMemory
    filtered: int = 0
    undecodable: int = 0
    letters: set[str] = field(default_factory=set)
    unread: UnreadableKind | None = None

    def audit(self, tally: Tally, *, repair: bool = False) -> tuple[Account, MemorySink]:
        """Settle the split with a tally, and compare."""
        store = MemoryCheckpoints(clock=lambda: 1000.0)
        store.settle(SPLIT, Receipt("split", "s3", READ, 10, {"siem": tally}, 7), [], [])
        own = SqliteCheckpoints(self.folder / "audit" / "checkpoints.sqlite")
        real = MemorySink("siem")
        sink = AskingSink(real, self.recount, lambda found: found.id in self.letters)
        account, ledger = Account(), Ledger([store], own)
        letters = SqliteDeadLetters(self.folder / "letters.sqlite", 10**7)
        comparison = Comparison(
            account,
            ledger,
            {"siem": sink},
            Asker(lambda split: self._ship(sink, split), Letters(letters)),
            index_of=lambda _, __: "index",
            stop=Stop(),
            repair=repair,
        )
        comparison.count("s3", ledger.splits(["s3"], 0.0))
        own.close()
        letters.close()
        return account, real

    def _ship(self, sink: AskingSink, split: Split) -> Receipt:
        delivery = sink.open(split)
        if self.unread:
            return Receipt("split", "s3", 0, 0, {"siem": Tally()}, unread=(Unread(OBJECT, self.unread, "no"),))
        documents = [document(number) for number in range(READ - self.filtered - self.undecodable)]
        result = delivery.send(documents)
        delivery.finish()
        tally = Tally(result.delivered, result.present, self.filtered, self.undecodable)
        return Receipt("split", "s3", READ, 10, {"siem": tally}, 7)


def ids(*numbers: int) -> list[str]:
    return [f"id{number}" for number in numbers]


ALL = ids(*range(READ))


def test_equal_numbers_ask_for_nothing(tmp_path: Path) -> None:
    """Delivered, present and repaired together are what the sink should hold."""
    world = World(tmp_path, HeldByMemory(ALL))
    account, _ = world.audit(Tally(delivered=7, present=2, repaired=1))
    assert (account.differences, account.remarks, world.recount.asked) == ([], {}, 0)


@pytest.mark.parametrize(
    ("recount", "letters", "tally"),
    [
        (HeldByMemory(ids(*range(8)), {"id8", "id9"}), set(), Tally(delivered=8, present=2)),
        (HeldByMemory(ALL), set(), Tally(delivered=9, dead_lettered=1)),
        (HeldByMemory(ids(*range(9))), {"id9"}, Tally(delivered=9, dead_lettered=1)),
        (HeldByMemory(ids(*range(8)), {"id8"}), {"id9"}, Tally(delivered=8, present=1, dead_lettered=1)),
    ],
    ids=["brought by another object", "replayed", "a dead letter", "both"],
)
def test_what_is_there_by_its_id_is_no_difference(
    tmp_path: Path, recount: HeldByMemory, letters: set[str], tally: Tally
) -> None:
    """Wherever it stands; dead letters are kept for themselves."""
    account, _ = World(tmp_path, recount, letters=letters).audit(tally)
    assert (account.differences, account.remarks) == ([], {})


@pytest.mark.parametrize("copies", [1, 2])
def test_doubles_are_a_difference_with_their_ids_and_hide_no_loss(tmp_path: Path, copies: int) -> None:
    """As many copies too many as documents lost: the numbers agree, and both are told. Nothing is deleted."""
    world = World(tmp_path, HeldByMemory([*ALL[1:], *ids(3) * copies]))
    account, real = world.audit(Tally(delivered=10), repair=True)
    assert [(each.kind, each.expected, each.found, each.ids) for each in account.differences] == [
        ("doubled", 9, 9 + copies, ("id3",)),
        ("missing", 10, 9, ("id0",)),
    ]
    assert (account.doubled, account.lacking, account.repaired) == (copies, 1, 1)
    assert list(real.stored) == ["id0"]
    assert (account.as_json()["ok"], account.as_json()["doubled"]) == (False, copies)


def test_doubles_alone_are_never_called_no_differences(tmp_path: Path) -> None:
    """Nothing is missing, so that nothing is to be repaired; each object is told once, however many receipts it has."""
    account, _ = World(tmp_path, HeldByMemory([*ALL, *ids(3)])).audit(Tally(delivered=10))
    lines = lines_of(account)
    assert lines[-1] == "1 document is there once too often: see docs/audit.md, Doubles"
    assert not any("no differences" in line or "missing in" in line or "--repair" in line for line in lines)
    assert any("id3" in line for line in lines)


def test_loosened_filters_excuse_as_many(tmp_path: Path) -> None:
    """A receipt has numbers, not ids: three filtered then. A fourth missing one is a difference."""
    tally = Tally(delivered=7, filtered=3)
    account, _ = World(tmp_path, HeldByMemory(ids(*range(7)), {"elsewhere"})).audit(tally)
    assert account.differences == []
    world = World(tmp_path, HeldByMemory(ids(*range(6))))
    account, _ = world.audit(tally)
    assert [each.lacking for each in account.differences] == [4]
    assert account.differences[0].why == "3 at most were filtered then"


def test_letters_that_got_through_since_excuse_no_loss(tmp_path: Path) -> None:
    """One refused then and replayed since, one lost: the numbers agree, the ids do not."""
    world = World(tmp_path, HeldByMemory(ids(*range(8), 9)))
    account, _ = world.audit(Tally(delivered=9, dead_lettered=1))
    assert [(each.lacking, each.ids) for each in account.differences] == [(1, ("id8",))]


def test_records_that_are_no_documents_excuse_nothing(tmp_path: Path) -> None:
    """They are undecodable now as then: the loss beside them is one."""
    world = World(tmp_path, HeldByMemory(ids(*range(7))), undecodable=2)
    account, _ = world.audit(Tally(delivered=8, dead_lettered=2))
    assert [(each.lacking, each.why) for each in account.differences] == [(1, "")]


def test_what_was_deleted_with_its_index_is_expired(tmp_path: Path) -> None:
    """All of it without reading the objects again; some of it after that."""
    world = World(tmp_path, HeldByMemory([], gone=True))
    account, _ = world.audit(Tally(delivered=10))
    assert (account.differences, sum(account.remarks.values()), world.recount.asked) == ([], 10, 0)
    account, _ = World(tmp_path, HeldByMemory(ids(0, 1), gone=True)).audit(Tally(delivered=10))
    assert (account.differences, sum(account.remarks.values())) == ([], 8)


@pytest.mark.parametrize(("present", "lacking"), [(0, [3]), (3, [])])
def test_of_an_object_that_is_gone_only_what_was_new_is_surely_lost(
    tmp_path: Path, present: int, lacking: list[int]
) -> None:
    """What was present may stand under another object's address, and nobody can tell any more."""
    world = World(tmp_path, HeldByMemory(ids(*range(7))), unread="missing")
    account, real = world.audit(Tally(delivered=10 - present, present=present), repair=True)
    assert [each.lacking for each in account.differences] == lacking
    assert not any(each.repaired for each in account.differences)
    assert real.stored == {}
    assert sum(account.remarks.values()) == 1


def test_when_all_is_lost_memory_is_bounded() -> None:
    """The first differences are named, the others counted."""
    account = Account()
    for number in range(120):
        account.tell([Difference("s3", "siem", f"{number}-{place}", "missing", 5, 3) for place in range(100)])
    assert (len(account.differences), account.untold, account.lacking) == (10_000, 2_000, 24_000)
    assert account.as_json()["ok"] is False


def test_a_repair_sends_only_what_is_missing(tmp_path: Path) -> None:
    """Not what is there, nor what is a dead letter; and it keeps a receipt of its own."""
    world = World(tmp_path, HeldByMemory(ids(*range(7))), letters={"id9"})
    account, real = world.audit(Tally(delivered=9, dead_lettered=1), repair=True)
    assert [each.repaired for each in account.differences] == [True]
    assert lines_of(account)[-2:] == [
        "2 records were missing in 1 place",
        "shipped again; the next audit says whether they arrived",
    ]
    assert sorted(real.stored) == ["id7", "id8"]
    own = SqliteCheckpoints(tmp_path / "audit" / "checkpoints.sqlite")
    (kept,) = own.settled("s3")
    own.close()
    assert (kept.split, kept.lines["siem"].delivered, kept.lines["siem"].present) == (SPLIT, 2, 8)


def test_what_splunk_cannot_tell_apart_is_not_repaired(tmp_path: Path) -> None:
    """Sending the split again would double the others; more than there should be is a difference of its own."""
    world = World(tmp_path, HeldByMemory(ids(*range(9)), by_id=False, doubles=True))
    account, real = world.audit(Tally(delivered=10), repair=True)
    assert [(each.lacking, each.repaired) for each in account.differences] == [(1, False)]
    assert real.stored == {}
    account, _ = World(tmp_path, HeldByMemory([*ALL, "x"], by_id=False, doubles=True)).audit(Tally(delivered=10))
    assert [(each.kind, each.extra, each.lacking) for each in account.differences] == [("doubled", 1, 0)]


@pytest.mark.parametrize(
    ("repaired", "told"),
    [
        ([False], ["1 record is missing in 1 place", "shipper audit --repair ships them again, under the same ids"]),
        ([True], ["1 record was missing in 1 place", "shipped again; the next audit says whether they arrived"]),
        (
            [True, False],
            [
                "2 records were missing in 2 places",
                "1 of them shipped again, 1 not; the next audit says whether they arrived",
            ],
        ),
    ],
)
def test_the_summary_says_what_is_and_what_was_missing(repaired: list[bool], told: list[str]) -> None:
    """One record is no records, and what has been shipped again is not missing any more as far as is known."""
    account = Account()
    account.pair("s3", "siem").splits = 1
    account.tell([Difference("s3", "siem", f"x{n}", "missing", 5, 4) for n in range(len(repaired))])
    for difference, done in zip(account.differences, repaired, strict=True):
        if done:
            account.mend(difference)
    written = lines_of(account)
    assert written[0] == "s3 → siem: 0 records of 1 split counted"
    assert written[-2:] == told
