"""Lines in a bucket whose callers wrote into them, into Elasticsearch: the whole program from listing to document."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.process.daemon import Daemon
from tests.unit.test_forged_lines import FORGED_STATUS, FORGED_TAIL, OAI, s3

NAMESPACE = "forgedlines"
FLOW = "2 111122223333 eni-1 203.0.113.9 10.0.0.5 54321 22 6 1 60 1767323045 1767323075 ACCEPT OK"
AMBIGUOUS = [s3(uri=f"GET /{FORGED_STATUS}"), s3(agent=f"curl{FORGED_TAIL}x")]


def test_no_read_of_a_bucket_looks_failed_by_what_its_caller_wrote(tmp_path, moto, elasticsearch9):
    """Read truly or marked as not read, and each line arrives; filters see what documents say. Exported flows too."""
    client = moto.client("s3")
    client.create_bucket(Bucket="lines")
    lines = [s3(requester=OAI), s3(agent='x" 403 AccessDenied 243 - 8 - "-'), *AMBIGUOUS]
    client.put_object(Bucket="lines", Key="access/2026-07-29-09-14-02-0A", Body="\n".join(lines).encode())
    day = datetime.now(UTC) - timedelta(hours=2)
    name = f"111122223333_vpcflowlogs_us-east-1_fl-1_{day:%Y%m%dT%H%MZ}_a.log.gz"
    key = f"AWSLogs/111122223333/vpcflowlogs/us-east-1/{day:%Y/%m/%d}/{name}"
    client.put_object(Bucket="lines", Key=key, Body=gzip.compress(f"2026-01-02T03:04:05.000Z {FLOW}\n".encode()))
    settings: dict[str, Any] = {
        "state": {"path": str(tmp_path / "state")},
        "listen": "off",
        "aws": {"region": "us-east-1", "endpoint_url": moto.url},
        "sources": {
            "access": {
                "type": "s3",
                "bucket": "lines",
                "prefix": "access/",
                "logs": "s3access",
                "start": "-2h",
                "filter": "drop http_status >= 400",
            },
            "flow": {"type": "s3", "bucket": "lines", "prefix": "AWSLogs/", "logs": "vpcflow"},
        },
        "sinks": {"siem": {"type": "elasticsearch", "hosts": [elasticsearch9.url], "data_stream_namespace": NAMESPACE}},
        "log": {"level": "warning"},
    }
    daemon = Daemon(tmp_path, settings)
    code, summary = daemon.once()
    assert code == 0, (summary, daemon.log())
    assert summary["sources"]["access"]["read"] == 4
    stored = elasticsearch9.documents(f"logs-aws.s3access-{NAMESPACE}").values()
    assert sorted(document["event"]["original"] for document in stored) == sorted(lines)
    for document in stored:
        read = "unparsed" not in document.get("tags", ())
        assert document["event"].get("outcome") == ("success" if read else None)
        assert document.get("http", {}).get("response", {}).get("status_code") == (200 if read else None)
        assert document.get("message") == (None if read else document["event"]["original"])
    assert sorted(document["event"]["original"] for document in stored if "tags" in document) == sorted(AMBIGUOUS)
    (flow,) = elasticsearch9.documents(f"logs-aws.vpcflow-{NAMESPACE}").values()
    assert (flow["source"]["ip"], flow["aws"]["vpcflow"]["action"]) == ("203.0.113.9", "ACCEPT")
