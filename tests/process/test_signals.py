"""Signals at the worst of times."""

from __future__ import annotations

from tests.fakes.elasticsearch import FakeElasticsearch
from tests.process.daemon import Daemon


def test_a_stop_right_after_the_start_is_an_ordered_one(tmp_path, aws_environment):
    """A supervisor may stop what it has just started, before it has reached anything."""
    with FakeElasticsearch() as elasticsearch:
        elasticsearch.down = True
        daemon = Daemon(
            tmp_path,
            {
                "state": {"path": str(tmp_path / "state")},
                "listen": "off",
                "aws": {"region": "us-east-1", "endpoint_url": "http://127.0.0.1:9"},
                "sources": {"trail": {"type": "s3", "bucket": "trail"}},
                "sinks": {"siem": {"type": "elasticsearch", "hosts": [elasticsearch.url]}},
            },
        )
        for _ in range(3):
            daemon.start()
            daemon.await_start()
            assert daemon.terminate() == 0, daemon.log()
