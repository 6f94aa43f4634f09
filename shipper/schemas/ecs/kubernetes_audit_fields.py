"""Which parts of a Kubernetes audit event's objects are fields, and of which type.

The API server puts whatever a client sent into `requestObject` and `responseObject`, of any shape: a resource of one's
own may have a text where a pod has an object. Only what stands here becomes a field, and only where it has the type
that stands here, so that no request can make its own audit event unfit for the index. All of the event is in
`event.original`, and searchable in the flattened `aws.cloudwatch.fields`.

Sources: the fields of Elastic's kubernetes integration (`audit_logs`) and of Elastic's detection rules for it; the
Kubernetes API reference (PodSpec, Service, RBAC, admission webhooks, certificate signing requests).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Kind = Literal["keyword", "long_keyword", "boolean", "long"]
Shape = Mapping[str, "Kind | Shape"]
"""Names with their type, or with the shape of the object, or of each object of the list, that stands there."""

_LONG = 2**63

_SECURITY: Shape = {
    "privileged": "boolean",
    "allowPrivilegeEscalation": "boolean",
    "readOnlyRootFilesystem": "boolean",
    "runAsNonRoot": "boolean",
    "runAsUser": "long",
    "runAsGroup": "long",
    "procMount": "keyword",
    "capabilities": {"add": "keyword", "drop": "keyword"},
    "seccompProfile": {"type": "keyword"},
}
_CONTAINER: Shape = {
    "name": "keyword",
    "image": "keyword",
    "command": "long_keyword",
    "args": "long_keyword",
    "HostIPC": "boolean",
    "HostNetwork": "boolean",
    "HostPID": "boolean",
    "securityContext": _SECURITY,
    "volumeMounts": {"name": "keyword", "mountPath": "keyword"},
}
_SIDE_CONTAINER: Shape = {
    "image": "keyword",
    "command": "long_keyword",
    "securityContext": {"privileged": "boolean", "capabilities": {"add": "keyword"}},
}
_POD: Shape = {
    "hostIPC": "boolean",
    "hostNetwork": "boolean",
    "hostPID": "boolean",
    "serviceAccountName": "keyword",
    "automountServiceAccountToken": "boolean",
    "nodeName": "keyword",
    "restartPolicy": "keyword",
    "securityContext": {"runAsNonRoot": "boolean", "runAsUser": "long", "runAsGroup": "long"},
    "containers": _CONTAINER,
    "initContainers": _SIDE_CONTAINER,
    "ephemeralContainers": _SIDE_CONTAINER,
    "volumes": {
        "name": "keyword",
        "hostPath": {"path": "keyword", "type": "keyword"},
        "secret": {"secretName": "keyword"},
    },
}
_SPEC: Shape = {
    **_POD,
    "type": "keyword",
    "externalIPs": "keyword",
    "externalName": "keyword",
    "signerName": "keyword",
    "username": "keyword",
    "groups": "keyword",
    "usages": "keyword",
    "audiences": "keyword",
    "expirationSeconds": "long",
    "schedule": "keyword",
    "template": {"spec": _POD},
    "jobTemplate": {"spec": {"template": {"spec": _POD}}},
}
OBJECT: Shape = {
    "kind": "keyword",
    "spec": _SPEC,
    "roleRef": {"apiGroup": "keyword", "kind": "keyword", "name": "keyword"},
    "subjects": {"apiGroup": "keyword", "kind": "keyword", "name": "keyword", "namespace": "keyword"},
    "rules": {
        "apiGroups": "keyword",
        "nonResourceURLs": "keyword",
        "resourceNames": "keyword",
        "resources": "keyword",
        "verbs": "keyword",
    },
    "webhooks": {
        "name": "keyword",
        "failurePolicy": "keyword",
        "clientConfig": {"url": "keyword", "service": {"name": "keyword", "namespace": "keyword"}},
    },
}
"""Of `requestObject` and `responseObject`."""

_AUTHENTICATOR = ("accessKeyId", "arn", "canonicalArn", "principalId", "sessionName")
EXTRA: Shape = {
    **dict.fromkeys(_AUTHENTICATOR, "keyword"),
    **{f"sigs.k8s.io/aws-iam-authenticator/{name}": "keyword" for name in _AUTHENTICATOR},
    **{
        f"authentication.kubernetes.io/{name}": "keyword"
        for name in ("credential-id", "node-name", "node-uid", "pod-name", "pod-uid")
    },
}
"""Of `user.extra` and `impersonatedUser.extra`: what EKS's authenticator and service accounts' tokens say."""

ANNOTATIONS = (
    *("authorization_k8s_io/decision", "authorization_k8s_io/reason", "authentication_k8s_io/legacy-token"),
    *("authentication_k8s_io/stale-token", "authentication_kubernetes_io/credential-id", "k8s_io/deprecated"),
    *("authentication_kubernetes_io/issued-credential-id", "k8s_io/removed-release"),
    *("pod-security_kubernetes_io/audit-violations", "pod-security_kubernetes_io/enforce-policy"),
    *("pod-security_kubernetes_io/exempt", "imagepolicywebhook_image-policy_k8s_io/failed-open"),
    "apiserver_latency_k8s_io/total",
)
"""Of `annotations`, those that are indexed by name: dots are underscores, as in Elastic's integration."""


def shaped(value: Any, shape: Shape) -> Any:
    """Return what of a value has the names and types of a shape; None if nothing has.

    No list is cut: a rule must see the last container of a pod as it sees the first.

    Args:
        value: an object, or a list of objects, as it was logged.
        shape: see `Shape`.
    """
    if isinstance(value, list):
        items = [item for each in value if isinstance(each, dict) and (item := shaped(each, shape))]
        return items or None
    if not isinstance(value, dict):
        return None
    kept = {}
    for name, kind in shape.items():
        part = value.get(name)
        if part is None:
            continue
        part = _leaf(part, kind) if isinstance(kind, str) else shaped(part, kind)
        if part is not None:
            kept[name] = part
    return kept or None


def _leaf(value: Any, kind: Kind) -> Any:
    if isinstance(value, list):
        return [item for each in value if (item := _scalar(each, kind)) is not None] or None
    return _scalar(value, kind)


def _scalar(value: Any, kind: Kind) -> Any:
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if kind == "long":
        whole = isinstance(value, int) and not isinstance(value, bool)
        return value if whole and -_LONG <= value < _LONG else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return value.replace("\0", "") if isinstance(value, str) else None


def paths(shape: Shape, prefix: str = "") -> dict[str, Kind]:
    """Return a shape's fields by their dotted paths, as a mapping has them."""
    found: dict[str, Kind] = {}
    for name, kind in shape.items():
        found |= {prefix + name: kind} if isinstance(kind, str) else paths(kind, f"{prefix}{name}.")
    return found
