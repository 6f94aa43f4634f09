"""The configuration of CloudWatch sources: what is accepted, what is refused, and where it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipper.config import CloudWatchLogsSource, parse
from shipper.config.values import Surroundings
from shipper.errors import ConfigError

ROLES = [f"arn:aws:iam::{account}:role/ship" for account in ("111122223333", "444455556666")]
ARN = "arn:aws:logs:eu-west-1:111122223333:log-group:/app/x"


def text(keys: str) -> str:
    return f"sources: {{cw: {{type: cloudwatch_logs, {keys}}}}}\nsinks: {{out: {{type: archive, path: a}}}}\n"


def read(keys: str) -> CloudWatchLogsSource:
    settings = parse(text(keys), name="s.yaml", environ={}, around=Surroundings(folder=Path("/etc/shipper")))
    source = settings.sources["cw"]
    assert isinstance(source, CloudWatchLogsSource)
    return source


def test_defaults():
    """One key is enough."""
    source = read("log_groups: ['/aws/cloudtrail/*']")
    assert (source.horizon_seconds, source.calls_per_second, source.start_seconds(7200.0)) == (54_000, 3, 3600)
    assert source.all_regions("us-east-1") == ["us-east-1"]


def test_all_keys():
    """Linked accounts by word or by id, tags, streams, and account ids that look like numbers."""
    source = read(
        f"log_groups: [a, 'b*', '{ARN}'], exclude: [bb], tags: {{ship: 'yes'}}, streams: {{prefix: web}},"
        " accounts: [111122223333, '012345678901'], regions: [eu-west-1, us-east-1], late_horizon: 14d"
    )
    assert source.accounts == ["111122223333", "012345678901"]
    assert (source.streams.prefix, source.tags, source.horizon_seconds) == ("web", {"ship": "yes"}, 14 * 86_400)
    assert read("tags: {ship: 'yes'}, accounts: linked").accounts == ["linked"]


def test_each_role_is_a_source_of_its_own():
    """With all other keys, the external id among them; so each has its own checkpoints, budget and health."""
    keys = f"log_groups: [a], late_horizon: 1d, roles: {ROLES}, aws: {{external_id: ours}}".replace('"', "'")
    settings = parse(text(keys), name="s.yaml", environ={}, around=Surroundings(folder=Path("/etc/shipper")))
    assert list(settings.sources) == ["cw.111122223333", "cw.444455556666"]
    given = [settings.aws_of(name).model_dump() for name in settings.sources]
    assert [(aws["role_arn"], aws["external_id"]) for aws in given] == [(role, "ours") for role in ROLES]
    assert "ours" not in repr(settings)
    assert {source.horizon_seconds for source in settings.sources.values() if source.type == "cloudwatch_logs"} == {
        86_400
    }


def test_regions_come_from_arns_where_none_is_given():
    """Names are looked for in the usual region, ARNs in their own."""
    assert read(f"log_groups: ['{ARN}']").all_regions("us-east-1") == ["eu-west-1"]
    assert read(f"log_groups: ['{ARN}', app]").all_regions("us-east-1") == ["us-east-1", "eu-west-1"]
    assert read("log_groups: [app], regions: [eu-north-1]").all_regions("us-east-1") == ["eu-north-1"]
    assert read("tags: {a: b}").all_regions("us-east-1") == ["us-east-1"]


@pytest.mark.parametrize(
    ("keys", "mistake"),
    [
        ("start: now", "sources.cw: log_groups or tags is required"),
        ("log_groups: [a], roles: [x]", "sources.cw.roles[0]: must be such as arn:aws:iam::"),
        (
            f"log_groups: [a], roles: ['{ROLES[0]}', '{ROLES[0]}']",
            "sources.cw.roles[1]: account 111122223333 has a role",
        ),
        (
            f"log_groups: [a], roles: ['{ROLES[0]}'], aws: {{role_arn: '{ROLES[1]}'}}",
            "sources.cw.roles: cannot stand beside aws.role_arn",
        ),
        ("log_groups: ['a b']", "sources.cw.log_groups[0]: must be a log group's name, a glob"),
        ("log_groups: [a], late_horizon: 2m", 'sources.cw.late_horizon: must be between "3m" and "14d"'),
        ("log_groups: [a], late_horizon: long", "sources.cw.late_horizon: must be a number and its unit"),
        ("log_groups: [a], calls_per_second: 0", "sources.cw.calls_per_second: must be more than 0"),
        ("log_groups: [a], accounts: [12]", "sources.cw.accounts[0]: must be an account id of 12 digits"),
        ("log_groups: [a], accounts: other", "sources.cw.accounts[0]: must be an account id of 12 digits, or linked"),
        ("log_groups: [a], stream: {}", "sources.cw.stream: unknown key; did you mean 'streams'?"),
        ("log_groups: [a], streams: {prefx: b}", "sources.cw.streams.prefx: unknown key; did you mean 'prefix'?"),
        (
            f"log_groups: ['{ARN}'], regions: [us-east-1]",
            "sources.cw.log_groups[0]: its region eu-west-1 is not among the regions of this source",
        ),
        (
            f"log_groups: ['{ARN}'], accounts: ['444455556666']",
            "sources.cw.log_groups[0]: its account 111122223333 is not among the accounts of this source",
        ),
    ],
)
def test_mistakes_name_their_place(keys, mistake):
    """File, line, key and what to write instead."""
    with pytest.raises(ConfigError) as caught:
        read(keys)
    assert f"s.yaml:1: {mistake}" in str(caught.value)
