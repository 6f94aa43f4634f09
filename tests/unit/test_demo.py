"""The demo's generator, its detective, and what it shows, without any server."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import zstandard
from rich.console import Console

from shipper.build import LOG_TYPES
from shipper.demo.arrived import Arrived, read
from shipper.demo.findings import find_intruder
from shipper.demo.networks import write_geoip
from shipper.demo.next_steps import commands
from shipper.demo.organisation import Organisation, StoredObject, records
from shipper.demo.show import _folder
from shipper.demo.story import tell_receipts, tell_story
from shipper.enrich.geo import Geo
from shipper.errors import ConfigError
from shipper.model import Origin, Payload, ReadLimits, Record, Tally
from shipper.ports import Lookups
from shipper.service import Summary

NOW = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
MOMENTS = [
    NOW,
    datetime(2026, 3, 1, 0, 5, tzinfo=UTC),  # a Sunday night
    datetime(2026, 3, 2, 9, 15, tzinfo=UTC),  # a Monday morning, when the night's incident is hours old
    datetime(2028, 2, 29, 23, 59, tzinfo=UTC),
]


def arrive(folder: Path, objects: list[StoredObject]) -> Arrived:
    """What the archive would hold, read back."""
    geo = Geo(*write_geoip(folder))
    format_, schema = (
        LOG_TYPES["cloudtrail"].format(ReadLimits()),
        LOG_TYPES["cloudtrail"].ecs("default", Lookups(geo=geo)),
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
    file = folder / "archive" / "dataset=aws.cloudtrail" / "date=2026-03-04" / "all.ndjson.zst"
    file.parent.mkdir(parents=True)
    file.write_bytes(zstandard.compress(b"\n".join(lines) + b"\n"))
    return read(folder / "archive")


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
    assert sum(e.bytes_out for e in found.events if e.action == "GetObject") == facts.bytes_out
    assert found.revoked is not None


def test_nothing_is_found_where_nothing_happened(tmp_path: Path) -> None:
    """Without the intruder's network the rule accuses nobody."""
    arrived = arrive(tmp_path, list(Organisation(42, NOW, events=2000).objects()))
    found = find_intruder(arrived.events)
    assert found is not None
    assert find_intruder([event for event in arrived.events if event.network != found.network]) is None


@pytest.mark.parametrize("width", [80, 100, 120])
def test_what_is_shown_is_folded_never_cut(tmp_path: Path, width: int) -> None:
    """At every usual width each name is there in full and no line is longer than the terminal."""
    arrived = arrive(tmp_path, list(Organisation(42, NOW, events=2000).objects()))
    summary = Summary(splits=1, read={"trail": 9220}, sinks={"trail": {"archive": Tally(delivered=9220)}})
    page = io.StringIO()
    console = Console(width=width, file=page, highlight=False)
    tell_receipts(console, summary)
    tell_story(console, arrived)
    shown = page.getvalue()
    assert "…" not in shown
    assert " archive " in shown
    assert "ListAttachedUserPolicies" in shown
    assert ("jonas.weber@lanternfish.example" if width >= 100 else "jonas.weber ") in shown
    assert max(map(len, shown.splitlines())) <= width
    assert "\x1b" not in shown  # no colours where nobody asked for them


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
