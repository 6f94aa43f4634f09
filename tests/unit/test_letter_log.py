"""Dead letters make log lines: one for each split, with the reasons, the first words, the place and the next step."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import structlog

from shipper.delivery import Patience
from shipper.errors import RetryableError
from shipper.letter_log import MOST_REASONS, MOST_WORDS, LetterLog, words_of
from shipper.metrics import Metrics
from shipper.model import DeadLetter, Document, Origin, Rejection, SendResult
from shipper.replay import Replay
from shipper.shipping import Lane, Route, Shipper
from tests.fakes.pipeline import (
    HastyStop,
    LinesFormat,
    LinesReader,
    LinesSchema,
    MemoryDeadLetters,
    MemorySink,
    lines_split,
)

LETTER = DeadLetter(
    source="trail",
    sink="siem",
    split_id="split",
    logs="cloudtrail",
    origin=Origin("s3://bucket/key"),
    position=1,
    reason="document_parsing_exception",
    answer="document_parsing_exception: no",
    payload=b'{"secret":"hunter2"}',
)


def shipped(
    contents: dict[str, bytes | Exception], sink: MemorySink, letters: MemoryDeadLetters | None = None
) -> list[Any]:
    """The log lines of dead letters while one split with all objects is shipped."""
    shipper = Shipper(
        formats={"lines": LinesFormat()},
        routes={"lines": Route(LinesReader(contents), (Lane({"lines": LinesSchema()}, (sink,)),))},
        dead_letters=letters or MemoryDeadLetters(),
        metrics=Metrics(),
        stop=HastyStop(),
        patience=Patience(0.0),
    )
    with structlog.testing.capture_logs() as logged, contextlib.suppress(RetryableError):
        shipper.ship(lines_split(*contents))
    return [line for line in logged if "not shipped" in line["event"]]


def refusing(batch: Sequence[Document]) -> SendResult:
    """Refuse all documents of a batch, quoting their content."""
    rejected = [Rejection(n, "mapping", f"no number: '{each.body.decode()}'") for n, each in enumerate(batch)]
    return SendResult(delivered=0, rejected=tuple(rejected))


def test_a_split_with_letters_of_several_reasons_makes_one_line():
    """The counts of each reason are in it, the first words, the object and the command that shows the letters."""
    sink = MemorySink("siem", batch_documents=2)
    sink.script = [refusing, refusing]
    (line,) = shipped({"one": b"alpha\n!x\nbeta\ngamma\n!y\ndelta\n?z", "two": b"#"}, sink)
    assert (line["event"], line["letters"]) == ("not shipped, kept in the dead letters", 8)
    assert line["log_level"] == "warning"
    assert line["reasons"] == "4 mapping, 2 undecodable, 1 unmappable, 1 unreadable_object"
    assert line["first"] == "undecodable: not a record"
    assert (line["source"], line["object"], line["objects"]) == ("lines", "s3://bucket/one", 2)
    assert line["next"] == "shipper deadletters list --source lines"


def test_a_split_with_one_letter_names_its_object_alone():
    """The server's words stand in the line, and nothing of the record."""
    sink = MemorySink("siem")
    sink.script = [refusing]
    (line,) = shipped({"one": b"top-secret"}, sink)
    assert line["letters"] == 1
    assert line["first"] == "mapping: no number: '…'"
    assert "objects" not in line
    assert "top-secret" not in repr(line)


def test_a_split_without_letters_makes_no_line():
    """Nothing happened."""
    assert shipped({"one": b"fine"}, MemorySink("siem")) == []


def test_letters_of_a_split_that_is_given_back_are_told_all_the_same():
    """They are kept already when the sink fails."""
    sink = MemorySink("siem")
    sink.script = [RetryableError("down")]
    letters = MemoryDeadLetters()
    (line,) = shipped({"one": b"!x\nfine"}, sink, letters)
    assert line["reasons"] == "1 undecodable"
    assert len(letters.letters) == 1


def test_letters_that_the_store_refused_are_not_told():
    """They are not kept: the split waits."""
    letters = MemoryDeadLetters()
    letters.refusals = 10
    assert shipped({"one": b"!x"}, MemorySink("siem"), letters) == []


def test_letters_that_are_refused_again_by_a_replay_make_a_line_and_stand_in_its_account():
    """One line for each split, as at first."""
    store, sink = Kept(), MemorySink("siem")
    sink.script = [refusing]
    again = Replay({"siem": sink}, store, Metrics(), stop=HastyStop(), patience=Patience(0.0))
    letters = [replace(LETTER, document=b"hunter2", document_id=str(n), position=n) for n in range(2)]
    with structlog.testing.capture_logs() as logged:
        account = again.run(letters)
    (line,) = [line for line in logged if "not shipped" in line["event"]]
    assert (line["letters"], line["reasons"]) == (2, "2 mapping")
    assert account.first_refusal == line["first"] == "mapping: no number: '…'"


class Kept(MemoryDeadLetters):
    """A store that letters can be taken from."""

    def discard(self, ids: Sequence[int]) -> None:
        """Remove letters by their numbers."""
        self.letters = [each for each in self.letters if each.id not in ids]


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("failed to parse field [n] of type [long]. Preview of field's value: 'hunter2'", "field [n] of type [long]"),
        ('illegal_argument_exception: For input string: "hunter2"', "For input string: …"),
        ("failed to parse date field [hunter2] with format [strict_date]", "date field […] with format [strict_date]"),
        ("'hunter2' is not an IP string literal.", "'…' is not an IP string literal."),
        ("this cluster has [1000]/[1000] maximum normal shards open", "[1000]/[1000] maximum normal shards open"),
        ("mapper [secret] cannot be changed from type [long] to [text]", "mapper [secret] cannot be changed"),
    ],
)
def test_words_of_a_refusal_name_fields_and_never_values(answer, shown):
    """Names of fields and types help; values of the record may be secrets."""
    words = words_of(replace(LETTER, answer=answer))
    assert shown in words
    assert "hunter2" not in words


def test_values_that_json_escapes_are_left_out_too():
    """The record's bytes spell them another way than the server does."""
    secret = 'pass"wörd'
    letter = replace(LETTER, payload=b'{"secret":"pass\\"w\\u00f6rd"}', answer=f"no number: '{secret}'")
    assert words_of(letter).endswith("no number: '…'")


def test_words_and_reasons_are_bounded():
    """A server may say anything."""
    assert len(words_of(replace(LETTER, answer="['" * 1_000_000))) < MOST_WORDS + 50
    noted = LetterLog(MemoryDeadLetters())
    noted.put([replace(LETTER, reason=f"reason-{n}") for n in range(MOST_REASONS + 5)])
    with structlog.testing.capture_logs() as logged:
        noted.write()
        noted.write()
    (line,) = logged
    assert line["reasons"].count(",") == MOST_REASONS
    assert line["reasons"].endswith(", 5 others")


@pytest.mark.parametrize(
    ("uri", "key"), [("arn:aws:logs:eu-west-1:1:log-group:/a", "group"), ("sqs://queue/1", "message")]
)
def test_letters_of_log_groups_and_messages_name_them(uri, key):
    """Not everything is an object."""
    noted = LetterLog(MemoryDeadLetters())
    noted.put([replace(LETTER, origin=Origin(uri))])
    with structlog.testing.capture_logs() as logged:
        noted.write()
    assert logged[0][key] == uri
