"""The demo's generator, its detective, and what it shows, without any server."""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from rich.console import Console

from shipper.build import LOG_TYPES
from shipper.demo.arrived import Arrived, read
from shipper.demo.findings import find_intruder
from shipper.demo.flows import knocks, talkers, volumes
from shipper.demo.networks import write_geoip
from shipper.demo.next_steps import commands
from shipper.demo.organisation import Organisation, StoredObject, records
from shipper.demo.principals import PRINCIPALS
from shipper.demo.show import _folder
from shipper.demo.story import tell_receipts, tell_story
from shipper.demo.tables import folded, size
from shipper.demo.traffic import INTERFACES, LOG_FORMAT, LOG_GROUP, Flow, Traffic, batches
from shipper.enrich.geo import Geo
from shipper.enrich.sessions import Sessions
from shipper.errors import ConfigError
from shipper.flow_layouts import layout_from_log_format
from shipper.metrics import Metrics
from shipper.model import IamPrincipal, LogEvent, LogStream, Origin, Payload, ReadLimits, Record, Tally
from shipper.ports import Lookups, Stop
from shipper.service import Summary

NOW = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
MOMENTS = [
    NOW,
    datetime(2026, 3, 1, 0, 5, tzinfo=UTC),  # a Sunday night
    datetime(2026, 3, 2, 9, 15, tzinfo=UTC),  # a Monday morning, when the night's incident is hours old
    datetime(2028, 2, 29, 23, 59, tzinfo=UTC),
]


class Iam:
    """A `PrincipalLookup` that knows the demo's roles and users from the beginning."""

    def __init__(self) -> None:
        self._known = {
            f"arn:aws:iam::{one.account.id}:{one.kind}/{one.name}": IamPrincipal(one.path, one.description, one.tags)
            for one in PRINCIPALS
        }

    def __call__(self, arn: str) -> IamPrincipal | None:
        return self._known.get(arn)

    def learn(self, arn: str, change: Mapping[str, Any], kind: str, at: float) -> None:
        """Nothing that the demo's records tell changes a principal that it knows."""


def arrive(folder: Path, objects: list[StoredObject], flows: Sequence[Flow] = (), *, sessions: bool = True) -> Arrived:
    """What the archive would hold, read back.

    Args:
        sessions: whether the person behind a role is looked for.
    """
    known = Sessions(None, Metrics(), Stop()) if sessions else None
    geo = Geo(*write_geoip(folder))
    format_, schema = (
        LOG_TYPES["cloudtrail"].format(ReadLimits()),
        LOG_TYPES["cloudtrail"].ecs("default", Lookups(geo=geo, principals=Iam(), sessions=known)),
    )
    lines = []
    for stored in objects:
        if "/CloudTrail-Digest/" in stored.key:
            continue
        origin = Origin(f"s3://bucket/{stored.key}", "bucket", stored.key)
        encode = schema.encoder(origin)
        for record in format_.records(Payload(origin, iter([stored.body]))):
            assert isinstance(record, Record), record
            document = encode(record)
            assert document is not None
            lines.append(document.body)
    archive(folder, "aws.cloudtrail", lines)
    archive(folder, "aws.vpcflow", flow_documents(geo, flows))
    return read(folder / "archive")


def flow_documents(geo: Geo, flows: Sequence[Flow]) -> list[bytes]:
    """The documents of events of the log group."""
    encode = LOG_TYPES["vpcflow"].ecs("default", Lookups(geo=geo)).encoder(Origin("arn"))
    layout = layout_from_log_format(LOG_FORMAT)
    documents = []
    for number, flow in enumerate(flows):
        stream = LogStream("444455556666", "eu-central-1", LOG_GROUP, flow.stream)
        document = encode(Record(flow.line.encode(), number, layout, LogEvent(str(number), flow.time_ms, stream)))
        assert document is not None
        documents.append(document.body)
    return documents


def archive(folder: Path, dataset: str, lines: list[bytes]) -> None:
    file = folder / "archive" / f"dataset={dataset}" / "date=2026-03-04" / "all.ndjson.zst"
    file.parent.mkdir(parents=True)
    file.write_bytes(zstandard.compress(b"".join(line + b"\n" for line in lines)))


def all_arrived(folder: Path, now: datetime = NOW) -> Arrived:
    """What both sources bring."""
    organisation = Organisation(42, now, events=2000)
    return arrive(folder, list(organisation.objects()), Traffic(42, now, organisation.incident).flows())


def test_the_same_seed_and_time_make_the_same_bytes() -> None:
    """A demo that is told of twice looks the same twice; another seed makes other objects."""
    first = list(Organisation(7, NOW, events=500).objects())
    assert first == list(Organisation(7, NOW, events=500).objects())
    assert first != list(Organisation(8, NOW, events=500).objects())
    assert list(records(50, seed=3)) == list(records(50, seed=3))


def test_records_are_of_the_time_that_was_asked_for() -> None:
    """Nothing is of the future, and each key is unique."""
    objects = list(Organisation(7, NOW, events=500).objects())
    assert len({stored.key for stored in objects}) == len(objects)
    assert max(stored.last_modified for stored in objects) <= NOW
    assert min(stored.last_modified for stored in objects) >= NOW - timedelta(days=3)


@pytest.mark.parametrize("now", MOMENTS, ids=lambda now: f"{now:%a %H:%M}")
def test_the_incident_is_found(tmp_path: Path, now: datetime) -> None:
    """At any hour of any day the rule finds the stolen key, and all of the intruder's calls, and nobody else's."""
    organisation = Organisation(42, now, events=2000)
    found = find_intruder(arrive(tmp_path, list(organisation.objects())).events)
    facts = organisation.incident
    assert found is not None
    assert (found.user, found.place.endswith(facts.country)) == (facts.user, True)
    assert len(found.events) == facts.events
    assert {event.user for event in found.events} == {facts.user, facts.back_door}
    assert {event.role for event in found.events} == {"", "deploy"}
    assert sum(e.bytes_out for e in found.events if e.action == "GetObject") == facts.bytes_out
    assert found.revoked is not None


def shown(arrived: Arrived, width: int = 100) -> str:
    """The story as one line of words."""
    page = io.StringIO()
    tell_story(Console(width=width, file=page, highlight=False), arrived)
    return " ".join(page.getvalue().split())


@pytest.mark.parametrize("now", MOMENTS, ids=lambda now: f"{now:%a %H:%M}")
def test_the_incident_is_told_with_names(tmp_path: Path, now: datetime) -> None:
    """Who, through which role with which tags, from which network, touched what; and who ended it."""
    facts = Organisation(42, now, events=2000).incident
    story = shown(all_arrived(tmp_path, now))
    nils, there = "nils.brandt@lanternfish.example", "from AS64511 Fjord VPS Hosting in Reykjavík, Iceland"
    known, touched = "key-rotated 2021-03-02, team finance, used-for nightly backup", "touched support-sync (4 times)"
    ended = f"touched {nils}, support-sync (2 times), production-audit and ended it on "
    told = [
        f"• {nils} with the key ({known}), {there}, {touched}, lanternfish-org (refused), production-audit, deploy.",
        f"• support-sync at the console, {there}, came in.",
        f"• {nils} through role deploy (data-class customer, team platform), {there}, touched lanternfish-customer-",
        f"lanternfish-customer-exports (164 times, {size(facts.bytes_out)}), p4d.24xlarge (6 times, refused).",
        f"break-glass (team security), from AS64498 Maple Line in Toronto, Canada, {ended}",
    ]
    for sentence in told:
        assert sentence in story


def test_the_names_are_the_documents_own(tmp_path: Path) -> None:
    """Documents without the person behind a role tell of a session that nobody is known for, and accuse nobody."""
    arrived = arrive(tmp_path, list(Organisation(42, NOW, events=2000).objects()), sessions=False)
    assert {event.user for event in arrived.events if event.role == "deploy" and event.network.startswith("Fjord")} == {
        "backup-sync"
    }
    assert find_intruder(arrived.events) is None


def test_an_incident_that_nobody_ended_is_told_as_such(tmp_path: Path) -> None:
    """Where the key still works, that is said instead of an end."""
    arrived = all_arrived(tmp_path)
    arrived.events = [event for event in arrived.events if event.role != "break-glass"]
    assert "Nobody has switched the key off yet" in shown(arrived)


def test_people_open_sessions_that_lead_back_to_them(tmp_path: Path) -> None:
    """Each permission set's session begins with AssumeRoleWithSAML, whose answer has the key that is used later."""
    organisation = Organisation(42, NOW, events=2000)
    made = [
        record
        for stored in organisation.objects()
        for record in orjson.loads(gzip.decompress(stored.body)).get("Records", ())
    ]
    opened = {
        record["responseElements"]["credentials"]["accessKeyId"]: record["userIdentity"]["userName"]
        for record in made
        if record.get("eventName") == "AssumeRoleWithSAML"
    }
    arns = {
        record["userIdentity"]["accessKeyId"]: record["userIdentity"]["arn"]
        for record in made
        if "/AWSReservedSSO_" in record.get("userIdentity", {}).get("arn", "")
    }
    followed = opened.keys() & arns.keys()
    assert len(followed) >= 5
    assert {arns[key].rpartition("/")[2] for key in followed} == {opened[key] for key in followed}
    assert all(arns[key].endswith(f"/{opened[key]}") for key in followed)


def test_nothing_is_found_where_nothing_happened(tmp_path: Path) -> None:
    """Without the intruder's network the rule accuses nobody."""
    arrived = arrive(tmp_path, list(Organisation(42, NOW, events=2000).objects()))
    found = find_intruder(arrived.events)
    assert found is not None
    assert find_intruder([event for event in arrived.events if event.network != found.network]) is None


def test_traffic_is_the_same_for_the_same_seed_and_of_the_time_that_was_asked_for() -> None:
    """Two days of flows, none of the future, each with the fields that the flow log's format promises."""
    organisation = Organisation(7, NOW, events=500)
    flows = Traffic(7, NOW, organisation.incident).flows()
    assert flows == Traffic(7, NOW, organisation.incident).flows()
    assert flows != Traffic(8, NOW, organisation.incident).flows()
    assert {len(flow.line.split(" ")) for flow in flows} == {len(LOG_FORMAT.split(" "))}
    times = [flow.time_ms / 1000 for flow in flows]
    assert times == sorted(times)
    assert NOW.timestamp() - 50 * 3600 <= times[0] < times[-1] <= NOW.timestamp()
    assert {flow.stream for flow in flows} == {interface.stream for interface in INTERFACES}


def test_batches_are_what_put_log_events_takes() -> None:
    """Each is of one stream and one day, in order, not too long, and together they are all flows."""
    organisation = Organisation(7, NOW, events=500)
    flows = Traffic(7, NOW, organisation.incident).flows()
    made = list(batches(flows, most=300))
    assert sorted(flow for _, some in made for flow in some) == flows
    for stream, some in made:
        assert {flow.stream for flow in some} == {stream}
        assert some == sorted(some)
        assert len(some) <= 300
        assert some[-1].time_ms - some[0].time_ms < 86_400_000


@pytest.mark.parametrize("now", MOMENTS, ids=lambda now: f"{now:%a %H:%M}")
def test_the_network_tells_the_same_story(tmp_path: Path, now: datetime) -> None:
    """At any hour the intruder's address is among those who knock on ssh, in that night, and was let in nowhere."""
    arrived = all_arrived(tmp_path, now)
    found = find_intruder(arrived.events)
    assert found is not None
    (seen,) = knocks(arrived.flows, by=found.addresses)
    assert (seen.let_in, seen.doors) == (0, 4)
    assert found.events[0].time < seen.first < seen.last < found.events[-1].time
    (any_port,) = knocks(arrived.flows, None, by=found.addresses)
    assert any_port.ports == (22, 3389, 5432)
    assert any_port.times > seen.times


def test_flows_are_counted_by_what_became_of_them(tmp_path: Path) -> None:
    """Every flow is of one verdict; who asks, what for, and who is let in comes from the documents alone."""
    flows = all_arrived(tmp_path).flows
    found = {verdict: (len(some), ports) for verdict, some, ports in volumes(flows)}
    assert sum(count for count, _ in found.values()) == len(flows)
    assert found["ACCEPT"][0] > found["REJECT"][0] > found["NODATA"][0] > found["SKIPDATA"][0] > 0
    assert found["ACCEPT"][1][0] == 443
    assert found["REJECT"][1][0] == 22
    assert found["NODATA"][1] == []
    assert {one.where.place for one in knocks(flows) if one.let_in} == {"Hamburg, Germany", "Lisbon, Portugal"}
    outside = talkers(flows)
    assert [peer.ports for peer in outside[:3]] == [(443,)] * 3
    assert sum(peer.flows for peer in outside) < found["ACCEPT"][0]  # what stays inside is nobody's outside


def test_sizes_have_units() -> None:
    """Bytes are told in the unit that people would choose."""
    assert [size(n) for n in (0, 999, 1000, 4_300_000, 5_100_000_000_000)] == [
        "0 B", "999 B", "1.0 kB", "4.3 MB", "5100.0 GB",
    ]  # fmt: skip


def test_without_flow_logs_the_story_is_told_all_the_same(tmp_path: Path) -> None:
    """A trail alone is enough; nothing is said of a network that nobody saw."""
    story = shown(arrive(tmp_path, list(Organisation(42, NOW, events=2000).objects())))
    assert "The incident" in story
    assert "network saw" not in story
    assert "ssh" not in story


@pytest.mark.parametrize("width", [80, 100, 120])
def test_what_is_shown_is_folded_never_cut(tmp_path: Path, width: int) -> None:
    """At every usual width each name is there in full and no line is longer than the terminal."""
    arrived = all_arrived(tmp_path)
    summary = Summary(splits=1, read={"trail": 9220}, sinks={"trail": {"archive": Tally(delivered=9220)}})
    page = io.StringIO()
    console = Console(width=width, file=page, highlight=False)
    tell_receipts(console, summary)
    tell_story(console, arrived)
    text = page.getvalue()
    assert "…" not in text
    assert " archive " in text
    assert "ListAttachedUserPolicies" in text
    assert ("jonas.weber@lanternfish.example" if width >= 100 else "jonas.weber ") in text
    assert "Who knocks on ssh" in text
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text  # no colours where nobody asked for them


def test_a_folder_that_is_not_the_demos_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--keep` begins its own folder anew, and refuses anyone else's."""
    monkeypatch.chdir(tmp_path)
    with _folder(keep=True) as folder:
        (folder / "shipper.yaml").write_text("{}")
        (folder / "old").touch()
    with _folder(keep=True) as folder:
        assert list(folder.iterdir()) == []
    (tmp_path / "shipper-demo" / "precious").touch()
    with pytest.raises(ConfigError, match="not the demo's"), _folder(keep=True):
        pass
    assert (tmp_path / "shipper-demo" / "precious").exists()


def test_next_steps_name_the_program_as_it_was_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a checkout that is `.venv/bin/shipper`, where it is on the path `shipper`, else the interpreter's module."""
    program = tmp_path / ".venv" / "bin" / "shipper"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("sys.argv", [".venv/bin/shipper"])
    assert commands(None)[0][0] == ".venv/bin/shipper demo --keep"
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setattr("sys.argv", [str(program)])
    assert commands(None)[0][0] == "shipper demo --keep"
    monkeypatch.setattr("sys.argv", ["/somewhere/shipper/__main__.py"])
    assert commands(None)[0][0].endswith(" -m shipper demo --keep")


@pytest.mark.parametrize(
    ("word", "lines"),
    [
        ("AccessDenied", ["AccessDenied"]),
        ("Client.VcpuLimitExceeded", ["Client.VcpuLimit", "Exceeded"]),
        (
            "InsufficientDependencyServiceAccessPermissionException",
            ["Insufficient", "DependencyService", "AccessPermission", "Exception"],
        ),
        ("KMSInvalidState", ["KMSInvalidState"]),
        ("", [""]),
    ],
)
def test_long_words_are_broken_before_capitals(word: str, lines: list[str]) -> None:
    """Not anywhere: a narrow terminal showed half a word in each line."""
    assert folded(word, 18).split("\n") == lines
