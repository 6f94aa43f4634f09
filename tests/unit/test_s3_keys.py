"""What keys say, for every layout of AWS that is known."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shipper.model import S3Object
from shipper.schemas.flow_log_names import label_ms
from shipper.sources.s3_keys import (
    Scope,
    account_and_region,
    follows_layout,
    leads_to_scopes,
    scope_of,
    services_of,
)
from shipper.sources.s3_scope import ScopeState
from tests.fakes.checkpoints import MemoryCheckpoints

ACCOUNT = "123456789012"
CLOUDTRAIL = services_of("cloudtrail")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def day_of(text: str) -> int:
    return int(at(text) // 86400)


def an_object(key: str, last_modified: float = 0.0) -> S3Object:
    return S3Object("b", key, 1, "e", last_modified)


@pytest.mark.parametrize(
    ("prefix", "rest", "folder", "moment"),
    [
        (
            f"AWSLogs/{ACCOUNT}/CloudTrail/us-east-1/",
            f"2026/01/05/{ACCOUNT}_CloudTrail_us-east-1_20260105T2355Z_a.json.gz",
            "CloudTrail",
            "2026-01-05T23:55",
        ),
        (
            f"my/own/AWSLogs/o-ab12cd34ef/{ACCOUNT}/CloudTrail/us-gov-west-1/",
            f"2026/01/05/{ACCOUNT}_CloudTrail_us-gov-west-1_20260105T0000Z_a.json.gz",
            "CloudTrail",
            "2026-01-05T00:00",
        ),
        (
            f"AWSLogs/{ACCOUNT}/CloudTrail-Insight/eu-west-1/",
            f"2026/01/05/{ACCOUNT}_CloudTrail-Insight_eu-west-1_20260105T0102Z_a.json.gz",
            "CloudTrail-Insight",
            "2026-01-05T01:02",
        ),
        (
            f"AWSLogs/{ACCOUNT}/CloudTrail-Digest/eu-west-1/",
            f"2026/01/05/{ACCOUNT}_CloudTrail-Digest_eu-west-1_my_trail_eu-west-1_20260105T010203Z.json.gz",
            "CloudTrail-Digest",
            "2026-01-05T01:02:03",
        ),
        (
            f"AWSLogs/{ACCOUNT}/vpcflowlogs/us-east-1/",
            f"2026/01/05/{ACCOUNT}_vpcflowlogs_us-east-1_fl-1234abcd_20260105T1620Z_fe123456.log.gz",
            "vpcflowlogs",
            "2026-01-05T16:20",
        ),
        (
            f"AWSLogs/{ACCOUNT}/vpcflowlogs/us-east-1/",
            f"2026/01/05/16/{ACCOUNT}_vpcflowlogs_us-east-1_fl-1234abcd_20260105T1620Z_fe123456.log.gz",
            "vpcflowlogs",
            "2026-01-05T16:20",
        ),
        (
            f"flow/AWSLogs/aws-account-id={ACCOUNT}/aws-service=vpcflowlogs/aws-region=us-east-1/",
            f"year=2026/month=01/day=05/hour=16/{ACCOUNT}_vpcflowlogs_us-east-1_fl-1_20260105T1620Z_fe12.log.parquet",
            "vpcflowlogs",
            "2026-01-05T16:20",
        ),
        (
            f"AWSLogs/{ACCOUNT}/elasticloadbalancing/us-east-2/",
            f"2026/01/05/{ACCOUNT}_elasticloadbalancing_us-east-2_app.my-lb.12ab_20260105T2340Z_172.16.0.1_2sg8.log.gz",
            "elasticloadbalancing",
            "2026-01-05T23:40",
        ),
        (
            f"logs/AWSLogs/{ACCOUNT}/WAFLogs/us-east-1/shop-acl/",
            f"2026/01/05/19/50/{ACCOUNT}_waflogs_us-east-1_shop-acl_20260105T1950Z_e0ca43b5.log.gz",
            "WAFLogs",
            "2026-01-05T19:50",
        ),
    ],
)
def test_documented_layouts_are_known(prefix: str, rest: str, folder: str, moment: str):
    """Scope, day and time of each documented layout are read from the key."""
    key = prefix + rest
    scope = scope_of(key)
    assert scope is not None
    assert scope.service is not None
    assert (scope.prefix, scope.service.folder, scope.account) == (prefix, folder, ACCOUNT)
    assert scope.day(an_object(key)) == day_of("2026-01-05")
    assert scope.moment(an_object(key)) == at(moment)
    assert account_and_region(key) == (ACCOUNT, scope.region)
    assert follows_layout(key)


@pytest.mark.parametrize("moment", ["2026-01-05T16:20", "2026-01-05T00:00", "2025-12-31T23:59"])
@pytest.mark.parametrize("service", ["CloudTrail", "vpcflowlogs", "aws-service"])
def test_a_listing_from_a_moment_begins_before_its_files(service: str, moment: str):
    """Whatever is labelled at or after the moment comes after the key, in every layout."""
    stamp = datetime.fromtimestamp(at(moment), UTC)
    if service == "aws-service":
        prefix = f"AWSLogs/aws-account-id={ACCOUNT}/aws-service=vpcflowlogs/aws-region=us-east-1/"
        folder, name = stamp.strftime("year=%Y/month=%m/day=%d/hour=%H/"), "vpcflowlogs"
    else:
        prefix, folder, name = f"AWSLogs/{ACCOUNT}/{service}/us-east-1/", stamp.strftime("%Y/%m/%d/"), service
    middle = "_" if service == "CloudTrail" else "_fl-00000000_"
    scope = scope_of(prefix)
    assert scope is not None
    key = f"{prefix}{folder}{ACCOUNT}_{name}_us-east-1{middle}{stamp.strftime('%Y%m%dT%H%MZ')}_0.gz"
    assert scope.key_at(at(moment)) < key
    assert scope.key_of_day(day_of(moment)) < key < scope.key_of_day(day_of(moment) + 1)


def test_a_labelled_listing_begins_at_the_minute():
    """A busy CloudTrail folder is not listed from midnight each time."""
    scope = scope_of(f"AWSLogs/{ACCOUNT}/CloudTrail/us-east-1/")
    assert scope is not None
    earlier = f"{scope.prefix}2026/01/05/{ACCOUNT}_CloudTrail_us-east-1_20260105T1619Z_z.json.gz"
    assert earlier < scope.key_at(at("2026-01-05T16:20"))


@pytest.mark.parametrize(
    "key",
    ["2026/13/05/x_20261305T0000Z_a.gz", "notes.txt", "2026/02/30/x", "year=2026/month=01/day=05/x"],
)
def test_keys_without_a_real_date_have_no_day(key: str):
    """Nonsense is told apart, and its time is when it was written."""
    scope = scope_of(f"AWSLogs/{ACCOUNT}/CloudTrail/us-east-1/")
    assert scope is not None
    item = an_object(scope.prefix + key, last_modified=77.0)
    assert scope.day(item) is None
    assert scope.moment(item) == 77.0


def test_without_a_layout_lastmodified_is_the_time():
    """A prefix of one's own has no dates in its keys."""
    scope = Scope("exports/")
    item = an_object("exports/a_20260105T1620Z_b.gz", last_modified=86400.0 * 3 + 5)
    assert (scope.day(item), scope.moment(item)) == (3, item.last_modified)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "notes.txt",
        f"AWSLogs/{ACCOUNT}/Config/us-east-1/2026/1/5/x",
        f"AWSLogs/{ACCOUNT}/CloudTrail/",
        "AWSLogs/x/CloudTrail/y/",
    ],
)
def test_what_is_no_scope(key: str):
    """Other services and folders above a region have no cursor."""
    assert scope_of(key, CLOUDTRAIL) is None


def test_a_scope_of_another_log_type_is_none():
    """A CloudTrail source never lists flow logs, though their layout is known."""
    key = f"AWSLogs/{ACCOUNT}/vpcflowlogs/us-east-1/"
    assert scope_of(key, CLOUDTRAIL) is None
    assert scope_of(key, services_of("vpcflow")) is not None
    assert follows_layout(key)
    assert not follows_layout("exports/2026/")


@pytest.mark.parametrize(
    ("folder", "leads"),
    [
        ("my-prefix/", True),
        ("AWSLogs/", True),
        ("x/AWSLogs/o-ab12cd34ef/", True),
        (f"AWSLogs/{ACCOUNT}/", True),
        (f"AWSLogs/o-ab12cd34ef/{ACCOUNT}/CloudTrail/", True),
        (f"AWSLogs/{ACCOUNT}/CloudTrail-Digest/", True),
        (f"AWSLogs/{ACCOUNT}/Config/", False),
        (f"AWSLogs/{ACCOUNT}/Config/us-east-1/", False),
        ("AWSLogs/not-an-account/", False),
        ("a/b/c/d/e/", False),
    ],
)
def test_the_walk_goes_only_where_scopes_may_be(folder: str, leads: bool):  # noqa: FBT001 - a table's column
    """Discovery costs a request a folder, so it leaves other folders alone."""
    assert leads_to_scopes(folder, CLOUDTRAIL) is leads


def test_the_walk_finds_hive_folders():
    """Hive-compatible prefixes name their parts."""
    services = services_of("vpcflow")
    assert leads_to_scopes(f"AWSLogs/aws-account-id={ACCOUNT}/", services)
    assert leads_to_scopes(f"AWSLogs/aws-account-id={ACCOUNT}/aws-service=vpcflowlogs/", services)


def test_a_file_name_alone_says_account_and_region():
    """Objects copied elsewhere keep their names."""
    assert account_and_region(f"copy/{ACCOUNT}_CloudTrail_us-east-1_20260105T1620Z_a.json.gz") == (ACCOUNT, "us-east-1")
    assert account_and_region("copy/else.gz") == ("", "")


@pytest.mark.parametrize("middle", ["2026/01/04/", "2026/01/04/23/"])
def test_a_window_that_reaches_into_the_start_is_shipped(middle: str):
    """A flow log's label is the start of its window: the file labelled shortly before `start` holds flows after it."""
    prefix = f"AWSLogs/{ACCOUNT}/vpcflowlogs/us-east-1/"
    scope = scope_of(prefix)
    assert scope is not None
    start = at("2026-01-05T00:03")
    state = ScopeState("s", scope, source="s", store=MemoryCheckpoints(), start=start, cursor={})
    listing = state.begin("hot", start)
    assert listing is not None
    for label, shipped in (("20260104T2355Z", True), ("20260104T2350Z", False)):
        item = an_object(f"{prefix}{middle}{ACCOUNT}_vpcflowlogs_us-east-1_fl-1_{label}_a.log.gz")
        day = scope.day(item)
        assert day is not None
        assert state.is_new(item, day, item.hash) is shipped
        assert listing.after < item.key


@pytest.mark.parametrize(
    ("label", "moment"),
    [
        ("20260105T2355Z", "2026-01-05T23:55"),
        ("20240229T0000Z", "2024-02-29"),
        ("20230229T0000Z", None),
        ("20261305T0000Z", None),
        ("20260105T2460Z", None),
        ("00000105T0000Z", None),
        ("20260105T235Z", None),
    ],
)
def test_the_time_in_an_objects_name(label: str, moment: str | None):
    """A window's start is read from the last part of a name alone, and what is no time is none."""
    expected = None if moment is None else int(at(moment) * 1000)
    assert label_ms(f"a_20200101T0000Z_b/{ACCOUNT}_vpcflowlogs_us-east-1_fl-1_{label}_0a1b.log.gz") == expected
