"""Kubernetes audit events as documents of Elastic's kubernetes integration, dataset `kubernetes.audit_logs`.

Sources: the Kubernetes API's audit.k8s.io/v1 Event; fields and ingest pipeline of packages/kubernetes/data_stream/
audit_logs. That pipeline keeps all addresses in `source.ip`; here it is the first one, the client, which rules that
compare it need and geography is about. All of them are in `kubernetes.audit.sourceIPs` and `related.ip`.
"""

from __future__ import annotations

from typing import Any

from shipper.schemas.ecs.addresses import is_address
from shipper.schemas.ecs.kubernetes_audit_fields import EXTRA, OBJECT, shaped
from shipper.schemas.ecs.log_event import Fields, add, text_in
from shipper.schemas.event_times import time_of

AUDIT_DATASET = "kubernetes.audit_logs"

_LONGEST = 8_191
"""What the template indexes of a text: a longer one would not be searchable at all."""
_TEXTS = ("auditID", "level", "stage", "requestURI", "verb", "userAgent", "kind", "apiVersion")
_TIMES = ("requestReceivedTimestamp", "stageTimestamp")
_REFERENCE = ("resource", "namespace", "name", "uid", "apiGroup", "apiVersion", "resourceVersion", "subresource")
_STATUS = ("status", "reason", "message")
_MOST_ANNOTATIONS = 100
_LONGEST_NAME = 256
_OUTCOMES = {"allow": "success", "forbid": "failure"}
_DECISION = "authorization_k8s_io/decision"


def is_audit_event(said: Fields) -> bool:
    """Whether a log event's JSON object is an event of the Kubernetes audit log."""
    return str(said.get("apiVersion", "")).startswith("audit.k8s.io/")


def audit_stream(namespace: str) -> Fields:
    """Return the `data_stream` of audit events."""
    return {"type": "logs", "dataset": AUDIT_DATASET, "namespace": namespace}


def add_audit_event(document: Fields, said: Fields) -> list[str]:
    """Add what an audit event says, in the integration's form, and return the addresses that it came from.

    Args:
        document: its `data_stream`, `event` and `aws` are there.
        said: the event.
    """
    addresses = [text for text in _texts(said.get("sourceIPs")) if is_address(text)]
    audit: Fields = {name: _text(said, name) for name in _TEXTS}
    audit |= {name: time for name in _TIMES if (time := text_in(said, name)) and time_of(time)}
    audit["sourceIPs"] = addresses
    audit["user"], audit["impersonatedUser"] = (_user(said, name) for name in ("user", "impersonatedUser"))
    audit["objectRef"] = _part(said, "objectRef", _REFERENCE)
    audit["responseStatus"] = _status(said)
    audit["annotations"] = _annotations(said)
    for name in ("requestObject", "responseObject"):
        audit[name] = shaped(said.get(name), OBJECT)
    audit = {name: value for name, value in audit.items() if value}
    user, target = audit.get("user", {}), audit.get("objectRef", {})
    document["event"] |= {"module": "kubernetes", "dataset": AUDIT_DATASET}
    fields = {
        "kubernetes.audit": audit,
        "event.action": audit.get("verb"),
        "event.outcome": _OUTCOMES.get(audit.get("annotations", {}).get(_DECISION, "")),
        "container.image.name": _images(audit.get("requestObject")),
        "http.response.status_code": audit.get("responseStatus", {}).get("code"),
        "orchestrator.api_version": audit.get("apiVersion"),
        "orchestrator.namespace": target.get("namespace"),
        "orchestrator.resource.name": target.get("name"),
        "orchestrator.resource.type": target.get("resource"),
        "related.user": [text for name in ("uid", "username") if (text := user.get(name))] or None,
        "url.original": audit.get("requestURI"),
        "user.id": user.get("uid"),
        "user.name": user.get("username"),
        "user_agent.original": audit.get("userAgent"),
        "client.ip": addresses[0] if addresses else None,
    }
    add(document, fields)
    return addresses


def _user(said: Fields, name: str) -> Fields:
    user = said.get(name)
    if not isinstance(user, dict):
        return {}
    fields = _part(said, name, ("username", "uid"))
    if groups := _texts(user.get("groups")):
        fields["groups"] = groups
    if extra := shaped(user.get("extra"), EXTRA):
        fields["extra"] = extra
    return fields


def _status(said: Fields) -> Fields:
    fields = _part(said, "responseStatus", _STATUS)
    status = said.get("responseStatus")
    code = status.get("code") if isinstance(status, dict) else None
    if isinstance(code, int) and not isinstance(code, bool) and 0 <= code < 1000:
        fields["code"] = code
    return fields


def _annotations(said: Fields) -> Fields:
    """Annotations by name, with dots as underscores; empty ones are left out, as the integration does."""
    notes = said.get("annotations")
    if not isinstance(notes, dict):
        return {}
    texts = ((name, text) for name, text in notes.items() if isinstance(text, str) and text and name.strip())
    named = ((name.replace(".", "_"), text) for name, text in texts if len(name) <= _LONGEST_NAME)
    kept = dict(sorted(named, key=lambda pair: pair[0] != _DECISION)[:_MOST_ANNOTATIONS])
    return {name.replace("\0", ""): text.replace("\0", "")[:_LONGEST] for name, text in kept.items()}


def _images(request: Any) -> list[str] | None:
    """The images of the containers that a request asks for, None if it asks for none."""
    spec = request.get("spec") if isinstance(request, dict) else None
    containers = spec.get("containers") if isinstance(spec, dict) else None
    containers = containers if isinstance(containers, list) else [containers]
    return [each["image"] for each in containers if isinstance(each, dict) and "image" in each] or None


def _part(said: Fields, name: str, names: tuple[str, ...]) -> Fields:
    part = said.get(name)
    if not isinstance(part, dict):
        return {}
    return {each: text for each in names if (text := _text(part, each)) is not None}


def _text(fields: Fields, name: str) -> str | None:
    text = text_in(fields, name)
    return text[:_LONGEST] if text else None


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
