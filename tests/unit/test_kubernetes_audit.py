"""Kubernetes audit events of EKS: their data stream and form, and what a request cannot do to its own event."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipper import cli, config
from shipper.build import ecs_schemas
from shipper.build.sinks import lanes, sinks
from shipper.metrics import Metrics
from shipper.model import LogEvent, LogStream, Origin, Record
from shipper.ports import Lookups
from shipper.schemas.ecs.kubernetes_audit_fields import ANNOTATIONS, EXTRA, OBJECT, paths, shaped
from shipper.sinks import elasticsearch_templates
from shipper.sinks.elasticsearch_bulk import strict_index

GROUP = "/aws/eks/prod/cluster"
EVENT: dict[str, Any] = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "level": "RequestResponse",
    "auditID": "8f507cfc",
    "stage": "ResponseComplete",
    "requestURI": "/api/v1/namespaces/shop/pods",
    "verb": "create",
    "user": {
        "username": "system:serviceaccount:shop:web",
        "uid": "u1",
        "groups": ["system:serviceaccounts"],
        "extra": {"authentication.kubernetes.io/pod-name": ["web-1"], "scopes.example": ["a"]},
    },
    "impersonatedUser": {"username": "admin", "groups": ["system:masters"], "extra": {"arn": ["arn:x"]}},
    "sourceIPs": ["203.0.113.7", "10.0.0.1", "unknown"],
    "userAgent": "kubectl/v1.30",
    "objectRef": {"resource": "pods", "namespace": "shop", "name": "web", "apiVersion": "v1"},
    "responseStatus": {"metadata": {}, "status": "Failure", "reason": "Forbidden", "message": "no", "code": 403},
    "requestObject": {
        "kind": "Pod",
        "metadata": {"name": "web", "managedFields": [{"manager": "kubectl"}]},
        "spec": {
            "hostPID": True,
            "volumes": [{"name": "a", "hostPath": {"path": "/proc"}}, {"name": "b", "emptyDir": {}}],
            "containers": [
                {"name": "web", "image": "web:1", "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}},
                {"name": "side", "image": "side:2", "securityContext": {"privileged": True}},
            ],
        },
    },
    "responseObject": {"kind": "Status", "code": 403},
    "requestReceivedTimestamp": "2026-01-02T03:04:05.196323Z",
    "stageTimestamp": "2026-01-02T03:04:05.200000Z",
    "annotations": {"authorization.k8s.io/decision": "forbid", "authorization.k8s.io/reason": "", "odd": 7},
}


def document(said: Any, schema: Any = None, group: str = GROUP) -> tuple[str, dict[str, Any]]:
    """The index and the document of a log event."""
    event = LogEvent("3" * 56, 1_767_323_045_196, LogStream("111122223333", "eu-west-1", group, "a"), None)
    message = said if isinstance(said, bytes) else json.dumps(said).encode()
    schema = schema or ecs_schemas(None, Lookups())["eks"]
    made = schema.encoder(Origin("arn"))(Record(message, 1, None, event))
    found: dict[str, Any] = orjson.loads(made.body)
    stream = found["data_stream"]
    assert made.index == f"logs-{stream['dataset']}-{stream['namespace']}"
    return made.index, found


def test_an_audit_event_has_the_form_of_elastics_integration():
    """Names, and dots of annotations, are the integration's; what no field is for is in the flattened rest."""
    index, found = document(EVENT)
    assert index == "logs-kubernetes.audit_logs-default"
    audit = found["kubernetes"]["audit"]
    assert audit["user"]["extra"] == {"authentication.kubernetes.io/pod-name": ["web-1"]}
    assert audit["impersonatedUser"] == {
        "username": "admin",
        "groups": ["system:masters"],
        "extra": {"arn": ["arn:x"]},
    }
    assert audit["annotations"] == {"authorization_k8s_io/decision": "forbid"}
    assert audit["responseStatus"] == {"status": "Failure", "reason": "Forbidden", "message": "no", "code": 403}
    assert audit["requestObject"]["spec"]["volumes"] == [{"name": "a", "hostPath": {"path": "/proc"}}, {"name": "b"}]
    assert [each["image"] for each in audit["requestObject"]["spec"]["containers"]] == ["web:1", "side:2"]
    assert audit["requestObject"]["spec"]["hostPID"] is True
    assert "metadata" not in audit["requestObject"]
    assert audit["sourceIPs"] == ["203.0.113.7", "10.0.0.1"]
    assert found["aws"]["cloudwatch"]["fields"]["requestObject"]["metadata"]["name"] == "web"
    assert found["aws"]["cloudwatch"]["fields"]["user"]["extra"]["scopes.example"] == ["a"]
    assert {name: found[name] for name in ("user", "client", "container", "user_agent")} == {
        "user": {"id": "u1", "name": "system:serviceaccount:shop:web"},
        "client": {"ip": "203.0.113.7"},
        "container": {"image": {"name": ["web:1", "side:2"]}},
        "user_agent": {"original": "kubectl/v1.30"},
    }
    assert found["source"]["ip"] == "203.0.113.7"
    assert found["related"] == {
        "user": ["u1", "system:serviceaccount:shop:web"],
        "ip": ["203.0.113.7", "10.0.0.1"],
    }
    event = {name: found["event"][name] for name in ("kind", "module", "dataset", "action", "outcome")}
    assert event == {
        "kind": "event",
        "module": "kubernetes",
        "dataset": "kubernetes.audit_logs",
        "action": "create",
        "outcome": "failure",
    }
    assert found["orchestrator"] == {
        "type": "kubernetes",
        "cluster": {"name": "prod"},
        "api_version": "audit.k8s.io/v1",
        "namespace": "shop",
        "resource": {"name": "web", "type": "pods"},
    }


@pytest.mark.parametrize(
    "line", [b"I0102 03:04:05.196323      10 a.go:1] ok", b'time="2026-01-02T03:04:05Z" msg=x', b"{}"]
)
def test_the_other_logs_of_a_control_plane_stay_where_they_are(line):
    """Only audit events go elsewhere, whatever came before or after."""
    assert document(line)[0] == "logs-aws.eks_logs-default"


def test_a_key_keeps_audit_events_with_the_others(tmp_path):
    """Each sink has its own form; envelopes of many log groups and `decode` follow it."""
    path = tmp_path / "s.yaml"
    path.write_text(
        "sources: {t: {type: s3, bucket: abc, logs: eks}, many: {type: s3, bucket: abc, logs: subscription}}\nsinks:\n"
        "  a: {type: elasticsearch, hosts: ['https://a'], data_stream_namespace: x}\n"
        "  b: {type: elasticsearch, hosts: ['https://b'], eks_audit_dataset: aws.eks_logs}\n"
    )
    path.chmod(0o600)
    settings = config.load(path, secrets=False)
    for source, logs in (("t", "eks"), ("many", "subscription")):
        found = {
            document(EVENT, lane.schemas[logs])[0]: document(EVENT, lane.schemas[logs])[1]
            for lane in lanes(settings, source, sinks(settings, Metrics()), Lookups())
        }
        assert set(found) == {"logs-kubernetes.audit_logs-x", "logs-aws.eks_logs-default"}
        old = found["logs-aws.eks_logs-default"]
        assert old["event"]["dataset"] == "aws.eks_logs"
        assert "requestObject" not in old["kubernetes"]["audit"]


def test_decode_follows_the_sinks_key(tmp_path, capfdbinary):
    """What it shows is what would be shipped."""
    (tmp_path / "e.log").write_bytes(orjson.dumps(EVENT))
    path = tmp_path / "s.yaml"
    for key, dataset in (("", "kubernetes.audit_logs"), (", eks_audit_dataset: aws.eks_logs", "aws.eks_logs")):
        path.write_text(
            "sources: {t: {type: s3, bucket: abc, logs: eks}}\n"
            f"sinks: {{a: {{type: elasticsearch, hosts: ['https://a']{key}}}}}\n"
        )
        path.chmod(0o600)
        assert cli.run(["decode", "--type", "eks", "-c", str(path), str(tmp_path / "e.log")]) == 0
        assert orjson.loads(capfdbinary.readouterr().out)["data_stream"]["dataset"] == dataset


def test_roles_name_the_data_stream(tmp_path, capfd):
    """Both modes, and no more than the key asks for."""
    path = tmp_path / "s.yaml"
    for keys, names in (
        ("", ["logs-aws.*-default", "logs-kubernetes.audit_logs-default"]),
        (", mode: strict", ["shipper-aws.*-default-*", "shipper-kubernetes.audit_logs-default-*"]),
        (", eks_audit_dataset: aws.eks_logs", ["logs-aws.*-default"]),
    ):
        path.write_text(
            "sources: {t: {type: s3, bucket: abc}}\n"
            f"sinks: {{a: {{type: elasticsearch, hosts: ['https://a']{keys}}}}}\n"
        )
        path.chmod(0o600)
        assert cli.run(["setup", "elasticsearch", "-c", str(path), "--show-role"]) == 0
        body = capfd.readouterr().out.split("PUT /_security/role/shipper-writer\n")[1].split("\n#")[0]
        assert orjson.loads(body)["indices"][0]["names"] == names
    assert strict_index("logs-kubernetes.audit_logs-default", 0) == "shipper-kubernetes.audit_logs-default-1970.01.01"


def test_the_template_maps_what_documents_have_and_no_more():
    """No other name of an audit event becomes a field of the index; the template is that of the integration's name."""
    mapped = {
        field: kind
        for kind, fields in elasticsearch_templates._data("kubernetes.audit_logs").items()
        for field in fields
    }
    audit = "kubernetes.audit."
    expected = {f"{audit}annotations.{name}": "long_keyword" for name in ANNOTATIONS}
    for name in ("requestObject", "responseObject"):
        expected |= paths(OBJECT, f"{audit}{name}.")
    for name in ("user", "impersonatedUser"):
        expected |= paths(EXTRA, f"{audit}{name}.extra.")
    assert {name: mapped.get(name) for name in expected} == expected
    by_name = {template.name: template.body for template in elasticsearch_templates.templates(ilm=False)}
    assert by_name["logs-kubernetes.audit_logs"]["index_patterns"] == ["logs-kubernetes.audit_logs-*"]
    properties = by_name["shipper-kubernetes.audit_logs@mappings"]["template"]["mappings"]["properties"]
    assert properties["kubernetes"]["properties"]["audit"]["dynamic"] is False
    assert len(mapped) < 500, "beside 300 of ECS, and 2,000 in all"


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["spec", "rules", "containers", "hostPID", "image", "verbs", "x"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


def fits(value: Any, shape: Any) -> bool:
    """Whether a value has the shape's types, all the way down."""
    if isinstance(value, list):
        return all(fits(each, shape) for each in value)
    if isinstance(shape, str):
        if shape == "long":
            return isinstance(value, int) and -(2**63) <= value < 2**63
        return isinstance(value, bool if shape == "boolean" else str)
    return isinstance(value, dict) and all(name in shape and fits(part, shape[name]) for name, part in value.items())


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(_ANY)
def test_whatever_a_request_holds_only_what_fits_becomes_fields(value):
    """A resource of one's own may have a text where a pod has an object; its audit event is stored all the same."""
    found = shaped(value, OBJECT)
    assert found is None or fits(found, OBJECT)
    assert document(EVENT | {"requestObject": value})[1]["event"]["original"]


def test_no_container_can_hide_behind_others():
    """All of a pod's containers become fields, and a long command line as far as texts are indexed."""
    many: list[dict[str, Any]] = [{"name": f"c{number}", "image": "web:1"} for number in range(500)]
    many.append({"name": "last", "image": "evil:1", "securityContext": {"privileged": True}})
    uri = "/exec?command=" + "a" * 9_000
    _, found = document(EVENT | {"requestObject": {"spec": {"containers": many}}, "requestURI": uri})
    audit = found["kubernetes"]["audit"]
    assert audit["requestObject"]["spec"]["containers"][-1]["securityContext"] == {"privileged": True}
    assert audit["requestURI"] == uri[:8191]
