"""Control plane logs of EKS: the Kubernetes audit log in its own data stream, and the components' lines.

Sources: "Send control plane logs to CloudWatch Logs" (Amazon EKS User Guide), the Kubernetes API's audit.k8s.io/v1
Event, and klog's header format.
"""

from __future__ import annotations

import re
from typing import Any

from shipper.model import LogEvent
from shipper.ports import Clock, GeoLookup, wall_clock
from shipper.schemas.ecs.addresses import is_address
from shipper.schemas.ecs.kubernetes_audit import add_audit_event, audit_stream, is_audit_event
from shipper.schemas.ecs.log_event import (
    Describe,
    Fields,
    LogEventEcs,
    add,
    add_fields,
    bounded,
    merge,
    object_of,
    text_in,
)
from shipper.schemas.event_times import time_of

DATASET = "aws.eks_logs"

_GROUP = re.compile(r"/aws/eks/(?P<cluster>[^/]{1,255})/cluster")
_COMPONENT = re.compile(
    r"(?P<name>kube-apiserver-audit|kube-apiserver|authenticator|kube-controller-manager|kube-scheduler"
    r"|cloud-controller-manager)-"
)
_KLOG = re.compile(
    r"(?P<level>[IWEF])\d{4} \d\d:\d\d:\d\d\.\d{1,9} +(?P<thread>\d{1,12})"
    r" (?P<file>[^\s:\]]{1,255}):(?P<line>\d{1,9})\] (?P<message>.*)",
    re.DOTALL,
)
_LEVELS = {"I": "info", "W": "warning", "E": "error", "F": "fatal"}
_PAIR = re.compile(r'(?P<name>[A-Za-z_][\w.]{0,63})=(?:"(?P<quoted>(?:[^"\\]|\\.){0,4096})"|(?P<bare>[^\s"]{0,4096}))')
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z")
_MOST_PAIRS = 40
_MOST_LINE = 32_768
_MOST_LIST = 100
_TEXTS = ("auditID", "level", "stage", "requestURI", "verb", "userAgent", "kind", "apiVersion")
_TIMES = ("requestReceivedTimestamp", "stageTimestamp")
_OBJECT = ("resource", "namespace", "name", "uid", "apiGroup", "apiVersion", "resourceVersion", "subresource")
_STATUS = ("status", "reason", "message")


def eks_ecs(
    namespace: str, geo: GeoLookup | None, *, audit_apart: bool = True, clock: Clock = wall_clock
) -> LogEventEcs:
    """The schema of EKS control plane logs.

    Args:
        geo: None to leave out geography and network owner.
        audit_apart: audit events go to the data stream of Elastic's kubernetes integration, in its form; else they
            stay with the components' lines.
        clock: the time of lines that have none.
    """
    stream = audit_stream(namespace) if audit_apart else None
    return LogEventEcs(DATASET, namespace, _described(geo, stream), clock=clock)


def _described(geo: GeoLookup | None, stream: Fields | None) -> Describe:
    """Return what adds a message to a document.

    Args:
        stream: the `data_stream` of audit events; None if it is that of all others.
    """

    def describe(document: Fields, text: str, event: LogEvent | None) -> int | None:
        add(document, {"orchestrator.type": "kubernetes"})
        if event is not None:
            _add_place(document, event)
        said = object_of(text)
        if said is not None:
            add_fields(document, said)
            if is_audit_event(said):
                document.get("log", {}).pop("level", None)  # how much of a request is kept, not how bad it is
                if stream is None:
                    return _add_audit(document, said, geo)
                document["data_stream"] = stream
                _add_source(document, add_audit_event(document, said), geo)
                return time_of(text_in(said, "requestReceivedTimestamp") or "")
        document["message"] = text
        if found := _KLOG.fullmatch(text):
            document["message"] = found["message"]
            fields = {
                "log.level": _LEVELS[found["level"]],
                "log.origin.file.name": found["file"],
                "log.origin.file.line": int(found["line"]),
                "process.thread.id": int(found["thread"]),
            }
            add(document, fields)
        elif text.startswith("time="):
            return _add_authenticator(document, text, geo)
        return None

    return describe


def _add_place(document: Fields, event: LogEvent) -> None:
    if found := _GROUP.fullmatch(event.stream.group):
        add(document, {"orchestrator.cluster.name": found["cluster"]})
    if found := _COMPONENT.match(event.stream.name):
        add(document, {"aws.eks.component": found["name"]})


def _add_audit(document: Fields, said: Fields, geo: GeoLookup | None) -> int | None:
    user, target, status = (_object(said, name) for name in ("user", "objectRef", "responseStatus"))
    notes, actor = _object(said, "annotations"), _object(said, "impersonatedUser")
    addresses = [text for text in _texts(said.get("sourceIPs")) if is_address(text)]
    audit: Fields = {name: text_in(said, name) for name in _TEXTS}
    audit |= {name: found for name in _TIMES if _TIME.fullmatch(found := text_in(said, name) or "") and time_of(found)}
    audit["sourceIPs"] = addresses or None
    audit["annotations"] = {str(k).replace(".", "_"): v for k, v in bounded(notes).items()} or None
    audit["user"] = _kept({"username": text_in(user, "username"), "uid": text_in(user, "uid")}) | _groups(user)
    audit["impersonatedUser"] = _kept({"username": text_in(actor, "username")}) | _groups(actor)
    audit["objectRef"] = _kept({name: text_in(target, name) for name in _OBJECT})
    code = status.get("code")
    audit["responseStatus"] = _kept({name: text_in(status, name) for name in _STATUS})
    if isinstance(code, int) and not isinstance(code, bool) and 0 <= code < 1000:
        audit["responseStatus"]["code"] = code
    decision = text_in(notes, "authorization.k8s.io/decision")
    name = text_in(user, "username")
    add(
        document,
        {
            "kubernetes.audit": {key: value for key, value in audit.items() if value},
            "kubernetes.namespace": text_in(target, "namespace"),
            "event.action": text_in(said, "verb"),
            "event.outcome": {"allow": "success", "forbid": "failure"}.get(decision or ""),
            "orchestrator.namespace": text_in(target, "namespace"),
            "orchestrator.resource.name": text_in(target, "name"),
            "orchestrator.resource.type": text_in(target, "resource"),
            "orchestrator.api_version": text_in(target, "apiVersion"),
            "user.name": name,
            "user.id": text_in(user, "uid"),
            "user_agent.original": text_in(said, "userAgent"),
            "url.original": text_in(said, "requestURI"),
            "http.response.status_code": audit["responseStatus"].get("code"),
            "related.user": [name] if name else None,
        },
    )
    _add_source(document, addresses, geo)
    return time_of(text_in(said, "requestReceivedTimestamp") or "")


def _add_authenticator(document: Fields, text: str, geo: GeoLookup | None) -> int | None:
    """The IAM authenticator's `time="…" level=… msg="…" arn="…" client="…"`: who came in, and as whom."""
    said: dict[str, str] = {}
    for found in _PAIR.finditer(text[:_MOST_LINE]):
        said.setdefault(found["name"], found["bare"] if found["quoted"] is None else found["quoted"])
        if len(said) >= _MOST_PAIRS:
            break
    fields = {
        "message": said.get("msg") or text,
        "log.level": said.get("level"),
        "aws.eks.authenticator.arn": said.get("arn"),
        "aws.eks.authenticator.groups": said.get("groups"),
        "aws.eks.authenticator.method": said.get("method"),
        "aws.eks.authenticator.path": said.get("path"),
        "user.name": said.get("username") or None,
        "user.id": said.get("uid"),
        "error.message": said.get("error"),
    }
    add(document, fields)
    client = said.get("client", "").rpartition(":")[0].strip("[]")
    _add_source(document, [client] if is_address(client) else [], geo)
    return time_of(said.get("time", ""))


def _add_source(document: Fields, addresses: list[str], geo: GeoLookup | None) -> None:
    if not addresses:
        return
    first = addresses[0]
    document["source"] = {"address": first, "ip": first}
    document.setdefault("related", {})["ip"] = list(dict.fromkeys(addresses))
    if geo is not None and (place := geo(first)):
        merge(document["source"], place)


def _object(said: Fields, name: str) -> Fields:
    found = said.get(name)
    return found if isinstance(found, dict) else {}


def _texts(value: Any) -> list[str]:
    return [item for item in value[:_MOST_LIST] if isinstance(item, str)] if isinstance(value, list) else []


def _groups(user: Fields) -> Fields:
    groups = _texts(user.get("groups"))
    return {"groups": groups} if groups else {}


def _kept(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if value is not None}
