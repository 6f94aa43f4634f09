"""What is said of events that nothing vouches for: once for each group, with what to do; counted always."""

from __future__ import annotations

import pytest
import structlog

from shipper import config
from shipper.errors import ConfigError
from shipper.metrics import Metrics
from shipper.unvouched_log import UnvouchedLog


def test_each_group_is_named_once_and_every_event_is_counted():
    """A flood of lines makes a flood of counts, and no flood of warnings."""
    metrics = Metrics()
    noted = UnvouchedLog(metrics).of_source("s")
    with structlog.testing.capture_logs() as lines:
        for group in ("/app/web", "/app/web", "/app/shop", ""):
            noted(group, "cloudtrail")
        noted("/app/web", "subscription")
    assert [(line["group"], line["looks_like"]) for line in lines] == [
        ("/app/web", "cloudtrail"),
        ("/app/shop", "cloudtrail"),
        ("", "cloudtrail"),
        ("/app/web", "subscription"),
    ]
    assert "log_group_types: {'/app/web': cloudtrail}" in lines[0]["next"]
    counted = metrics.registry.get_sample_value("shipper_events_unvouched_total", {"source": "s", "logs": "cloudtrail"})
    assert counted == 4


def test_names_of_many_groups_fill_no_memory_and_no_log():
    """Who writes envelopes chooses groups' names."""
    noted = UnvouchedLog(Metrics()).of_source("s")
    with structlog.testing.capture_logs() as lines:
        for number in range(3_000):
            noted(f"{number}" * 1_000, "waf")
    assert len(lines) == 1_000
    assert max(len(line["group"]) for line in lines) == 512


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ('{type: s3, bucket: logs, logs: subscription, log_group_types: {"/my/*": cloudtrail}}', ""),
        ('{type: s3, bucket: logs, logs: cloudtrail, log_group_types: {"/my/*": cloudtrail}}', "has no effect"),
        ('{type: cloudwatch_logs, log_groups: ["*"], log_group_types: {"111122223333:/my/*": vpcflow}}', ""),
        ('{type: cloudwatch_logs, log_groups: ["*"], logs: rds, log_group_types: {"/my/*": rds}}', "has no effect"),
        ('{type: cloudwatch_logs, log_groups: ["*"], log_group_types: {"/my/*": elb}}', "'eks' or 'waf'"),
        ('{type: cloudwatch_logs, log_groups: ["*"], log_group_types: {"a:/my": rds}}', "with an account such as"),
    ],
)
def test_types_of_groups_are_configured_where_they_count(tmp_path, source, wrong):
    """Where the source names one type for all, they would be an error that nobody sees."""
    file = tmp_path / "shipper.yaml"
    file.write_text(f"sources:\n  s: {source}\nsinks:\n  a: {{type: archive, path: ./a}}\n")
    file.chmod(0o600)
    if not wrong:
        config.load(file, secrets=False)
        return
    with pytest.raises(ConfigError) as caught:
        config.load(file, secrets=False)
    assert wrong in str(caught.value)
