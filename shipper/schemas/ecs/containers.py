"""Container logs of ECS and Kubernetes: what Fluent Bit, FireLens, awslogs and Container Insights say of a container.

A line may have the head that the container's runtime wrote: that of CRI, or Docker's JSON. It is taken off.

Sources: "Custom log routing" and "Send Amazon ECS logs to CloudWatch" (Amazon ECS Developer Guide), "Send logs to
CloudWatch Logs" for Container Insights (CloudWatch User Guide), Fluent Bit's Kubernetes filter, Docker's "JSON File
logging driver", and the format of Kubernetes' Container Runtime Interface.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from shipper.model import LogEvent
from shipper.ports import Clock, wall_clock
from shipper.schemas.ecs.addresses import is_address
from shipper.schemas.ecs.log_event import Fields, LogEventEcs, add, add_fields, bounded, object_of, text_in
from shipper.schemas.event_times import time_of

DATASET = "aws.container_logs"

_INSIGHTS = re.compile(r"/aws/containerinsights/(?P<cluster>[^/]{1,255})/(?:application|dataplane|host)")
_AWSLOGS_STREAM = re.compile(r"(?:.{1,400}/)?(?P<container>[\w-]{1,255})/(?P<task>[0-9a-f]{32}|[0-9a-f-]{36})")
_CRI = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) (?P<stream>stdout|stderr)"
    r" (?P<tag>[FP])(?::[^ ]{0,64})? ?(?P<line>.*)",
    re.DOTALL,
)
_DOCKER = frozenset({"log", "stream", "time", "attrs"})
_STREAMS = frozenset({"stdout", "stderr"})
_KUBERNETES = {
    "pod_name": "kubernetes.pod.name",
    "pod_id": "kubernetes.pod.uid",
    "pod_ip": "kubernetes.pod.ip",
    "namespace_name": "kubernetes.namespace",
    "container_name": "kubernetes.container.name",
    "host": "kubernetes.node.name",
}


def containers_ecs(namespace: str, *, clock: Clock = wall_clock) -> LogEventEcs:
    """The schema of container logs.

    Args:
        clock: the time of lines that have none.
    """
    return LogEventEcs(DATASET, namespace, _describe, clock=clock)


class _Line(NamedTuple):
    """A container's own line.

    Attributes:
        text: without the head that the runtime wrote.
        time_ms, stream: of that head; None if there is none.
        partial: whether the runtime cut it: the next line goes on with it.
    """

    text: str
    time_ms: int | None
    stream: str | None
    partial: bool


def _describe(document: Fields, text: str, event: LogEvent | None) -> int | None:
    said = object_of(text)
    wrapped = said is not None and isinstance(said.get("log"), str)
    line = _line(said["log"] if said is not None and wrapped else text)
    document["message"] = line.text
    time_ms = line.time_ms
    if said is not None:
        add_fields(document, said)
        _add_record(document, said)
        time_ms = time_of(text_in(said, "time") or "") if time_ms is None and "log" in said else time_ms
    if (said is not None and "log" in said) or line.stream:
        _add_line(document, line, said or {})
    if event is not None:
        _add_place(document, event)
    return time_ms


def _line(text: str) -> _Line:
    """Return a container's line without the head of its runtime."""
    if found := _CRI.fullmatch(text):
        return _Line(found["line"].removesuffix("\n"), time_of(found["time"]), found["stream"], found["tag"] == "P")
    said = object_of(text)
    if said is not None and said.keys() <= _DOCKER and isinstance(line := said.get("log"), str) and "stream" in said:
        stream = text_in(said, "stream")
        time_ms = time_of(text_in(said, "time") or "")
        return _Line(line.removesuffix("\n"), time_ms, stream if stream in _STREAMS else None, not line.endswith("\n"))
    return _Line(text.removesuffix("\n"), None, None, False)


def _add_line(document: Fields, line: _Line, said: Fields) -> None:
    """Add what a line says of itself; the stream that a collector names counts for more."""
    if line.stream:
        document["stream"] = line.stream
    if line.partial or text_in(said, "partial_message") == "true":
        document.setdefault("log", {})["flags"] = ["partial"]
    inner = next((said[name] for name in ("log_processed", "log") if isinstance(said.get(name), dict)), None)
    inner = object_of(line.text) if inner is None else inner
    if inner is not None and isinstance(level := inner.get("level"), str) and 0 < len(level) < 32:
        document.setdefault("log", {})["level"] = level.lower()


def _add_record(document: Fields, said: Fields) -> None:
    """What Fluent Bit or FireLens put around the container's own line."""
    pod = said.get("kubernetes")
    if isinstance(pod, dict):
        _add_pod(document, pod)
    elif text_in(said, "ecs_task_arn", "container_id", "container_name"):
        _add_task(document, said)
    if (stream := text_in(said, "stream", "source")) in _STREAMS:
        document["stream"] = stream


def _add_pod(document: Fields, pod: Mapping[str, Any]) -> None:
    fields: Fields = {to: text_in(pod, name) for name, to in _KUBERNETES.items()}
    if (address := fields["kubernetes.pod.ip"]) and not is_address(address):
        del fields["kubernetes.pod.ip"]
    fields["container.name"] = text_in(pod, "container_name")
    fields["container.id"] = text_in(pod, "docker_id")
    fields["container.image.name"], fields["container.image.tag"] = _image(text_in(pod, "container_image"))
    fields["host.name"] = text_in(pod, "host")
    fields["orchestrator.type"] = "kubernetes"
    fields["orchestrator.namespace"] = text_in(pod, "namespace_name")
    for name in ("labels", "annotations"):
        if isinstance(value := pod.get(name), dict) and value:
            fields[f"kubernetes.{name}"] = bounded(value)
    add(document, fields)


def _add_task(document: Fields, said: Fields) -> None:
    task = text_in(said, "ecs_task_arn")
    definition = text_in(said, "ecs_task_definition")
    cluster = text_in(said, "ecs_cluster")
    name = text_in(said, "container_name")
    add(
        document,
        {
            "container.id": text_in(said, "container_id"),
            "container.name": name.removeprefix("/") if name else None,
            "aws.ecs.cluster.name": cluster.rpartition("/")[2] if cluster else None,
            "aws.ecs.task.arn": task,
            "aws.ecs.task.id": task.rpartition("/")[2] if task else None,
            "aws.ecs.task.definition": definition,
            "aws.ecs.task.family": definition.rpartition(":")[0] or None if definition else None,
            "cloud.instance.id": text_in(said, "ec2_instance_id"),
            "orchestrator.type": "ecs" if task else None,
            "orchestrator.cluster.name": cluster.rpartition("/")[2] if cluster else None,
        },
    )


def _add_place(document: Fields, event: LogEvent) -> None:
    """What the names of group and stream say, where the line itself says nothing of it."""
    stream = event.stream
    if found := _INSIGHTS.fullmatch(stream.group):
        add(document, {"orchestrator.type": "kubernetes", "orchestrator.cluster.name": found["cluster"]})
    elif "container" not in document and (found := _AWSLOGS_STREAM.fullmatch(stream.name)):
        add(
            document,
            {"container.name": found["container"], "aws.ecs.task.id": found["task"], "orchestrator.type": "ecs"},
        )


def _image(text: str | None) -> tuple[str | None, str | None]:
    """An image's name and tag; what follows the last colon after the last slash is the tag."""
    if not text:
        return None, None
    head, colon, tag = text.partition("@")[0].rpartition(":")
    return (head, tag) if colon and "/" not in tag else (text, None)
