"""How much a sink takes at a time, and when refusals are its set-up's fault."""

from __future__ import annotations

from shipper.model import Rejection
from shipper.pace import Pace


def refusals(count: int, reason: str = "mapper_parsing_exception", *, stored: bool = False) -> list[Rejection]:
    return [Rejection(n, reason, "no", stored) for n in range(count)]


def test_a_busy_server_gets_half_as_much_and_a_well_one_twice():
    """Halved from what was sent, never below ten; doubled only by attempts that used all that was allowed."""
    pace = Pace()
    pace.busy(1000)
    assert pace.documents == 500
    pace.well(100)
    assert pace.documents == 500
    pace.well(500)
    assert pace.documents == 1000
    for _ in range(20):
        pace.busy(1000)
    assert pace.documents == 10


def test_more_than_the_share_refused_alike_is_the_set_ups_fault():
    """Only those of the one reason wait; the others are dead letters by themselves."""
    pace = Pace(0.5)
    mixed = [*refusals(60), Rejection(99, "too_large", "no")]
    assert pace.refused_alike(100, mixed) == mixed[:60]
    assert pace.refused_alike(120, refusals(60)) == []


def test_a_handful_of_refusals_is_never_a_pause():
    """A small batch that is wholly poison is poison."""
    assert Pace(0.1).refused_alike(49, refusals(49)) == []


def test_what_the_server_keeps_aside_is_not_sent_again():
    """A failure store would hold it once more with each attempt."""
    assert Pace(0.1).refused_alike(100, refusals(100, stored=True)) == []


def test_a_share_of_one_never_pauses():
    """For those who would rather have it all in the dead letters."""
    assert Pace(1.0).refused_alike(100, refusals(100)) == []


def send(pace: Pace, refused: int, sent: int = 10, group: str = "trail", held_for: str = "") -> int:
    """Report an attempt of which some documents were refused alike, and return how many of them wait."""
    return len(pace.refused_alike(sent, refusals(refused), group, held_for=held_for))


def test_a_run_of_small_batches_that_are_refused_alike_is_the_set_ups_fault():
    """A quiet source sends a few documents at a time: fifty over time are as many as fifty at once, for all splits."""
    pace = Pace(0.5)
    assert [send(pace, 9) for _ in range(7)] == [0, 0, 0, 0, 0, 9, 9]
    assert send(pace, 1, 1) == 1
    assert send(pace, 4) == 0, "most of this batch went through: those few are at fault by themselves"


def test_refusals_among_many_that_go_through_are_no_run():
    """However many there are in the end: each time most of what was sent since the first of them got through."""
    pace = Pace(0.5)
    assert {send(pace, 6, 10) + send(pace, 0, 20) for _ in range(100)} == {0}
    assert pace._runs == {}


def test_what_others_receive_does_not_hide_the_fault_of_one():
    """Runs are those of one data stream: another one that does well says nothing of it."""
    pace = Pace(0.5)
    waits = [send(pace, 10) + send(pace, 0, 5000, "flows") for _ in range(5)]
    assert waits == [0, 0, 0, 0, 10]
    assert send(pace, 10, group="flows") == 0


def test_what_waits_goes_on_waiting_until_most_of_it_is_taken():
    """A held batch is not counted again, and is never too small to wait; what is left in the end is its own fault."""
    pace = Pace(0.5)
    assert send(pace, 60, 60) == 60
    assert [send(pace, 60, 60, held_for="mapper_parsing_exception") for _ in range(3)] == [60, 60, 60]
    assert send(pace, 3, 4, held_for="mapper_parsing_exception") == 3
    assert send(pace, 1, 60, held_for="mapper_parsing_exception") == 0
    assert pace._runs == {}
    assert send(pace, 1, 1, held_for="mapper_parsing_exception") == 0, "another batch has shown that it is mended"


def test_a_fault_that_is_followed_by_another_one_still_waits():
    """The server's set-up was changed, and refuses what waited for another reason: nothing is given up for it."""
    pace = Pace(0.5)
    assert send(pace, 60, 60) == 60
    other = refusals(20, "script_exception")
    assert pace.refused_alike(20, other, "trail", held_for="mapper_parsing_exception") == other
    assert pace.refused_alike(20, other, "trail", held_for="script_exception") == other


def test_reasons_are_counted_each_for_itself():
    """Two kinds of refusals of a third each are two kinds of bad documents."""
    pace = Pace(0.5)
    for _ in range(50):
        mixed = [*refusals(4, "a"), *refusals(4, "b")]
        assert pace.refused_alike(12, mixed, "trail") == []


def test_endless_kinds_of_refusals_take_bounded_memory():
    """A server's words are no limit of ours."""
    pace = Pace(0.5)
    for number in range(5000):
        pace.refused_alike(1, refusals(1, f"kind {number}"), "trail")
    assert len(pace._runs) <= 1000


def test_a_sink_is_paused_as_long_as_one_of_its_outlets_waits():
    """What the others deliver meanwhile does not take the alarm back."""
    pace = Pace(0.5)
    assert pace.paused(1, waits=True)
    assert pace.paused(2, waits=False)
    assert not pace.paused(1, waits=False)
