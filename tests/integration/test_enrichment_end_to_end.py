"""Enrichment through the whole program: two accounts in an emulator of AWS, the real daemon, a real Elasticsearch.

Roles have tags, machines have names, and a person acts through a chain of two roles into the second account.
"""

from __future__ import annotations

import gzip
import json
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shipper.aws import AwsSessions
from shipper.demo.networks import write_geoip
from tests.parts.elasticsearch import ElasticsearchServer
from tests.parts.moto import Moto
from tests.process.daemon import Daemon
from tests.process.test_observed import Page, await_true, free_port

OWN, OTHER, REGION = "123456789012", "444455556666", "us-east-1"
ALICE = f"arn:aws:iam::{OWN}:user/alice"
BUILD = f"arn:aws:sts::{OWN}:assumed-role/build/ci"
DEPLOY = f"arn:aws:sts::{OTHER}:assumed-role/deploy/ci"
NOW = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=10)
IMAGE = "ami-12c6146b"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
HEADER = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)


@dataclass
class World:
    """Both accounts, and the keys of the sessions that were really handed out."""

    moto: Moto
    build_key: str = ""
    deploy_key: str = ""
    machines: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        iam = self.moto.client("iam")
        iam.create_user(UserName="alice", Tags=[{"Key": "team", "Value": "people"}])
        tags = [{"Key": "team", "Value": "ci"}, {"Key": "secret", "Value": "x"}]
        iam.create_role(RoleName="build", Path="/ci/", AssumeRolePolicyDocument=TRUST, Tags=tags)
        there = self.other("iam")
        tags = [{"Key": "team", "Value": "payments"}]
        there.create_role(RoleName="deploy", Description="Deploys", AssumeRolePolicyDocument=TRUST, Tags=tags)
        sts = self.moto.client("sts")
        self.build_key = self._assume(sts, f"arn:aws:iam::{OWN}:role/ci/build")
        self.deploy_key = self._assume(sts, f"arn:aws:iam::{OTHER}:role/deploy")
        self.machines = {
            "web-1": self._launch(self.moto.client("ec2"), "web-1"),
            "db-1": self._launch(self.other("ec2"), "db-1"),
        }
        subnet = self.machines["web-1"]["SubnetId"]
        gateway = self.moto.client("ec2").create_network_interface(
            SubnetId=subnet, Description="Interface for NAT Gateway nat-0a1b2c3d"
        )
        self.gateway = gateway["NetworkInterface"]

    def other(self, service: str) -> Any:
        """A client of the second account."""
        role = f"arn:aws:iam::{OTHER}:role/shipper-enrich"
        return AwsSessions(self.moto.settings(role_arn=role)).client(service)

    def _assume(self, sts: Any, role: str) -> str:
        key: str = sts.assume_role(RoleArn=role, RoleSessionName="ci")["Credentials"]["AccessKeyId"]
        return key

    def _launch(self, ec2: Any, name: str) -> dict[str, Any]:
        tags = [{"Key": "Name", "Value": name}, {"Key": "team", "Value": f"team of {name}"}]
        marked = [{"ResourceType": "instance", "Tags": tags}]
        (made,) = ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, TagSpecifications=marked)["Instances"]
        answer = ec2.describe_instances(InstanceIds=[made["InstanceId"]])
        found: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
        return found

    def interface(self, name: str) -> tuple[str, str]:
        """A machine's interface and private address."""
        machine = self.machines[name]
        return machine["NetworkInterfaces"][0]["NetworkInterfaceId"], machine["PrivateIpAddress"]


def who(arn: str, key: str) -> dict[str, Any]:
    """A record's userIdentity."""
    account = arn.split(":")[4]
    if ":user/" in arn:
        return {"type": "IAMUser", "arn": arn, "accountId": account, "userName": "alice", "accessKeyId": key}
    role = arn.split("/")[1]
    issuer = {"type": "Role", "arn": f"arn:aws:iam::{account}:role/{role}", "accountId": account, "userName": role}
    context = {"sessionIssuer": issuer, "attributes": {"mfaAuthenticated": "false"}}
    return {"type": "AssumedRole", "arn": arn, "accountId": account, "accessKeyId": key, "sessionContext": context}


def record(event_id: str, caller: dict[str, Any], event: str, **more: Any) -> dict[str, Any]:
    service = {"AssumeRole": "sts", "RunInstances": "ec2"}.get(event, "s3")
    fields: dict[str, Any] = {
        "eventTime": f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": f"{service}.amazonaws.com",
        "eventName": event,
    }
    fields |= {"eventVersion": "1.11", "userIdentity": caller, "awsRegion": REGION, "eventID": event_id}
    fields |= {"sourceIPAddress": "203.0.113.130", "recipientAccountId": caller["accountId"], "eventType": "AwsApiCall"}
    return fields | more


def assumed(event_id: str, caller: dict[str, Any], arn: str, key: str) -> dict[str, Any]:
    account, role = arn.split(":")[4], arn.split("/")[1]
    asked = {"roleArn": f"arn:aws:iam::{account}:role/{role}", "roleSessionName": "ci"}
    answered = {"credentials": {"accessKeyId": key, "sessionToken": "IQoJsecret"}, "assumedRoleUser": {"arn": arn}}
    return record(event_id, caller, "AssumeRole", requestParameters=asked, responseElements=answered)


def launched(event_id: str, caller: dict[str, Any], network: str) -> dict[str, Any]:
    """A machine that EC2 lists no more: only its record tells of it."""
    joined: dict[str, Any] = {"attachmentId": "eni-attach-1", "deviceIndex": 0, "deleteOnTermination": True}
    inner: dict[str, Any] = {
        "networkInterfaceId": "eni-0job",
        "vpcId": network,
        "privateIpAddress": "172.31.99.9",
        "attachment": joined,
    }
    tags = {"items": [{"key": "Name", "value": "job-1"}]}
    machine = {"instanceId": "i-0job", "tagSet": tags, "networkInterfaceSet": {"items": [inner]}}
    return record(event_id, caller, "RunInstances", responseElements={"instancesSet": {"items": [machine]}})


class Trail:
    """Writes objects of both log types into their buckets."""

    def __init__(self, moto: Moto) -> None:
        self._s3 = moto.client("s3")
        for bucket in ("trail", "flow"):
            self._s3.create_bucket(Bucket=bucket)
        self._made = 0

    def put_records(self, account: str, *records: dict[str, Any]) -> None:
        folder = f"AWSLogs/{account}/CloudTrail/{REGION}/{NOW:%Y/%m/%d}"
        name = f"{account}_CloudTrail_{REGION}_{NOW:%Y%m%dT%H%MZ}_{self._unique()}.json.gz"
        self._put("trail", f"{folder}/{name}", json.dumps({"Records": records}))

    def put_lines(self, account: str, *lines: str) -> None:
        folder = f"AWSLogs/{account}/vpcflowlogs/{REGION}/{NOW:%Y/%m/%d}"
        name = f"{account}_vpcflowlogs_{REGION}_fl-1_{NOW:%Y%m%dT%H%MZ}_{self._unique()}.log.gz"
        self._put("flow", f"{folder}/{name}", "\n".join((HEADER, *lines)) + "\n")

    def _unique(self) -> str:
        self._made += 1
        return f"{self._made:08d}abcdefgh"

    def _put(self, bucket: str, key: str, text: str) -> None:
        self._s3.put_object(Bucket=bucket, Key=key, Body=gzip.compress(text.encode()))


def line(account: str, interface: str, source: str, destination: str, port: int) -> str:
    start = int(time.time())  # the machines are a few seconds old
    return f"2 {account} {interface} {source} {destination} {port} 443 6 3 180 {start} {start + 60} ACCEPT OK"


@dataclass
class Search:
    """Asks Elasticsearch as an analyst does."""

    server: ElasticsearchServer
    namespace: str

    def find(self, dataset: str, query: str) -> list[dict[str, Any]]:
        """Documents that a query string finds."""
        index = f"logs-aws.{dataset}-{self.namespace}"
        self.server.request("POST", f"{index}/_refresh")
        answer = self.server.request(
            "GET", f"{index}/_search", {"query": {"query_string": {"query": query}}, "size": 100}
        )
        return [hit["_source"] for hit in answer.body["hits"]["hits"]] if answer.status == 200 else []


def settings(folder: Path, world: World, server: ElasticsearchServer, namespace: str, port: int) -> dict[str, Any]:
    city, asn = write_geoip(folder)
    enrich = {
        "geoip": {"city": str(city), "asn": str(asn)},
        "iam": {"role_name": "shipper-enrich", "without_tags": ["secret"], "requests_per_second": 100},
        "sessions": {},
        "interfaces": {"role_name": "shipper-enrich", "tags": ["team"], "requests_per_second": 100},
    }
    source = {"type": "s3", "start": "beginning", "interval_seconds": 1}
    return {
        "state": {"path": str(folder / "state")},
        "listen": f"127.0.0.1:{port}",
        "aws": {"region": REGION, "endpoint_url": world.moto.url},
        "sources": {
            "trail": {**source, "bucket": "trail"},
            "flow": {**source, "bucket": "flow", "logs": "vpcflow"},
        },
        "sinks": {"siem": {"type": "elasticsearch", "hosts": [server.url], "data_stream_namespace": namespace}},
        "enrich": enrich,
    }


@pytest.mark.timeout(600)
def test_documents_say_who_whose_and_where(tmp_path, moto, elasticsearch9):
    """The second look at the same callers and machines finds them known; a restart knows them from its first record."""
    world, trail = World(moto), Trail(moto)
    search = Search(elasticsearch9, uuid.uuid4().hex[:8])
    alice, build, deploy = who(ALICE, "AKIAALICE"), who(BUILD, world.build_key), who(DEPLOY, world.deploy_key)
    network = world.machines["web-1"]["VpcId"]
    port = free_port()
    page = Page(port)
    daemon = Daemon(tmp_path, settings(tmp_path, world, elasticsearch9, search.namespace, port))
    trail.put_records(OWN, assumed("a-1", alice, BUILD, world.build_key), launched("a-2", build, network))
    trail.put_records(OWN, assumed("a-3", build, DEPLOY, world.deploy_key))
    trail.put_records(OTHER, record("a-4", deploy, "ListBuckets"))
    (web, web_address), (db, db_address) = world.interface("web-1"), world.interface("db-1")
    trail.put_lines(OWN, line(OWN, web, web_address, "198.51.100.1", 1))
    trail.put_lines(OTHER, line(OTHER, db, "198.51.100.1", db_address, 1))
    daemon.start()
    try:
        await_true(lambda: not daemon.running or _known(page), daemon.log, 120)
        assert daemon.running, daemon.log()
        flows = {
            OWN: line(OWN, web, "203.0.113.7", web_address, 1),
            OTHER: line(OTHER, db, "203.0.113.7", db_address, 1),
        }
        _await_names(trail, search, flows, daemon)
        gateway = world.gateway["PrivateIpAddress"]
        trail.put_records(OTHER, record("b-1", deploy, "DeleteObject"))
        trail.put_records(OWN, record("b-2", build, "PutObject"), record("b-3", alice, "GetObject"))
        trail.put_lines(
            OWN, line(OWN, web, web_address, gateway, 2), line(OWN, "eni-0job", "172.31.99.9", web_address, 2)
        )
        trail.put_lines(OTHER, line(OTHER, db, "203.0.113.7", db_address, 2))
        await_true(lambda: len(search.find("cloudtrail", "event.id:(b-1 OR b-2 OR b-3)")) == 3, daemon.log, 120)
        await_true(lambda: len(search.find("vpcflow", "source.port:2")) == 3, daemon.log, 120)
        assert daemon.terminate() == 0, daemon.log()
        _judge(search, world)
        trail.put_records(OTHER, record("c-1", deploy, "DeleteObject"))
        trail.put_lines(OTHER, line(OTHER, db, "203.0.113.7", db_address, 3))
        daemon.start()
        await_true(lambda: len(search.find("cloudtrail", "event.id:c-1")) == 1, daemon.log, 120)
        await_true(lambda: len(search.find("vpcflow", "source.port:3")) == 1, daemon.log, 120)
    finally:
        if daemon.running:
            daemon.terminate()
    (again,) = search.find("cloudtrail", "event.id:c-1")
    assert again["user"]["effective"]["name"] == "alice"
    (flow,) = search.find("vpcflow", "source.port:3")
    assert flow["cloud"]["instance"]["name"] == "db-1"


def _await_names(trail: Trail, search: Search, flows: dict[str, str], daemon: Daemon) -> None:
    """Until flows have their machines' names: what was answered before the listings is believed for a second."""

    def named() -> bool:
        for account, flow in flows.items():
            trail.put_lines(account, flow)
        time.sleep(0.5)  # the source looks once a second
        machines = ("web-1", "db-1")
        return all(search.find("vpcflow", f"source.port:1 AND aws.destination.instance.name:{one}") for one in machines)

    await_true(named, daemon.log, 60)


def _known(page: Page) -> bool:
    """Whether the callers and the machines of both accounts are."""
    if page.status("/metrics") != 200:
        return False
    values = page.metrics()
    found = values.get("shipper_iam_lookups_total{outcome=found}", 0)
    listed = values.get("shipper_interface_listings_total{outcome=found}", 0)
    return found >= 3 and listed >= 4 and values.get("shipper_sessions_known", 0) >= 2


def _judge(search: Search, world: World) -> None:
    (deleted,) = search.find("cloudtrail", "event.id:b-1")
    assert deleted["aws"]["iam"] == {
        "arn": f"arn:aws:iam::{OTHER}:role/deploy",
        "path": "/",
        "description": "Deploys",
        "tags": {"team": "payments"},
    }
    assert deleted["user"]["effective"] == {"name": "alice", "id": ALICE}
    assert deleted["aws"]["session"] == {"chain": [ALICE, BUILD, DEPLOY], "first_address": "203.0.113.130"}
    assert deleted["source"]["geo"]["country_iso_code"] == "BR"
    # What an analyst asks: everything that alice did through roles of the payments team.
    asked = "aws.iam.tags.team:payments AND user.effective.name:alice AND event.action:DeleteObject"
    assert [found["event"]["id"] for found in search.find("cloudtrail", asked)] == ["b-1"]
    (built,) = search.find("cloudtrail", "event.id:b-2")
    assert (built["aws"]["iam"]["tags"], built["aws"]["iam"]["path"]) == ({"team": "ci"}, "/ci/")
    (herself,) = search.find("cloudtrail", "event.id:b-3")
    assert herself["aws"]["iam"]["tags"] == {"team": "people"}
    assert not [found for found in search.find("cloudtrail", "*") if "IQoJsecret" in json.dumps(found)]

    web = world.machines["web-1"]["InstanceId"]
    (out,) = search.find(
        "vpcflow", "source.port:2 AND network.direction:egress AND aws.destination.service:nat_gateway"
    )
    assert out["cloud"]["instance"] == {"id": web, "name": "web-1"}
    assert out["aws"]["source"]["instance"] == {"id": web, "name": "web-1"}
    assert out["aws"]["source"]["tags"] == {"team": "team of web-1"}
    assert out["aws"]["destination"]["resource"] == "nat-0a1b2c3d"
    (job,) = search.find("vpcflow", "source.port:2 AND aws.source.instance.name:job-1")
    assert job["related"]["hosts"] == ["i-0job", "job-1", web, "web-1"]
    (there,) = search.find("vpcflow", f"source.port:2 AND cloud.account.id:{OTHER}")
    assert there["aws"]["destination"]["instance"]["name"] == "db-1"
    assert there["network"]["direction"] == "ingress"
    assert "source" not in there["aws"]
