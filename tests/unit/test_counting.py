"""Numbers in sentences, and ages in either spelling."""

from __future__ import annotations

import time

import pytest

from shipper.commands.letters import seconds_of
from shipper.config.values import start_seconds
from shipper.counting import agreeing, counted, named


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 objects"), (1, "1 object"), (2, "2 objects"), (2000, "2,000 objects")]
)
def test_a_noun_has_its_number(number, text):
    """Zero is plural."""
    assert counted(number, "object") == text


def test_verbs_have_it_too():
    """Where the plural is no s."""
    assert (counted(1, "stays", "stay"), counted(3, "stays", "stay")) == ("1 stays", "3 stay")


@pytest.mark.parametrize(
    ("words", "one"),
    [
        ("objects with a receipt are gone from the bucket", "1 object with a receipt is gone from the bucket"),
        ("splits were settled a moment ago, and are left", "1 split was settled a moment ago, and is left"),
        ("log groups are not counted in siem", "1 log group is not counted in siem"),
        ("objects have no receipt, and no sink for their documents", "1 object has no receipt, and no sink for its"),
    ],
)
def test_sentences_agree_with_their_number(words, one):
    """One is and many are."""
    assert agreeing(1, words).startswith(one)
    assert agreeing(2, words) == f"2 {words}"


def test_names_in_a_row_say_how_many_more_there_are():
    """A bounded list is no whole one."""
    assert (named(["a", "b"], 2), named(["a", "b"], 5)) == ("a, b", "a, b and 3 more")


@pytest.mark.parametrize("age", ["7d", "-7d", "168h", "-168h", "1w", "-1w"])
def test_ages_are_read_in_either_spelling_everywhere(age):
    """`audit --since`, `backfill --since`, `start`, and `deadletters --since` take the same."""
    now = time.time()
    assert start_seconds(age, now) == now - 7 * 86_400
    found = seconds_of(age)
    assert found is not None
    assert abs(found - (now - 7 * 86_400)) < 60
