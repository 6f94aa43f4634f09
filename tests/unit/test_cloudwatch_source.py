"""The CloudWatch source beside its losslessness: which groups it finds, what waits while others go on, its cost."""

from __future__ import annotations

from typing import Any

import pytest

from shipper.errors import RetryableError
from shipper.sources.cloudwatch_tiers import amplification, calls_a_day, late_horizon, tiers_for
from tests.fakes.checkpoints import MemoryCheckpoints
from tests.fakes.cloudwatch_flow import NOW, Flow, identity
from tests.fakes.cloudwatch_logs import CloudWatchLogs, Group
from tests.fakes.s3 import TurnedClock

OTHER = "222222222222"
MS = int(NOW * 1000)


class World:
    """A fake AWS with some log groups, one event in each."""

    def __init__(self) -> None:
        self.clock = TurnedClock(NOW)
        self.logs = CloudWatchLogs(self.clock)
        self.store = MemoryCheckpoints(self.clock)
        self.names: dict[str, str] = {}

    def group(self, name: str, **more: Any) -> Group:
        group = self.logs.group(name, **more)
        self.put(group)
        return group

    def put(self, group: Group, stream: str = "s") -> None:
        (event,) = self.logs.put(group, stream, (int(self.clock.now * 1000) - 1000, "line"))
        self.names[identity(group, event)] = group.name if stream == "s" else f"{group.name} {stream}"

    def flow(self, **more: Any) -> Flow:
        return Flow(self.logs, self.clock, self.store, **more)

    def arrived(self, flow: Flow) -> list[str]:
        """The groups whose events arrived, after a look."""
        list(flow.steps())
        return sorted(self.names[name] for name in flow.sink.stored())


def test_groups_are_found_by_name_glob_and_arn():
    """A name means that name alone; a glob what it matches; an ARN one region and account; exclude wins."""
    world = World()
    for name in ("app", "app2", "/aws/lambda/a", "/aws/lambda/b", "/aws/rds/c", "flow"):
        world.group(name)
    globbed = world.flow(log_groups=["app", "/aws/lambda/*"], exclude=["*/b"])
    assert world.arrived(globbed) == ["/aws/lambda/a", "app"]
    arn = world.flow(log_groups=[f"arn:aws:logs:us-east-1:{OTHER}:log-group:flow"])
    assert world.arrived(arn) == []
    arn = world.flow(log_groups=["arn:aws:logs:us-east-1:111111111111:log-group:fl*:*"])
    assert world.arrived(arn) == ["flow"]


def test_a_relative_start_counts_from_awss_time():
    """This machine's clock, which counts until AWS has answered, is months away from the fake AWS's."""
    world = World()
    world.group("app")
    assert world.arrived(world.flow(start=lambda now: now - 3600)) == ["app"]
    assert world.store.cursors("flow")[""]["start"] == pytest.approx(NOW - 3600, abs=10)


def test_groups_are_found_by_tags():
    """All tags must be there; a value may be a glob."""
    world = World()
    world.group("yes", tags={"ship": "yes", "env": "prod-1"})
    world.group("no", tags={"ship": "no", "env": "prod-1"})
    world.group("none")
    assert world.arrived(world.flow(tags=[("ship", "yes"), ("env", "prod-*")])) == ["yes"]


def test_groups_of_linked_accounts():
    """By word or by id, and read by their ARN."""
    world = World()
    world.group("own")
    world.group("linked", account=OTHER)
    world.group("foreign", account="333333333333")
    world.logs.links = {"111111111111": {OTHER}}
    assert world.arrived(world.flow()) == ["own"]
    world.store = MemoryCheckpoints(world.clock)
    assert world.arrived(world.flow(accounts="linked")) == ["linked", "own"]
    world.store = MemoryCheckpoints(world.clock)
    assert world.arrived(world.flow(accounts=(OTHER,))) == ["linked"]


def test_two_sources_of_one_group_write_to_places_of_their_own():
    """Their filters may differ: one must not replace the other's files."""
    world = World()
    world.group("app")
    flows = [world.flow(name=name) for name in ("allowed", "denied")]
    assert [world.arrived(flow) for flow in flows] == [["app"], ["app"]]
    assert set(flows[0].sink.files).isdisjoint(flows[1].sink.files)


def test_several_regions_and_one_stream_prefix():
    """Each region is listed; streams of other names are left out."""
    world = World()
    world.put(world.group("here"), "web-1")
    world.put(world.group("there", region="eu-west-1"), "web-2")
    flow = world.flow(regions=["us-east-1", "eu-west-1"], stream_prefix="web-")
    assert world.arrived(flow) == ["here web-1", "there web-2"]


def test_new_groups_are_found_on_schedule_and_running_ones_are_left_alone():
    """A group that appears is read from its beginning; what is on its way of another stays on its way."""
    world = World()
    first = world.group("first")
    flow = world.flow()
    (flying,) = flow.source.splits()
    world.group("second")
    world.clock.now += 400
    (split,) = flow.source.splits()
    assert (flying.scope, split.scope.rpartition(":")[2]) == (first.arn, "second")
    assert world.store.pinned("flow") == [flying, split]


@pytest.mark.parametrize(("trouble", "state"), [("denied", "denied"), ("deleted", "deleted")])
def test_a_group_that_cannot_be_read_waits_and_the_others_go_on(trouble, state):
    """It says so in metrics and health, is tried again after a while, and then nothing of it is missing."""
    world = World()
    bad, good = world.group("bad"), world.group("good")
    flow = world.flow()
    flow.source.splits()
    list(flow.source._discover())
    setattr(bad, trouble, True)
    assert world.arrived(flow) == ["good"]
    assert flow.value("shipper_log_groups", state=state) == 1
    assert flow.value("shipper_log_groups", state="reading") == 1
    (line,) = flow.metrics.waiting()
    assert line.startswith(f"flow: log group {bad.arn}: ")
    assert flow.source.complete() == (state == "deleted"), "of a deleted group nothing more can be had"
    for _ in range(10):
        world.put(good)
        world.put(bad)
        flow.run(world.clock.now + 100)
    assert "bad" not in world.arrived(flow)
    setattr(bad, trouble, False)
    flow.run(world.clock.now + 1200)
    assert world.arrived(flow) == ["bad"] * 11 + ["good"] * 11
    assert flow.metrics.waiting() == []
    assert flow.source.complete()


def test_a_class_that_cannot_be_read_is_refused_by_name():
    """Without a single attempt to read it; the others go on, and the run is complete."""
    world = World()
    rare = world.group("rare", log_class="INFREQUENT_ACCESS")
    world.group("app")
    flow = world.flow()
    assert world.arrived(flow) == ["app"]
    assert flow.value("shipper_log_groups", state="refused") == 1
    assert "INFREQUENT_ACCESS cannot be read" in flow.metrics.waiting()[0]
    assert all(call.parameters.get("logGroupName") != rare.name for call in world.logs.calls)
    assert flow.source.complete()


def test_a_region_that_cannot_be_listed_does_not_hold_the_others_up():
    """The look fails once, and is good again until the region is tried again."""
    world = World()
    world.group("app")
    flow = world.flow(regions=["us-east-1", "eu-west-1"])
    call = world.logs.call

    def broken(operation: str, parameters: dict[str, Any], *, account: str, region: str) -> dict[str, Any]:
        if region == "eu-west-1":
            raise ConnectionError("no route")
        return call(operation, parameters, account=account, region=region)

    world.logs.call = broken  # type: ignore[method-assign]  # the network of one region is down
    with pytest.raises(RetryableError):
        flow.look()
    assert world.arrived(flow) == ["app"]
    assert flow.metrics.waiting() != []


def test_the_first_start_is_kept():
    """An age does not move with each restart; an earlier start later on has no effect."""
    world = World()
    app = world.logs.group("app", created=NOW - 86_400)
    (old,) = world.logs.put(app, "s", (MS - 5_000_000, "before the start"))
    flow = world.flow(start=NOW - 3600)
    list(flow.steps())
    world.clock.now += 7200
    later = world.flow(start=0.0)
    later.run(world.clock.now + 4000)
    assert identity(app, old) not in {*flow.sink.stored(), *later.sink.stored()}


def test_a_start_that_is_still_to_come_is_waited_for():
    """Nothing is read before, and nothing is asked."""
    world = World()
    app = world.logs.group("app")
    for second in (0, 700):
        world.logs.put(app, "s", (MS + second * 1000, "x"), visible_ms=MS + second * 1000)
    flow = world.flow(start=NOW + 600)
    flow.run(NOW + 500)
    assert world.logs.count() == 0
    assert flow.source.complete()
    flow.run(NOW + 1200)
    assert len(flow.sink.stored()) == 1


def test_quiet_groups_are_looked_at_less_often():
    """Every 300 s instead of every 150 s, as the forecast of an idle group says."""
    world = World()
    world.logs.group("quiet")
    flow = world.flow(tiers=tiers_for(15 * 3600.0))
    flow.run(NOW + 86_400)
    assert world.logs.count() == pytest.approx(calls_a_day(tiers_for(15 * 3600.0)), rel=0.1)


def test_what_is_kept_of_delivered_events_is_bounded():
    """Only what may be read again: twice the late horizon."""
    world = World()
    app = world.logs.group("app")
    for second in range(0, 20_000, 10):
        world.logs.put(app, "s", (MS + second * 1000, "x"), visible_ms=MS + second * 1000)
    flow = world.flow(tiers=tiers_for(600.0))
    flow.run(NOW + 20_300)
    assert len(flow.sink.stored()) == 2000
    assert world.store.open_hashes < 160


def test_a_message_longer_than_the_limit_is_a_dead_letter_of_its_own():
    """Known by the event, so that letters of other windows do not replace it."""
    world = World()
    app = world.logs.group("app")
    flow = world.flow()
    world.logs.put(app, "s", (MS - 1000, "x" * 1_048_577), (MS - 1000, "y" * 1_048_577), (MS, "fine"))
    list(flow.steps())
    assert len(flow.sink.stored()) == 1
    letters = flow.dead_letters.letters
    assert len({letter.position for letter in letters}) == len(letters) == 2
    assert all(letter.reason == "undecodable" and len(letter.payload) == 4096 for letter in letters)


@pytest.mark.parametrize("horizon", [180.0, 300.0, 600.0, 3600.0, 54_000.0, 86_400.0, 14 * 86_400.0])
def test_tiers_keep_the_horizon_that_is_asked_for(horizon):
    """And no event is read more than ten times or so."""
    tiers = tiers_for(horizon)
    assert late_horizon(tiers) == horizon
    assert amplification(tiers) < 11
    assert [tier.period for tier in tiers] == sorted(tier.period for tier in tiers)
