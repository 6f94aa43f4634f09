"""What arrived in the demo's archive, counted and put in order; nothing here knows what was made up."""

from __future__ import annotations

import collections
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import zstandard

from shipper.demo.flows import Flow, flow_of, where


@dataclass(frozen=True, slots=True)
class Event:
    """One document, as far as the show needs it.

    Attributes:
        user: who really acted, as far as the document knows.
        role: the role it was done in; "" for permission sets of people, and for none.
        principal: the role's or user's ARN in IAM.
    """

    time: str
    account: str
    provider: str
    action: str
    failed: bool
    error: str
    user: str
    role: str
    principal: str
    key: str
    address: str
    place: str
    network: str
    system: str
    target: str
    bytes_out: int


@dataclass(slots=True)
class Arrived:
    """All events in order of time.

    Attributes:
        events: of CloudTrail.
        flows: of the network.
        tags: what IAM says of roles and users, by ARN, as far as any document knows it.
    """

    events: list[Event] = field(default_factory=list)
    flows: list[Flow] = field(default_factory=list)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    files: int = 0
    bytes: int = 0

    def by(self, name: str) -> collections.Counter[str]:
        """How many events for each value of an attribute."""
        return collections.Counter(getattr(event, name) for event in self.events)


def read(archive: Path) -> Arrived:
    """Read all documents of an archive folder."""
    arrived = Arrived()
    for path in sorted(archive.glob("dataset=*/date=*/*.ndjson.zst")):
        arrived.files += 1
        arrived.bytes += path.stat().st_size
        if path.parts[-3] == "dataset=aws.vpcflow":
            arrived.flows.extend(map(flow_of, _documents(path)))
        else:
            for document in _documents(path):
                arrived.events.append(_event(document))
                iam = document["aws"].get("iam", {})
                if "tags" in iam:
                    arrived.tags[iam["arn"]] = iam["tags"]
    arrived.events.sort(key=lambda event: event.time)
    arrived.flows.sort(key=lambda flow: flow.time)
    return arrived


def _documents(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        for line in io.BufferedReader(reader):
            yield orjson.loads(line)


def _event(document: dict[str, Any]) -> Event:
    trail, event = document["aws"]["cloudtrail"], document["event"]
    source, user = document.get("source", {}), document.get("user", {})
    identity = trail.get("user_identity", {})
    place, network, system = where(source)
    flattened = trail.get("flattened", {})
    asked = flattened.get("request_parameters", {})
    sent = flattened.get("additional_eventdata", {}).get("bytesTransferredOut", 0)
    return Event(
        time=document["@timestamp"],
        account=document.get("cloud", {}).get("account", {}).get("id", ""),
        provider=event.get("provider", ""),
        action=event.get("action", ""),
        failed=event["outcome"] == "failure",
        error=trail.get("error_code", ""),
        user=_who(identity, user),
        role=_role(identity, user),
        principal=document["aws"].get("iam", {}).get("arn", ""),
        key=identity.get("access_key_id", ""),
        address=source.get("address", ""),
        place=place,
        network=network,
        system=system,
        target=_target(asked),
        bytes_out=int(sent) if str(sent).isdigit() else 0,
    )


def _who(identity: dict[str, Any], user: dict[str, Any]) -> str:
    """The name a person would look for: who is behind a role, or the session's own name where nobody is known."""
    if "effective" in user:
        return str(user["effective"]["name"])
    if identity.get("type") == "Root":
        return "root"
    if identity.get("type") == "AssumedRole":
        return str(user.get("id", "")).rpartition(":")[2]
    return str(user.get("name") or identity.get("invoked_by", ""))


def _role(identity: dict[str, Any], user: dict[str, Any]) -> str:
    name = str(user.get("name", "")) if identity.get("type") == "AssumedRole" else ""
    return "" if name.startswith("AWSReservedSSO_") else name


def _target(asked: dict[str, Any]) -> str:
    for name in ("bucketName", "userName", "name", "secretId", "instanceType", "roleArn"):
        if isinstance(asked.get(name), str):
            return str(asked[name]).rpartition("/")[2]
    return ""
