"""Which collector is next, as they fail and recover."""

from __future__ import annotations

from collections import Counter

from shipper.metrics import Metrics
from shipper.sinks.splunk_hec_breaker import Breakers


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def breakers(*urls: str) -> tuple[Breakers, Clock, Metrics]:
    clock, metrics = Clock(), Metrics()
    return Breakers("splunk", urls, metrics, clock), clock, metrics


def up(metrics: Metrics, url: str) -> float | None:
    return metrics.registry.get_sample_value("shipper_sink_endpoint_up", {"sink": "splunk", "endpoint": url})


def test_the_load_goes_round():
    """Each collector in turn."""
    made, _, _ = breakers("a", "b", "c")
    assert Counter(made.next() for _ in range(30)) == {"a": 10, "b": 10, "c": 10}


def test_one_that_fails_rests_and_is_tried_by_one_request():
    """Twice as long after each failure; the others carry the load meanwhile."""
    made, clock, metrics = breakers("a", "b")
    made.failed("a")
    assert up(metrics, "a") == 0
    assert {made.next() for _ in range(6)} == {"b"}
    clock.now += 1.1
    assert Counter(made.next() for _ in range(6))["a"] == 1
    made.failed("a")
    clock.now += 1.1
    assert {made.next() for _ in range(6)} == {"b"}
    clock.now += 1.0
    assert "a" in {made.next() for _ in range(3)}
    made.worked("a")
    assert up(metrics, "a") == 1
    assert Counter(made.next() for _ in range(20)) == {"a": 10, "b": 10}


def test_where_all_rest_the_first_to_end_is_tried():
    """There is always one to try: waiting is the retry loop's."""
    made, clock, _ = breakers("a", "b")
    made.failed("a")
    clock.now += 0.5
    made.failed("b")
    assert made.next() == "a"


def test_a_rest_is_never_longer_than_a_minute():
    """However often it failed."""
    made, clock, _ = breakers("a", "b")
    for _ in range(50):
        made.failed("a")
    clock.now += 60.1
    assert "a" in {made.next() for _ in range(2)}
