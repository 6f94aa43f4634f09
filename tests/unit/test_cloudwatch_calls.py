"""How CloudWatch Logs is called: paced, timed by AWS's clock, and told apart by error."""

from __future__ import annotations

import pickle
from email.utils import formatdate

import pytest

from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.sources.aws_clock import AwsClock
from shipper.sources.cloudwatch_calls import Budget, Calls, GroupError, TokenRefusedError
from tests.fakes.cloudwatch_client import Client
from tests.fakes.cloudwatch_flow import NOW, TurningStop
from tests.fakes.cloudwatch_logs import CloudWatchLogs
from tests.fakes.s3 import TurnedClock


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock(NOW)


@pytest.fixture
def logs(clock) -> CloudWatchLogs:
    made = CloudWatchLogs(clock)
    made.group("app")
    return made


@pytest.fixture
def calls(logs, clock) -> Calls:
    budget = Budget(3, clock)
    return Calls(
        "flow",
        client=lambda region: Client(logs, region=region),
        budget=lambda _: budget,
        metrics=Metrics(),
        stop=TurningStop(clock),
        clock=AwsClock(clock),
        monotonic=clock,
    )


def test_calls_keep_within_the_budget(calls, logs, clock):
    """Three a second, however fast they are asked for; AWS never has to refuse one."""
    logs.calls_per_second = 5
    for _ in range(30):
        calls.filter("us-east-1", logGroupName="app")
    assert clock.now - NOW == pytest.approx(29 / 3)
    assert logs.count(error="ThrottlingException") == 0


def test_a_throttled_call_is_made_again_with_the_same_token(calls, logs):
    """Others use the quota too."""
    logs.page_events = 1
    logs.put(next(iter(logs._groups.values())), "s", (1, "a"), (1, "b"))
    token = calls.filter("us-east-1", logGroupName="app")["nextToken"]
    logs.faults["app"] = ["throttle", "throttle", "reset", "unavailable"]
    page = calls.filter("us-east-1", logGroupName="app", nextToken=token)
    assert [event["message"] for event in page["events"]] == ["b"]
    assert {call.parameters.get("nextToken") for call in logs.calls[1:]} == {token}


def test_a_call_is_not_throttled_for_ever(calls, logs, clock):
    """After ten minutes the window is put aside, and the group says so."""
    logs.throttle_share = 1.0
    with pytest.raises(GroupError) as caught:
        calls.filter("us-east-1", logGroupName="app")
    assert (caught.value.state, caught.value.paused) == ("throttled", False)
    assert 600 < clock.now - NOW < 700


@pytest.mark.parametrize(
    ("change", "state"),
    [({"denied": True}, "denied"), ({"deleted": True}, "deleted"), ({"log_class": "DELIVERY"}, "refused")],
)
def test_a_group_that_cannot_be_read_is_told_apart_at_once(calls, logs, change, state):
    """Without a second attempt; the error survives the way between processes."""
    for name, value in change.items():
        setattr(next(iter(logs._groups.values())), name, value)
    with pytest.raises(GroupError) as caught:
        calls.filter("us-east-1", logGroupName="app")
    assert caught.value.state == state
    assert logs.count() == 1
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.state, str(again), again.retry_after) == (state, str(caught.value), caught.value.retry_after)


def test_a_service_that_does_not_answer_is_asked_five_times(calls, logs):
    """Then the window waits for a later look."""
    logs.faults["app"] = ["reset"] * 9
    with pytest.raises(RetryableError):
        calls.filter("us-east-1", logGroupName="app")
    assert len(logs.faults["app"]) == 4


def test_a_refused_token_is_no_error_of_the_group(calls):
    """The window begins again."""
    with pytest.raises(TokenRefusedError):
        calls.filter("us-east-1", logGroupName="app", nextToken="old")


def test_the_time_is_awss(clock):
    """It follows the Date header, keeps the best sample, and believes a clock that was put right."""
    aws = AwsClock(clock)
    assert not aws.known
    clock.now = 100.0
    aws.saw(formatdate(5000, usegmt=True))
    assert aws.now() == 5000
    clock.now = 110.9  # the header has whole seconds: this one says 5010 at 5010.9
    aws.saw(formatdate(5010, usegmt=True))
    assert aws.now() == pytest.approx(5010.9)
    aws.saw(formatdate(5100, usegmt=True))  # this machine slept
    assert aws.now() == pytest.approx(5100)
    aws.saw(formatdate(5050, usegmt=True))
    assert aws.now() == pytest.approx(5050)
    aws.saw("nonsense")
    aws.saw(None)
    assert aws.now() == pytest.approx(5050)
