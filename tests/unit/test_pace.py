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
