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
    """One document, as far as the show needs it."""

    time: str
    account: str
    provider: str
    action: str
    failed: bool
    error: str
    user: str
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
    """

    events: list[Event] = field(default_factory=list)
    flows: list[Flow] = field(default_factory=list)
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
            arrived.events.extend(map(_event, _documents(path)))
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
        key=identity.get("access_key_id", ""),
        address=source.get("address", ""),
        place=place,
        network=network,
        system=system,
        target=_target(asked),
        bytes_out=int(sent) if str(sent).isdigit() else 0,
    )


def _who(identity: dict[str, Any], user: dict[str, Any]) -> str:
    """The name a person would look for: of a role's session, the session's own name."""
    if identity.get("type") == "Root":
        return "root"
    if identity.get("type") == "AssumedRole":
        return str(user.get("id", "")).rpartition(":")[2]
    return str(user.get("name") or identity.get("invoked_by", ""))


def _target(asked: dict[str, Any]) -> str:
    for name in ("bucketName", "userName", "name", "secretId", "instanceType", "roleArn"):
        if isinstance(asked.get(name), str):
            return str(asked[name]).rpartition("/")[2]
    return ""
