"""A cluster whose set-up is at fault for a while, on the whole road from bucket to sink."""

from __future__ import annotations

from tests.fakes import cloudtrail
from tests.fakes.elasticsearch import Bulk, FakeElasticsearch, Reply, bulk_reply, failure
from tests.process.daemon import Daemon
from tests.process.test_observed import Page, await_true, free_port

RECORDS = 30
MISSING = "pipeline with id [gone] does not exist"


def test_a_missing_pipeline_pauses_small_batches_and_loses_nothing(tmp_path, moto):
    """Objects of three records each: none becomes a dead letter, the log says why, and all arrives after the mend."""
    s3 = moto.client("s3")
    s3.create_bucket(Bucket="trail")
    for key, body in cloudtrail.recent().objects(RECORDS // 3, 3):
        s3.put_object(Bucket="trail", Key=key, Body=body)
    port = free_port()
    page = Page(port)

    def refuse(fake: FakeElasticsearch, request: Bulk) -> Reply:
        fake.script.append(refuse)
        return bulk_reply([failure(400, "illegal_argument_exception", MISSING) for _ in request.lines])

    with FakeElasticsearch() as elasticsearch:
        elasticsearch.script = [refuse]
        daemon = Daemon(
            tmp_path,
            {
                "state": {"path": str(tmp_path / "state")},
                "listen": f"127.0.0.1:{port}",
                "aws": {"region": "us-east-1", "endpoint_url": moto.url},
                "sources": {"trail": {"type": "s3", "bucket": "trail", "start": "-7d", "interval_seconds": 1}},
                "sinks": {"siem": {"type": "elasticsearch", "hosts": [elasticsearch.url]}},
            },
        )
        daemon.start()
        await_true(lambda: page.status("/readyz") == 200, daemon.log)
        await_true(lambda: page.metrics().get("shipper_sink_paused{sink=siem}") == 1, daemon.log)
        await_true(lambda: MISSING in daemon.log(), daemon.log)
        assert "put the missing pipeline" in daemon.log()
        elasticsearch.script = []
        await_true(lambda: len(elasticsearch.stored) == RECORDS, daemon.log)
        await_true(lambda: page.metrics()["shipper_sink_paused{sink=siem}"] == 0, daemon.log)
        assert page.metrics()["shipper_dead_letters"] == 0
        assert max(elasticsearch.writes.values()) == 1
        assert daemon.terminate() == 0, daemon.log()
