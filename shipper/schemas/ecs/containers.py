"""Container logs of ECS and Kubernetes: what Fluent Bit, FireLens, awslogs and Container Insights say of a container.

Sources: "Custom log routing" and "Send Amazon ECS logs to CloudWatch" (Amazon ECS Developer Guide), "Send logs to
CloudWatch Logs" for Container Insights (CloudWatch User Guide), and Fluent Bit's Kubernetes filter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from shipper.model import LogEvent
from shipper.ports import Clock, wall_clock
from shipper.schemas.ecs.addresses import is_address
from shipper.schemas.ecs.log_event import Fields, LogEventEcs, add, add_fields, bounded, object_of, text_in

DATASET = "aws.container_logs"

_INSIGHTS = re.compile(r"/aws/containerinsights/(?P<cluster>[^/]{1,255})/(?:application|dataplane|host)")
_AWSLOGS_STREAM = re.compile(r"(?:.{1,400}/)?(?P<container>[\w-]{1,255})/(?P<task>[0-9a-f]{32}|[0-9a-f-]{36})")
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


def _describe(document: Fields, text: str, event: LogEvent | None) -> int | None:
    document["message"] = text
    said = object_of(text)
    if said is not None:
        add_fields(document, said)
        _add_record(document, said)
    if event is not None:
        _add_place(document, event)
    return None


def _add_record(document: Fields, said: Fields) -> None:
    """What Fluent Bit or FireLens put around the container's own line."""
    line = said.get("log")
    if isinstance(line, str):
        document["message"] = line.removesuffix("\n")
        inner = said.get("log_processed")
        inner = inner if isinstance(inner, dict) else object_of(line)
        if inner is not None and isinstance(level := inner.get("level"), str) and 0 < len(level) < 32:
            document.setdefault("log", {})["level"] = level.lower()
    pod = said.get("kubernetes")
    if isinstance(pod, dict):
        _add_pod(document, pod)
    elif text_in(said, "ecs_task_arn", "container_id", "container_name"):
        _add_task(document, said)
    if (stream := text_in(said, "stream", "source")) in {"stdout", "stderr"}:
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
