"""Elastic's detection rules for Kubernetes, and the audit events of EKS as they are shipped: to a real server."""

from __future__ import annotations

import copy
import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from shipper.build import LOG_TYPES
from shipper.model import Document, LogEvent, LogStream, Origin, Record
from shipper.ports import Lookups
from shipper.sinks.elasticsearch import ElasticsearchSink
from shipper.sinks.elasticsearch_templates import templates
from tests.contract.sinks import split
from tests.kql import query_of

ORACLE = Path(__file__).parents[3] / "shared/oracles/verdicts/kubernetes-rules.json"
RULES = {rule["name"]: rule for rule in json.loads(ORACLE.read_text())} if ORACLE.exists() else {}
FIELD = re.compile(r"(?<![\w.])(?:kubernetes\.audit\.[\w./-]*\w|user\.name|user_agent\.original|source\.ip|event\.\w+)")

pytestmark = pytest.mark.skipif(not ORACLE.exists(), reason="skipped: no ../shared")

STREAM = LogStream("111122223333", "eu-west-1", "/aws/eks/prod/cluster", "kube-apiserver-audit-a1")
EVENT: dict[str, Any] = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "level": "RequestResponse",
    "auditID": "8f507cfc",
    "stage": "ResponseComplete",
    "requestURI": "/api/v1/namespaces/shop/pods",
    "verb": "create",
    "user": {
        "username": "ann",
        "uid": "aws-iam-authenticator:111122223333:AIDA",
        "groups": ["developers", "system:authenticated"],
        "extra": {"arn": ["arn:aws:iam::111122223333:user/ann"]},
    },
    "sourceIPs": ["203.0.113.7", "10.0.0.1"],
    "userAgent": "kubectl/v1.30.0",
    "objectRef": {"resource": "pods", "namespace": "shop", "name": "web", "apiVersion": "v1"},
    "responseStatus": {"metadata": {}, "code": 201},
    "requestReceivedTimestamp": "2026-01-02T03:04:05.196323Z",
    "stageTimestamp": "2026-01-02T03:04:05.200000Z",
    "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
}
IMAGE = "registry.example/web:1"


def pod(**spec: Any) -> dict[str, Any]:
    """A request for a pod."""
    return {"kind": "Pod", "spec": {"containers": [{"name": "web", "image": IMAGE}], **spec}}


def container(**security: Any) -> dict[str, Any]:
    return pod(containers=[{"name": "web", "image": IMAGE, "securityContext": security}])


def on(resource: str, name: str = "x", **more: str) -> dict[str, str]:
    return {"resource": resource, "namespace": "shop", "name": name, **more}


ROLES = {"objectRef": on("clusterrolebindings")}
SERVICE_ACCOUNT = {"username": "system:serviceaccount:shop:web", "groups": ["system:serviceaccounts"]}
FORBIDDEN = {"annotations": {"authorization.k8s.io/decision": "forbid"}, "responseStatus": {"code": 403}}
SECRETS = {"verb": "get", "objectRef": on("secrets", "db")}
# What makes an event one that a rule is for, over EVENT.
MATCHES: dict[str, dict[str, Any]] = {
    "Kubernetes Secret Access via Unusual User Agent": SECRETS,
    "Kubernetes Secret get or list with Suspicious User Agent": {**SECRETS, "userAgent": "curl/8.5.0"},
    "Kubernetes Secret get or list from Node or Pod Service Account": {**SECRETS, "user": SERVICE_ACCOUNT},
    "Kubernetes Secrets List Across Cluster or Sensitive Namespaces": {
        "verb": "list",
        "requestURI": "/api/v1/secrets?limit=500",
        "objectRef": {"resource": "secrets"},
    },
    "Kubernetes Service Account Token Created via TokenRequest API": {
        "objectRef": on("serviceaccounts", subresource="token")
    },
    "Kubernetes Denied Service Account Request via Unusual User Agent": {**FORBIDDEN, "user": SERVICE_ACCOUNT},
    "Kubernetes Suspicious Self-Subject Review via Unusual User Agent": {
        "objectRef": on("selfsubjectrulesreviews"),
        "impersonatedUser": SERVICE_ACCOUNT,
    },
    "Kubernetes Forbidden Request from Unusual User Agent": FORBIDDEN,
    "Kubernetes Unusual Decision by User Agent": {},
    "Kubernetes CoreDNS or Kube-DNS Configuration Modified": {
        "verb": "update",
        "objectRef": {"resource": "configmaps", "namespace": "kube-system", "name": "coredns"},
    },
    "Kubernetes Anonymous Request Authorized by Unusual User Agent": {"user": {"username": "system:anonymous"}},
    "Kubernetes Cluster-Admin Role Binding Created": {
        **ROLES,
        "requestObject": {"roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}, "subjects": [{"name": "ann"}]},
    },
    "Kubernetes Exposed Service Created With Type NodePort": {
        "objectRef": on("services"),
        "requestObject": {"spec": {"type": "NodePort", "ports": [{"port": 80}]}},
    },
    "Kubernetes Admission Webhook Created or Modified": {"objectRef": on("mutatingwebhookconfigurations", "mine")},
    "Kubernetes Client Certificate Signing Request Created or Approved": {
        "objectRef": on("certificatesigningrequests")
    },
    "EKS Authentication Configuration Modified": {
        "verb": "patch",
        "objectRef": {"resource": "configmaps", "namespace": "kube-system", "name": "aws-auth"},
    },
    "Kubernetes Creation of a RoleBinding Referencing a ServiceAccount": {
        **ROLES,
        "requestObject": {"spec": {"serviceAccountName": "web"}},
    },
    "Kubernetes API Server Proxying Request to Kubelet": {
        "requestURI": "/api/v1/nodes/n/proxy/run/shop/web/web",
        "objectRef": on("nodes", subresource="proxy"),
    },
    "Kubernetes Container Created with Excessive Linux Capabilities": {
        "requestObject": container(capabilities={"add": ["CHOWN", "SYS_ADMIN"]})
    },
    "Kubernetes API Request Impersonating Privileged Identity": {
        "impersonatedUser": {"username": "x", "groups": ["system:masters"]}
    },
    "Kubernetes Ephemeral Container Added to Pod": {
        "verb": "patch",
        "objectRef": on("pods", subresource="ephemeralcontainers"),
    },
    "Kubernetes Pod Created With HostIPC": {"requestObject": pod(hostIPC=True)},
    "Kubernetes Pod Created With HostNetwork": {"requestObject": pod(hostNetwork=True)},
    "Kubernetes Pod Created With HostPID": {"requestObject": pod(hostPID=True)},
    "Kubernetes Pod Created with a Sensitive hostPath Volume": {
        "requestObject": pod(volumes=[{"name": "a", "emptyDir": {}}, {"name": "b", "hostPath": {"path": "/proc"}}])
    },
    "Kubernetes Privileged Pod Created": {"requestObject": container(privileged=True)},
    "Unusual Kubernetes Sensitive Workload Modification": {"objectRef": on("daemonsets")},
    "Kubernetes Service Account Modified RBAC Objects": {**ROLES, "user": SERVICE_ACCOUNT},
    "Kubernetes Suspicious Assignment of Controller Service Account": {
        "objectRef": {"resource": "pods", "namespace": "kube-system", "name": "web"},
        "requestObject": pod(serviceAccountName="replication-controller"),
    },
}
# The conditions that ES|QL rules give in Kibana's language.
ROLE_RULES = {
    "kind": "ClusterRole",
    "rules": [{"verbs": ["get"], "resources": ["pods"]}, {"verbs": ["*"], "resources": ["*"]}],
}
# Of any shape: nothing of a request can keep its own audit event out of the index.
ODD: list[Any] = [
    {"spec": "text", "roleRef": [1], "rules": {"verbs": {"a": 1}}},
    {"spec": {"type": {"a": "b"}, "containers": "none", "volumes": [[{"hostPath": 1}]], "hostPID": "maybe"}},
    {"spec": {"containers": {"image": {"x": 1}, "securityContext": {"runAsUser": 2**70, "privileged": "yes"}}}},
    [{"op": "add", "path": "/spec", "value": {"..": {".": 1}}}],
    {"": 1, " ": {"": 2}, "a..b": 3, ".": 4, "spec.type": {"a": 1}, "\x00": 5},
    "text",
    7,
]


def audit(changes: dict[str, Any], number: int, namespace: str) -> Document:
    """An audit event as it is shipped."""
    said = copy.deepcopy(EVENT) | changes
    event = LogEvent(f"{number:056}", 1_767_323_045_196, STREAM, 1_767_323_046_000)
    record = Record(json.dumps(said).encode(), number, None, event)
    document = LOG_TYPES["eks"].ecs(namespace, Lookups()).encoder(Origin("arn"))(record)
    assert document is not None
    return document


def fields_of(query: str) -> set[str]:
    """The fields of a rule's query in any of Elastic's languages."""
    return set(FIELD.findall(query.replace("`", "")))


def mapped() -> dict[str, str]:
    """Fields of audit events' templates, with their types."""

    def leaves(place: dict[str, Any], prefix: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, field in place.items():
            if "properties" in field:
                found |= leaves(field["properties"], f"{prefix}{name}.")
            else:
                found[prefix + name] = field["type"]
        return found

    by_name = {template.name: template.body for template in templates(ilm=False)}
    names = by_name["logs-kubernetes.audit_logs"]["composed_of"]
    found: dict[str, str] = {}
    for name in names:
        if "mappings" in by_name.get(name, {"template": {}})["template"]:
            found |= leaves(by_name[name]["template"]["mappings"]["properties"], "")
    return found


@pytest.mark.parametrize("name", RULES)
def test_every_field_of_a_rule_is_mapped(name):
    """By its name and as what can be compared: ES|QL refuses a rule with a field that it does not know."""
    rule, known = RULES[name], mapped()
    asked = {field for field in {*rule["fields"], *fields_of(rule["query"])} if not field.endswith("original")}
    assert asked, rule["query"]
    assert {field: known.get(field) for field in asked if known.get(field) in {None, "flattened", "text"}} == {}


def test_each_rule_of_kibanas_language_finds_the_event_it_is_for(elasticsearch_server):
    """Each event is one that its rule is for; the rules' own queries find it on a server, odd ones are accepted too."""
    namespace = uuid.uuid4().hex[:8]
    sink = ElasticsearchSink("siem", [elasticsearch_server.url], namespace=namespace)
    sink.prepare()
    made = [*MATCHES.values(), {"responseObject": ROLE_RULES}]
    odd = [
        {"requestObject": each, "user": {"extra": {"arn": {"a": 1}, "arn.b": ["c"], "authentication": ["d"]}}}
        for each in ODD
    ]
    documents = [audit(changes, number, namespace) for number, changes in enumerate([*made, *odd])]
    index = f"logs-kubernetes.audit_logs-{namespace}"
    assert {document.index for document in documents} == {index}
    result = sink.open(split()).send(documents)
    sink.close()
    assert (result.delivered, result.rejected) == (len(documents), ())
    elasticsearch_server.request("POST", f"{index}/_refresh")

    def found(query: str) -> set[int]:
        wanted = {"query": query_of(query), "size": 100, "_source": False, "fields": ["event.id"]}
        answer = elasticsearch_server.request("POST", f"{index}/_search", wanted)
        assert answer.status == 200, answer.body
        return {int(hit["fields"]["event.id"][0]) for hit in answer.body["hits"]["hits"]}

    kql = {name: rule["query"] for name, rule in RULES.items() if rule["type"] in {"query", "new_terms"}}
    assert set(kql) <= set(MATCHES), "an event for each rule"
    missed = [name for number, name in enumerate(MATCHES) if name in kql and number not in found(kql[name])]
    assert missed == []
    inner = [text for rule in RULES.values() for text in re.findall(r'KQL\("""(.*?)"""\)', rule["query"], re.DOTALL)]
    assert sum(len(MATCHES) in found(text) for text in inner) >= 4
    ignored = {"query": {"exists": {"field": "_ignored"}}, "_source": False}
    assert elasticsearch_server.request("POST", f"{index}/_search", ignored).body["hits"]["hits"] == []
