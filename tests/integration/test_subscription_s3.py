"""The same events by every way at once into Elasticsearch: as CloudTrail's objects, in envelopes, from log groups."""

from __future__ import annotations

import collections
import gzip
import json
import time
from pathlib import Path
from typing import Any

from tests.fakes import cloudtrail
from tests.fakes.cloudwatch_logs import ACCOUNT, CloudWatchLogs, Event
from tests.fakes.cloudwatch_server import serving
from tests.process.daemon import Daemon

NAMESPACE = "everyway"
FLOW = f"2 {ACCOUNT} eni-1 203.0.113.7 10.0.0.5 51000 22 6 10 840 1767323000 1767323040 REJECT OK"
AUDIT = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "auditID": "a1",
    "verb": "create",
    "objectRef": {"resource": "pods", "namespace": "shop"},
    "requestObject": {"metadata": {"name": "web"}, "spec": {"hostPID": True}},
    "requestReceivedTimestamp": "2026-01-02T03:04:05.196323Z",
}


def envelope(group: str, events: list[Event]) -> bytes:
    said = [{"id": event.id, "timestamp": event.time_ms, "message": event.message} for event in events]
    head = {"messageType": "DATA_MESSAGE", "owner": ACCOUNT, "logGroup": group, "logStream": "s"}
    return gzip.compress(json.dumps({**head, "subscriptionFilters": ["all"], "logEvents": said}).encode())


def settings(folder: Path, s3: str, logs: str, elasticsearch: str) -> dict[str, Any]:
    start = {"start": "-2h"}
    types = {"log_group_types": {"audit": "cloudtrail", "net": "vpcflow"}}
    return {
        "state": {"path": str(folder / "state")},
        "listen": "off",
        "aws": {"region": "us-east-1", "endpoint_url": s3},
        "sources": {
            "objects": {"type": "s3", "bucket": "trail", "prefix": "AWSLogs/", **start},
            "firehose": {"type": "s3", "bucket": "firehose", "logs": "subscription", **types, **start},
            "groups": {
                "type": "cloudwatch_logs",
                "log_groups": ["*"],
                "calls_per_second": 100,
                "aws": {"endpoint_url": logs},
                **types,
                **start,
            },
        },
        "sinks": {
            "siem": {"type": "elasticsearch", "hosts": [elasticsearch], "data_stream_namespace": NAMESPACE},
        },
        "log": {"level": "warning"},
    }


def test_an_event_that_comes_by_every_way_is_one_document(tmp_path, moto, elasticsearch9):
    """In whichever order: CloudTrail's three times, the others twice; each as its own type."""
    logs = CloudWatchLogs(time.time)
    s3 = moto.client("s3")
    for bucket in ("trail", "firehose"):
        s3.create_bucket(Bucket=bucket)
    trail = cloudtrail.recent(5)
    now_ms = int(time.time() * 1000)
    written: dict[str, list[str]] = {"audit": [], "net": [FLOW] * 3, "/aws/lambda/shop": ["one", "two"]}
    written["/aws/eks/prod/cluster"] = [json.dumps(AUDIT), "I0102 03:04:05.196323      10 a.go:1] ok"]
    for key, body in trail.objects(2, 10):
        s3.put_object(Bucket="trail", Key=key, Body=body)
        written["audit"] += [json.dumps(record) for record in json.loads(gzip.decompress(body))["Records"]]
    parts = []
    for name, messages in written.items():
        group = logs.group(name, created=time.time() - 7200)
        events = logs.put(group, "s", *((now_ms - 600_000 + n, text) for n, text in enumerate(messages)))
        parts.append(envelope(name, events))
    s3.put_object(Bucket="firehose", Key="2026/01/02/03/stream-1", Body=b"".join(parts))
    with serving(logs) as url:
        daemon = Daemon(tmp_path, settings(tmp_path, moto.url, url, elasticsearch9.url))
        code, summary = daemon.once()
    assert code == 0, (summary, daemon.log())
    assert {name: found["read"] for name, found in summary["sources"].items()} == {
        "objects": 20,
        "firehose": 27,
        "groups": 27,
    }
    stored = elasticsearch9.documents(f"logs-aws.cloudtrail-{NAMESPACE}").values()
    assert collections.Counter(document["event"]["id"] for document in stored) == collections.Counter(trail.event_ids)
    assert len(elasticsearch9.documents(f"logs-aws.vpcflow-{NAMESPACE}")) == 3
    lines = elasticsearch9.documents(f"logs-aws.cloudwatch_logs-{NAMESPACE}").values()
    assert sorted(document["message"] for document in lines) == ["one", "two"]
    (audit,) = elasticsearch9.documents(f"logs-kubernetes.audit_logs-{NAMESPACE}").values()
    assert audit["kubernetes"]["audit"]["requestObject"] == {"spec": {"hostPID": True}}
    (component,) = elasticsearch9.documents(f"logs-aws.eks_logs-{NAMESPACE}").values()
    assert component["message"] == "ok"
