"""A small object cannot become a flood: of documents, of bytes or of dead letters."""

from __future__ import annotations

import gzip

import orjson
import pytest

from shipper.build import LOG_TYPES
from shipper.delivery import Patience
from shipper.floods import FREE_BYTES, LOOK_EVERY
from shipper.metrics import Metrics
from shipper.model import OutputLimits, ReadLimits, Receipt, S3Split
from shipper.ports import Lookups, Stop
from shipper.shipping import Lane, Route, Shipper
from tests.fakes import cloudtrail
from tests.fakes.pipeline import (
    HastyStop,
    LinesFormat,
    LinesReader,
    LinesSchema,
    MemoryDeadLetters,
    MemorySink,
    lines_split,
)

LIMITS = ReadLimits()


class Bench:
    """A shipper of lines with limits, over fakes."""

    def __init__(self, content: bytes, **limits: int) -> None:
        self.sink = MemorySink()
        self.letters = MemoryDeadLetters()
        shipper = Shipper(
            formats={"lines": LinesFormat()},
            routes={
                "lines": Route(LinesReader({"a": content, "b": b"ok"}), (Lane({"lines": LinesSchema()}, (self.sink,)),))
            },
            dead_letters=self.letters,
            metrics=Metrics(),
            stop=HastyStop(),
            patience=Patience(0),
            output=OutputLimits(**limits),
        )
        self.receipt = shipper.ship(lines_split("a", "b"))

    @property
    def tally(self) -> tuple[int, int]:
        found = self.receipt.sinks["memory"]
        return found.delivered, found.dead_lettered


def ship_gzip(logs: str, text: bytes) -> tuple[Receipt, MemorySink, MemorySink, MemoryDeadLetters]:
    """Ship one gzip object of a log type into a sink of each kind, by the usual limits."""
    chosen, letters = LOG_TYPES[logs], MemoryDeadLetters()
    ecs, splunk = MemorySink("ecs"), MemorySink("splunk", "splunk")
    lanes = (
        Lane({logs: chosen.ecs("test", Lookups())}, (ecs,)),
        Lane({logs: chosen.splunk("aws", "host", Lookups())}, (splunk,)),
    )
    shipper = Shipper(
        formats={logs: chosen.format(LIMITS)},
        routes={"source": Route(LinesReader({"key": gzip.compress(text, mtime=0)}), lanes)},
        dead_letters=letters,
        metrics=Metrics(),
        stop=Stop(),
        patience=Patience(0),
    )
    return shipper.ship(S3Split("split", "source", "s", logs, lines_split("key").objects)), ecs, splunk, letters


@pytest.mark.parametrize(
    ("line", "limits", "key"),
    [
        (b"x", {"records": 1000}, "object_records"),
        (b"x" * 1000, {"made_bytes": 1_000_000}, "object_made_bytes"),
    ],
)
def test_an_object_over_a_limit_is_one_dead_letter(line: bytes, limits: dict[str, int], key: str) -> None:
    """What came before is delivered and accounted for, the rest is named with the key to raise, neighbours go on."""
    bench = Bench(b"\n".join([line] * 5000), **limits)
    assert bench.receipt.unaccounted == 0
    (letter,) = bench.letters.letters
    assert (letter.reason, letter.position, letter.origin.key) == ("unreadable_object", None, "a")
    assert f"limits.{key}" in letter.answer
    assert bench.tally == (1000 + 1 if key == "object_records" else bench.receipt.read - 1, 1)
    assert 1000 <= bench.receipt.read < 1000 + 2 * LOOK_EVERY + 3


def test_what_is_made_of_next_to_nothing_is_bounded() -> None:
    """The ratio of documents to the object as stored; nothing is said of the first 16 MiB."""
    line = orjson.dumps({"eventTime": "2026-01-02T03:04:05Z", "eventName": "X", "requestParameters": "y" * 20_000})
    receipt, ecs, _, letters = ship_gzip("cloudtrail", b'{"Records":[' + b",".join([line] * 3000) + b"]}")
    (letter,) = letters.letters
    assert receipt.unaccounted == 0
    assert "limits.object_made_ratio" in letter.answer
    most = max(FREE_BYTES, OutputLimits().made_ratio * receipt.bytes_in)
    assert most / 2 < sum(map(len, ecs.stored.values())) < most + 3 * LOOK_EVERY * len(line)


def test_a_million_empty_records_are_few_dead_letters() -> None:
    """`{}` is no record, and dead letters are an output too."""
    receipt, ecs, splunk, letters = ship_gzip("cloudtrail", b'{"Records":[' + b"{}," * 999_999 + b"{}]}")
    assert receipt.unaccounted == 0
    assert not ecs.stored
    assert not splunk.stored
    assert len(letters.letters) <= OutputLimits().letters + 1
    assert [letter.reason for letter in letters.letters if letter.position is None] == ["unreadable_object"]


@pytest.mark.parametrize("text", [b"{}", b'{"a":{"eventTime":"2026-01-02T03:04:05Z"}}', b'{"x":"\\"eventTime\\""}'])
@pytest.mark.parametrize("form", [b'{"Records":[%b]}', b"%b\n%b", b"[%b]"], ids=["records", "lines", "array"])
def test_what_nothing_tells_for_a_record_is_none(form: bytes, text: bytes) -> None:
    """An object's name gives a time to records that have none, but only to records."""
    _, ecs, splunk, letters = ship_gzip("cloudtrail", form.replace(b"%b", text))
    assert (ecs.stored, splunk.stored) == ({}, {})
    assert letters.letters


def test_bad_records_are_kept_up_to_a_number_and_their_neighbours_go_on() -> None:
    """The others are counted in one letter of the object; whoever writes bad lines takes no good ones away."""
    bench = Bench(b"\n".join([b"!bad", b"?bad too", b"good", b"good", b"good", b"good"] * 500), letters=10)
    assert bench.receipt.unaccounted == 0
    assert bench.tally == (2001, 1000)
    assert len(bench.letters.letters) == 11
    last = bench.letters.letters[-1]
    assert (last.position, last.reason) == (None, "unreadable_object")
    assert "990 dead letters" in last.answer


def test_an_object_of_mostly_bad_records_is_given_up() -> None:
    """Its rest is one dead letter, with what was delivered before accounted for."""
    bench = Bench(b"\n".join([b"good"] * 50 + [b"!bad"] * 100_000), letters=10)
    assert bench.receipt.unaccounted == 0
    assert bench.receipt.read < 500
    assert bench.tally[0] == 51
    assert len(bench.letters.letters) == 11
    assert "most of its first" in bench.letters.letters[-1].answer


@pytest.mark.parametrize("name", ["logGroup", "logStream", "owner"])
def test_a_long_name_is_not_repeated_in_each_document(name: str) -> None:
    """A stream's name of 1 MB times 10,000 events would be 10 GB; AWS's own names have 512 characters at most."""
    events = [{"id": f"{n:056d}", "timestamp": 1_767_323_045_000 + n, "message": "m"} for n in range(1000)]
    envelope = {
        "messageType": "DATA_MESSAGE",
        "owner": "111122223333",
        "logGroup": "/app",
        "logStream": "s",
        "subscriptionFilters": ["f"],
        "logEvents": events,
    }
    one, two = ({**envelope, name: "n" * 1_000_000 + end} for end in "ab")
    receipt, ecs, splunk, letters = ship_gzip("cloudwatch", orjson.dumps(one) + orjson.dumps(two))
    assert (receipt.read, letters.letters) == (2000, [])
    assert len(ecs.stored) == len(splunk.stored) == 2000  # two names stay two
    for sink in (ecs, splunk):
        assert max(map(len, sink.stored.values())) < 4_000


def test_honest_objects_are_far_below_the_limits() -> None:
    """A busy hour of one account, packed as AWS packs it: the ratio is a few dozen."""
    ((_, packed),) = cloudtrail.recent(7).objects(1, 500)
    receipt, ecs, splunk, letters = ship_gzip("cloudtrail", gzip.decompress(packed))
    assert (letters.letters, receipt.sinks["ecs"].delivered) == ([], 500)
    for sink in (ecs, splunk):
        assert sum(map(len, sink.stored.values())) < OutputLimits().made_ratio / 10 * receipt.bytes_in
