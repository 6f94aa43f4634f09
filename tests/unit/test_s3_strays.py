"""What no log type takes: why, under which name, counted and logged once, in bounded memory; and what a walk meets."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from shipper.metrics import Metrics
from shipper.sources.s3_keys import SERVICES, example_key, folder_of, services_of
from shipper.sources.s3_strays import Coverage, StrayReport, Strays
from shipper.sources.s3_walk import Walk
from tests.fakes.s3 import MemoryBucket

TRAIL = services_of("cloudtrail")
ACCOUNT = "AWSLogs/111122223333"
DAY = "us-east-1/2026/03/10"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (f"{ACCOUNT}/CloudTrail/{DAY}/a.json.gz", "taken"),
        (f"{ACCOUNT}/CloudTrail-NetworkActivity/{DAY}/a.json.gz", "taken"),
        (f"{ACCOUNT}/CloudTrail-Aggregated/{DAY}/a.json.gz", "taken"),
        (f"{ACCOUNT}/CloudTrail-Digest/{DAY}/a.json.gz", "taken"),
        (f"{ACCOUNT}/CloudTrail-Lake/{DAY}/a.json.gz", "unrecognised"),
        (f"{ACCOUNT}/CloudTrail-Lake/", "unrecognised"),
        (f"{ACCOUNT}/CloudTrail/notes.txt", "unrecognised"),
        (f"org/AWSLogs/o-ab12cd34ef/111122223333/Config/{DAY}/a.gz", "unrecognised"),
        ("AWSLogs/aws-account-id=111122223333/aws-service=newlogs/aws-region=us-east-1/a", "unrecognised"),
        ("AWSLogs/aws-account-id=111122223333/aws-service=vpcflowlogs/aws-region=us-east-1/a", "other_logs"),
        (f"{ACCOUNT}/vpcflowlogs/", "other_logs"),
        (f"{ACCOUNT}/WAFLogs/cloudfront/acl/2026/a", "other_logs"),
        ("reports/march.csv", "unrecognised"),
        (f"{ACCOUNT}/ELBAccessLogTestFile", "test_file"),
        ("anything/aws-programmatic-access-test-object", "test_file"),
    ],
)
def test_why_something_is_left_aside(name: str, reason: str) -> None:
    """A known log type that this source does not ship is none to be alarmed by; what nothing takes is."""
    assert Coverage(TRAIL).reason_of(name) == reason


def test_a_source_of_all_types_takes_all_that_is_known() -> None:
    """What is left are services that no log type is for; outside AWS's folders it depends on the source."""
    everything = Coverage(SERVICES, outside=True)
    for service in SERVICES:
        assert everything.reason_of(f"{ACCOUNT}/{service.folder}/us-east-1/name/2026/03/10/a") == "taken"
    assert everything.reason_of(f"{ACCOUNT}/Config/{DAY}/a") == "unrecognised"
    assert everything.reason_of("reports/march.csv") == "taken"
    assert Coverage(SERVICES).reason_of("reports/march.csv") == "unrecognised"


def walk(bucket: MemoryBucket, prefix: str = "", coverage: Coverage | None = None) -> tuple[list[str], Walk]:
    made = Walk(bucket, prefix, TRAIL, coverage)
    scopes = []
    while not made.done:
        scopes += [scope.prefix for scope in made.step()]
    return sorted(scopes), made


def a_bucket(*keys: str) -> MemoryBucket:
    bucket = MemoryBucket()
    for key in keys:
        bucket.put(key, 1.0)
    return bucket


def test_a_walk_finds_every_folder_of_cloudtrail() -> None:
    """Management, insight, network activity and aggregated events, and digests; each is a scope."""
    folders = [service.folder for service in TRAIL]
    assert {"CloudTrail-NetworkActivity", "CloudTrail-Aggregated"} < set(folders)
    bucket = a_bucket(*(f"{ACCOUNT}/{folder}/{DAY}/a.json.gz" for folder in folders))
    scopes, made = walk(bucket)
    assert scopes == sorted(f"{ACCOUNT}/{folder}/us-east-1/" for folder in folders)
    assert made.strays.named() == {}


@pytest.mark.parametrize("root", ["", "org/deep/"])
def test_what_a_walk_leaves_aside_is_named_at_its_top(root: str) -> None:
    """Not each file of a folder, nor a folder on the way to logs."""
    bucket = a_bucket(
        f"{root}{ACCOUNT}/CloudTrail/{DAY}/a.json.gz",
        f"{root}{ACCOUNT}/CloudTrail-Lake/{DAY}/a.json.gz",
        f"{root}{ACCOUNT}/vpcflowlogs/{DAY}/a.log.gz",
        f"{root}{ACCOUNT}/hello.txt",
        f"{root}AWSLogs/S3Inventory/x/y",
        f"{root}lonely.txt",
        "reports/2025/a/b/c/d/e.csv",
        "reports/2026/b.csv",
        "marker/",
    )
    bucket.put("marker/", 1.0, size=0)
    _, made = walk(bucket)
    assert made.strays.named() == {
        f"{root}{ACCOUNT}/CloudTrail-Lake/": "unrecognised",
        f"{root}{ACCOUNT}/vpcflowlogs/": "other_logs",
        f"{root}{ACCOUNT}/hello.txt": "unrecognised",
        f"{root}AWSLogs/S3Inventory/": "unrecognised",
        f"{root}lonely.txt": "unrecognised",
        "reports/": "unrecognised",
    }
    assert made.strays.any_outside


def test_another_sources_folders_are_its_own() -> None:
    """Neither they nor what lies on the way to them is named."""
    bucket = a_bucket(f"{ACCOUNT}/CloudTrail/{DAY}/a.json.gz", "edge/logs/x/y.gz", "edge/other.txt")
    _, made = walk(bucket, coverage=Coverage(TRAIL, others=("edge/logs/",)))
    assert made.strays.named() == {"edge/other.txt": "unrecognised"}


def test_where_all_of_a_prefix_is_listed_only_awss_folders_are_left_aside() -> None:
    """The rest is shipped."""
    _, made = walk(a_bucket("reports/a.csv", f"{ACCOUNT}/Config/{DAY}/a.gz"))
    assert made.strays.named(whole=True) == {f"{ACCOUNT}/Config/": "unrecognised"}


def test_names_are_bounded_and_the_rest_is_a_number() -> None:
    """A bucket may hold any number of strange objects."""
    strays = Strays("", Coverage(TRAIL))
    for number in range(5_000):
        strays.add(f"{number}.txt")
    assert (len(strays.named()), strays.more) == (1000, 4000)
    bucket = a_bucket(*(f"{number:04}.txt" for number in range(250)))
    _, made = walk(bucket)
    assert (len(made.strays.named()), made.strays.more) == (100, 150)


def test_each_folder_is_counted_and_logged_once() -> None:
    """However often it is listed; what is known only counts."""
    metrics = Metrics()
    report = StrayReport("trail", metrics)
    lake, flows = f"{ACCOUNT}/CloudTrail-Lake/", f"{ACCOUNT}/vpcflowlogs/"
    with capture_logs() as lines:
        for _ in range(3):
            report.folders("logs", [(lake, "unrecognised"), (flows, "other_logs")])
        for number in range(3):
            report.object("logs", f"{ACCOUNT}/CloudTrail/{DAY}/{number}.txt", "unrecognised")
    assert [(line["source"], line["folder"]) for line in lines] == [
        ("trail", f"s3://logs/{lake}"),
        ("trail", f"s3://logs/{ACCOUNT}/CloudTrail/"),
    ]
    assert all(line["log_level"] == "warning" for line in lines)
    assert counted(metrics, "unrecognised") == 4
    assert counted(metrics, "other_logs") == 1


def test_log_lines_and_memory_are_bounded() -> None:
    """Whoever writes to a queue or a bucket chooses names: the log ends after a hundred of them, the count goes on."""
    metrics = Metrics()
    report = StrayReport("trail", metrics)
    with capture_logs() as lines:
        for number in range(3_000):
            report.object("logs", f"{number}/a.txt", "unrecognised")
            report.folders("logs", [(f"{number}/", "unrecognised")])
    assert len(lines) == 101
    assert "no more of them are logged" in lines[-1]["event"]
    assert counted(metrics, "unrecognised") == 4_000


def counted(metrics: Metrics, reason: str) -> float:
    labels = {"source": "trail", "reason": reason}
    return metrics.registry.get_sample_value("shipper_objects_filtered_total", labels) or 0.0


@pytest.mark.parametrize(
    ("key", "folder"),
    [
        (f"a/{ACCOUNT}/Config/{DAY}/x.gz", f"a/{ACCOUNT}/Config/"),
        ("firehose/2026/03/10/12/x.gz", "firehose/"),
        ("logs/year=2026/month=03/x", "logs/"),
        ("logs/20260310/x", "logs/"),
        ("2026-03-10/x", ""),
        ("x.gz", ""),
    ],
)
def test_the_folder_of_a_key_has_no_date(key: str, folder: str) -> None:
    """So that each day's files are no folder of their own in the log."""
    assert folder_of(key) == folder


@pytest.mark.parametrize(
    ("prefix", "begin"),
    [
        ("", "AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/31/111122223333_CloudTrail_us-east-1_"),
        ("org/", "org/AWSLogs/111122223333/CloudTrail/us-east-1/"),
        ("org/AWSLogs/999988887777/", "org/AWSLogs/111122223333/CloudTrail/us-east-1/"),
        ("AWSLogs", "AWSLogs/111122223333/CloudTrail/us-east-1/"),
    ],
)
def test_what_is_expected_is_shown_by_an_example(prefix: str, begin: str) -> None:
    """Below the prefix that is configured."""
    assert example_key(prefix, TRAIL).startswith(begin)
    assert example_key(prefix, ()) == ""
