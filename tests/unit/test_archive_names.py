"""Which sources' files in an archive carry the source's name, so that none takes the place of another's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shipper import build, config
from shipper.build.archive_names import archive_marks
from shipper.config.values import Surroundings
from shipper.metrics import Metrics
from shipper.model import Document, Origin, Record, S3Object
from shipper.sinks.archive import ArchiveSink
from shipper.sources.s3_splits import split_of

QUEUE = "type: s3_notifications, queue_url: 'https://sqs.eu-west-1.amazonaws.com/111122223333/q'"
TRAIL = "type: s3, bucket: trail"


def settings(folder: Path, *sources: str, sinks: str = "files: {type: archive, path: files}") -> config.Settings:
    text = "sources:\n" + "".join(f"  {name}: {{{keys}}}\n" for name, keys in zip("abcd", sources, strict=False))
    return config.parse(f"{text}sinks: {{{sinks}}}\n", name="s", environ={}, around=Surroundings(folder))


@pytest.mark.parametrize(
    ("sources", "marked"),
    [
        ([TRAIL, TRAIL], ""),
        ([f"{TRAIL}, filter: 'drop eventName == \"A\"'"], ""),
        ([TRAIL, f"{TRAIL}, filter: 'drop eventName == \"A\"'"], "b"),
        ([f"{TRAIL}, filter: 'keep eventName == \"A\"'", f"{TRAIL}, filter: 'drop eventName == \"A\"'"], "ab"),
        ([f"{TRAIL}, filter: 'drop eventName == \"A\"'", f"{TRAIL}, filter: 'drop eventName == \"A\"'"], ""),
        ([f"{TRAIL}, prefix: AWSLogs/", f"{TRAIL}, prefix: AWSLogs/1/, filter: 'drop eventName == \"A\"'"], "b"),
        ([f"{TRAIL}, prefix: one/", f"{TRAIL}, prefix: other/, filter: 'drop eventName == \"A\"'"], ""),
        ([TRAIL, "type: s3, bucket: other, filter: 'drop eventName == \"A\"'"], ""),
        ([f"{TRAIL}, logs: cloudtrail", f"{TRAIL}, logs: vpcflow, filter: keep dstport == 22"], ""),
        ([f"{TRAIL}, logs: cloudtrail", f"{TRAIL}, logs: subscription"], "b"),
        ([f"{TRAIL}, logs: vpcflow", f"{TRAIL}, logs: vpcflow, format: version srcaddr"], "b"),
        ([TRAIL, f"{QUEUE}, buckets: [trail/AWSLogs/], filter: 'drop eventName == \"A\"', verify_listing: true"], "b"),
        ([TRAIL, f"{QUEUE}, buckets: [trail/AWSLogs/]"], ""),
    ],
)
def test_only_sources_that_make_other_documents_of_the_same_objects_are_marked(
    tmp_path: Path, sources: list[str], marked: str
) -> None:
    """The one without a filter keeps the old name, and so does all that never meets."""
    found = archive_marks(settings(tmp_path, *sources))
    assert "".join(sorted(set(found.values()))) == marked
    assert all(running.partition(".")[0] == owner for running, owner in found.items())


def test_the_listing_under_a_queue_has_its_queues_mark(tmp_path: Path) -> None:
    """Both ship the same, whoever finds an object."""
    found = archive_marks(settings(tmp_path, TRAIL, f"{QUEUE}, buckets: [trail], filter: a == 1, verify_listing: true"))
    assert found["b"] == found["b.listing"] == "b"


def test_sources_that_share_no_archive_need_no_marks(tmp_path: Path) -> None:
    """Each has a folder of its own."""
    sinks = "files: {type: archive, path: files}, others: {type: archive, path: others}"
    sources = (f"{TRAIL}, to: [files]", f"{TRAIL}, to: [others], filter: 'drop eventName == \"A\"'")
    assert archive_marks(settings(tmp_path, *sources, sinks=sinks)) == {}


def test_no_source_takes_anothers_records_out_of_the_archive(tmp_path: Path) -> None:
    """Of one object one source ships this record, the other that one: both stand, are counted, and stay single."""
    chosen = settings(
        tmp_path, f"{TRAIL}, filter: 'keep eventName == \"A\"'", f"{TRAIL}, filter: 'drop eventName == \"A\"'"
    )
    sink = build.sinks(chosen, Metrics())["files"]
    assert isinstance(sink, ArchiveSink)
    sink.prepare()
    item = S3Object("trail", "AWSLogs/1/x.json.gz", 10, "etag", 0.0)
    splits = [split_of([item], source=name, scope="", logs="cloudtrail") for name in "ab"]
    for split in [*splits, splits[0]]:
        delivery = sink.open(split)
        record: Any = Record(b"{}", 1)
        body = b'{"of":"%s"}' % split.source.encode()
        delivery.send([Document("id", "logs-aws.cloudtrail-default", 0, body, record, Origin("s3://trail/x"))])
        delivery.finish()
    assert sink.recount().count(splits) == [1, 1]
    assert len(list((tmp_path / "files").rglob("*.zst"))) == 2
