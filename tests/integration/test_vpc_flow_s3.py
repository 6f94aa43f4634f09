"""Flow logs in a bucket, in every key layout, into Elasticsearch: the whole program from listing to document."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shipper.flow_layouts import TRANSIT_GATEWAY, V2
from tests.fakes.splunk_hec import TOKEN, FakeSplunk
from tests.process.daemon import Daemon

ACCOUNT = "123456789012"
WINDOW = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=2)
PLAIN = f"AWSLogs/{ACCOUNT}/vpcflowlogs/us-east-1/{WINDOW:%Y/%m/%d}/"
HIVE = (
    f"AWSLogs/aws-account-id={ACCOUNT}/aws-service=vpcflowlogs/aws-region=us-east-1/year={WINDOW:%Y}/month={WINDOW:%m}/"
)
FOLDERS = {
    "plain": PLAIN,
    "hourly": f"{PLAIN}{WINDOW:%H}/",
    "hive": f"{HIVE}day={WINDOW:%d}/",
    "hive and hourly": f"{HIVE}day={WINDOW:%d}/hour={WINDOW:%H}/",
}


def line(source: str, status: str = "OK") -> str:
    start = int(WINDOW.timestamp())
    if status != "OK":
        return f"2 {ACCOUNT} eni-1 - - - - - - - {start} {start + 60} - {status}"
    return f"2 {ACCOUNT} eni-1 {source} 10.0.0.5 51000 22 6 10 840 {start} {start + 60} REJECT OK"


def put(s3: Any, folder: str, suffix: str, lines: list[str], header: tuple[str, ...] = ()) -> None:
    body = "\n".join([" ".join(header), *lines] if header else lines) + "\n"
    key = f"{folder}{ACCOUNT}_vpcflowlogs_us-east-1_fl-1_{WINDOW:%Y%m%dT%H%MZ}_{suffix}.log.gz"
    s3.put_object(Bucket="flows", Key=key, Body=gzip.compress(body.encode()))


def namespace(folder: Path) -> str:
    return folder.name.lower()


def settings(folder: Path, moto: Any, elasticsearch: Any, **keys: str) -> dict[str, Any]:
    return {
        "state": {"path": str(folder / "state")},
        "listen": "off",
        "aws": {"region": "us-east-1", "endpoint_url": moto.url},
        "sources": {"flow": {"type": "s3", "bucket": "flows", "prefix": "AWSLogs/", "logs": "vpcflow", **keys}},
        "sinks": {
            "siem": {
                "type": "elasticsearch",
                "hosts": [elasticsearch.url],
                "data_stream_namespace": folder.name.lower(),
            }
        },
        "log": {"level": "warning"},
    }


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / f"flow-{tmp_path.name}".replace("-", "_").replace("[", "").replace("]", "")
    folder.mkdir()
    return folder


def test_every_key_layout_is_found_and_late_files_of_a_window_too(place, moto, elasticsearch9):
    """Four layouts, two files a window, one of them later and with a smaller key: each line is one document."""
    s3 = moto.client("s3")
    s3.create_bucket(Bucket="flows")
    for number, folder in enumerate(FOLDERS.values()):
        put(s3, folder, "bbbb", [line(f"203.0.113.{number}"), line("", "NODATA"), line("", "SKIPDATA")], V2)
    daemon = Daemon(place, settings(place, moto, elasticsearch9))
    code, summary = daemon.once()
    assert (code, summary["sources"]["flow"]["read"]) == (0, 12), daemon.log()
    for number, folder in enumerate(FOLDERS.values()):
        put(s3, folder, "aaaa", [line(f"198.51.100.{number}")], V2)
    code, summary = daemon.once()
    assert (code, summary["sources"]["flow"]["read"]) == (0, 4), daemon.log()
    documents = list(elasticsearch9.documents(f"logs-aws.vpcflow-{namespace(place)}").values())
    assert len(documents) == 16
    found = {document["source"]["ip"] for document in documents if "source" in document}
    assert found == {f"{network}.{n}" for network in ("203.0.113", "198.51.100") for n in range(4)}
    states = [document["aws"]["vpcflow"]["log_status"] for document in documents]
    assert (states.count("OK"), states.count("NODATA"), states.count("SKIPDATA")) == (8, 4, 4)
    assert all(document["cloud"]["account"]["id"] == ACCOUNT for document in documents)


def test_objects_without_a_header_are_read_by_the_format_key(place, moto, elasticsearch9):
    """Fields in an order of one's own; and a Transit Gateway's object beside it, by its own header line."""
    s3 = moto.client("s3")
    s3.create_bucket(Bucket="flows")
    start = int(WINDOW.timestamp())
    put(s3, PLAIN, "own", [f"10.0.0.5 203.0.113.9 {start} {start + 60} ACCEPT"])
    gateway = {"version": "6", "resource-type": "TransitGateway", "account-id": ACCOUNT, "tgw-id": "tgw-1"}
    gateway |= {"srcaddr": "10.1.0.1", "dstaddr": "10.2.0.1", "start": str(start), "end": str(start + 60)}
    put(s3, PLAIN, "tgw", [" ".join(gateway.get(name, "-") for name in TRANSIT_GATEWAY)], TRANSIT_GATEWAY)
    fields = "${dstaddr} ${srcaddr} ${start} ${end} ${action}"
    daemon = Daemon(place, settings(place, moto, elasticsearch9, format=fields))
    code, summary = daemon.once()
    assert (code, summary["sources"]["flow"]["read"]) == (0, 2), daemon.log()
    documents = elasticsearch9.documents(f"logs-aws.vpcflow-{namespace(place)}").values()
    own, transit = sorted(documents, key=lambda document: "tgw_id" in document["aws"]["vpcflow"])
    assert (own["source"]["ip"], own["destination"]["ip"]) == ("203.0.113.9", "10.0.0.5")
    assert own["event"]["outcome"] == "success"
    assert transit["aws"]["vpcflow"]["tgw_id"] == "tgw-1"


def test_splunk_gets_the_names_of_fields_in_an_order_of_ones_own(place, moto):
    """The header is read away with the object: lines that the add-on cannot read carry their names themselves."""
    s3 = moto.client("s3")
    s3.create_bucket(Bucket="flows")
    start = int(WINDOW.timestamp())
    own = ("dstaddr", "srcaddr", "start", "end", "action", "vpc-id")
    put(s3, PLAIN, "own", [f"10.0.0.5 203.0.113.9 {start} {start + 60} ACCEPT vpc-1"], own)
    put(s3, PLAIN, "usual", [line("203.0.113.7")], V2)
    gateway = {"version": "6", "resource-type": "TransitGateway", "tgw-id": "tgw-1", "srcaddr": "10.1.0.1"}
    gateway |= {"start": str(start)}
    put(s3, PLAIN, "tgw", [" ".join(gateway.get(name, "-") for name in TRANSIT_GATEWAY)], TRANSIT_GATEWAY)
    with FakeSplunk() as splunk:
        chosen = settings(place, moto, splunk)
        chosen["sinks"] = {"siem": {"type": "splunk_hec", "urls": [splunk.url], "token": TOKEN}}
        daemon = Daemon(place, chosen)
        code, summary = daemon.once()
        assert (code, summary["sources"]["flow"]["read"]) == (0, 3), daemon.log()
        events = {event.source.rpartition("_")[2].partition(".")[0]: event for event in splunk.events}
    assert set(events) == {"own", "usual", "tgw"}
    assert events["usual"].event == line("203.0.113.7")
    assert events["own"].event == {
        "dest_ip": "10.0.0.5",
        "src_ip": "203.0.113.9",
        "start_time": str(start),
        "end_time": str(start + 60),
        "vpcflow_action": "ACCEPT",
        "vpc_id": "vpc-1",
    }
    assert events["tgw"].event["tgw_id"] == "tgw-1"
    assert [events[name].sourcetype for name in ("own", "usual", "tgw")] == [
        "aws:cloudwatchlogs:vpcflow",
        "aws:cloudwatchlogs:vpcflow",
        "aws:transitgateway:flowlogs",
    ]
    assert {event.time for event in events.values()} == {float(start)}
