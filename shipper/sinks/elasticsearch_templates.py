"""What the data streams' templates say, as values: mappings from the field lists beside this file, settings, names."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any

import orjson

VERSION = 8
"""Raise it with every change of the files in `templates/`: what is older in a cluster is replaced."""

MANAGED_BY = "aws-log-shipper"
POLICY = "shipper-logs"
SETTINGS = "shipper-logs@settings"
_STRICT_SETTINGS = "shipper-strict@settings"
KUBERNETES_AUDIT = "kubernetes.audit_logs"
"""Elastic's integration for Kubernetes names it so, not that for AWS."""
DATASETS = (
    "aws.cloudtrail",
    "aws.vpcflow",
    "aws.cloudwatch_logs",
    "aws.route53_resolver_logs",
    "aws.route53_public_logs",
    "aws.apigateway_logs",
    "aws.rds_logs",
    "aws.container_logs",
    "aws.eks_logs",
    KUBERNETES_AUDIT,
    "aws.elb_logs",
    "aws.s3access",
    "aws.waf",
)

# Elastic's own `logs-*-*` has 100, and the templates of its integrations have 200.
_PRIORITY_DATASET, _PRIORITY_OTHER = 250, 240
# Above that of 0.1.0, which stands beside it: it served all namespaces, and its alias could not be named after one.
_PRIORITY_STRICT = 260
_STRICT_INDEX = re.compile(r"shipper-(?P<dataset>[^-]+)-(?P<namespace>[^-]+)-\d{4}\.\d{2}\.\d{2}")
_SUBSTITUTES = {
    "match_only_text": "text",
    "wildcard": "keyword",
    "constant_keyword": "keyword",
    "flattened": "flat_object",
}
_PARAMETERS_OF = {"text": ("fields", "analyzer"), "flat_object": ()}

_NESTED_AND_SORTED = "cannot have nested fields when index sort is activated"
_UNSORTED: dict[str, list[str]] = {"sort.field": [], "sort.order": []}
_UNKNOWN_TYPE = re.compile(r"type \[(\w+)\] declared on field")
_NO_VALUE = "is missing required parameter [value]"
_ALIAS_TAKEN = "Invalid alias name ["
_UNKNOWN_SETTING = re.compile(r"unknown setting \[index\.([\w.]+)\]")
_UNKNOWN_FIELD = re.compile(r"unknown field \[(\w+)\]")


@dataclass(frozen=True, slots=True)
class Template:
    """One template, to be put at `/_<kind>_template/<name>`.

    Attributes:
        kind: "component" or "index".
    """

    kind: str
    name: str
    body: dict[str, Any]

    @property
    def path(self) -> str:
        """Where it lives."""
        return f"/_{self.kind}_template/{self.name}"


def templates(*, ilm: bool, strict: bool = False, namespace: str = "default") -> list[Template]:
    """Return all templates, in the order in which they must be put.

    Args:
        ilm: roll over by the ILM policy `POLICY`; else by the data stream's own lifecycle.
        strict: of indices named by day, which never roll over, instead of those of data streams.
        namespace: whose indices those are; templates of data streams serve all namespaces.
    """
    names = [*DATASETS, None]
    if strict:
        return [*_components(ilm=False, strict=True), *(_strict_template(dataset, namespace) for dataset in names)]
    return [*_components(ilm=ilm), *(_index_template(dataset) for dataset in names)]


def strict_alias(index: str) -> str:
    """Return the name by which what searches data streams (Elastic's rules, data views) finds a strict index.

    It matches `logs-<dataset>-*` and `logs-*-*`, and no data stream has it: a namespace has no hyphen. "" where the
    index is of no data set that has a template.
    """
    found = _STRICT_INDEX.fullmatch(index)
    return _alias(found["dataset"], found["namespace"]) if found and found["dataset"] in DATASETS else ""


def names_policy(component: dict[str, Any]) -> bool:
    """Return whether a component's settings name an ILM policy, in any of the forms in which settings are written."""
    settings = _flat((component.get("template") or {}).get("settings") or {})
    return any(name.removeprefix("index.") == "lifecycle.name" and value for name, value in settings.items())


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": each for key, each in _flat(value).items()}
        else:
            flat[name] = value
    return flat


def policy() -> dict[str, Any]:
    """The ILM policy: rolls over, and deletes nothing."""
    value: dict[str, Any] = _data("ilm")
    return value


def degraded(body: dict[str, Any], words: str) -> tuple[dict[str, Any], str] | None:
    """Return a template without the thing that a server does not know, and what was done, for the operator.

    Args:
        body: the template that was refused.
        words: the server's reason. Elasticsearch and OpenSearch word the cases alike.

    Returns:
        None where the refusal has another reason.
    """
    changed = copy.deepcopy(body)
    unknown = _UNKNOWN_TYPE.search(words)
    # OpenSearch's constant_keyword cannot learn its value from the first document.
    kind = "constant_keyword" if _NO_VALUE in words else unknown[1] if unknown else ""
    if instead := _SUBSTITUTES.get(kind):
        for field in _fields_of(changed, kind):
            kept = {k: v for k, v in field.items() if k in _PARAMETERS_OF.get(instead, tuple(field))}
            field.clear()
            field.update(kept, type=instead)
        return changed, f"field type {kind} is not available, {instead} is used"
    if _NESTED_AND_SORTED in words:  # OpenSearch 2; the settings come from a component, and are overridden here
        index = changed["template"].setdefault("settings", {}).setdefault("index", {})
        if not _UNSORTED.keys() <= index.keys():
            index.update(_UNSORTED)
            return changed, "nested fields in sorted indices are not available, indices are not sorted"
    if _ALIAS_TAKEN in words and (aliases := changed["template"].pop("aliases", None)):
        return changed, f"the name {', '.join(aliases)} belongs to something else, so that the alias is left out,"
    if found := _UNKNOWN_SETTING.search(words):
        index = changed["template"].get("settings", {}).get("index", {})
        return (changed, f"setting {found[1]} is not available") if index.pop(found[1], None) is not None else None
    if found := _UNKNOWN_FIELD.search(words):
        for place in (changed, changed["template"]):
            missing = place.pop(found[1], None)
            if missing is not None:
                if isinstance(missing, list):  # components that may be missing no longer may
                    changed["composed_of"] = [name for name in changed["composed_of"] if name not in missing]
                return changed, f"{found[1]} is not available"
    return None


def _components(*, ilm: bool, strict: bool = False) -> Iterator[Template]:
    settings = _data("settings")
    shared: dict[str, Any] = {"settings": settings}
    name = SETTINGS
    if strict:
        name = _STRICT_SETTINGS
    elif ilm:
        settings["index"]["lifecycle.name"] = POLICY
    else:
        shared["lifecycle"] = {"enabled": True}
    yield _template("component", name, {"template": shared})
    ecs = {"date_detection": False, "dynamic_templates": _dynamic_templates(), "properties": _properties("ecs", "aws")}
    yield _template("component", "shipper-ecs@mappings", {"template": {"mappings": ecs}})
    for dataset in DATASETS:
        mappings = {"properties": _properties(dataset)}
        yield _template("component", f"shipper-{dataset}@mappings", {"template": {"mappings": mappings}})


def _index_template(dataset: str | None) -> Template:
    name = f"logs-{dataset}" if dataset else "logs-aws"
    custom = f"{name}@custom"  # an operator's own component, as Elastic's integrations have it
    own = [f"shipper-{dataset}@mappings"] if dataset else []
    body = {
        "index_patterns": [f"{name}-*"] if dataset else ["logs-aws.*-*"],
        "priority": _PRIORITY_DATASET if dataset else _PRIORITY_OTHER,
        "data_stream": {},
        "composed_of": [SETTINGS, "shipper-ecs@mappings", *own, custom],
        "ignore_missing_component_templates": [custom],
        "template": {},
    }
    return _template("index", name, body)


def _strict_template(dataset: str | None, namespace: str) -> Template:
    """Return that of a data set and namespace; all others share one, because patterns by namespace would overlap."""
    name = f"shipper-{dataset}" if dataset else "shipper-aws"
    custom = f"{name}@custom"
    own = [f"shipper-{dataset}@mappings"] if dataset else []
    body = {
        "index_patterns": [f"{name}-{namespace}-*" if dataset else "shipper-aws.*-*"],
        "priority": _PRIORITY_STRICT if dataset else _PRIORITY_OTHER,
        "composed_of": [_STRICT_SETTINGS, "shipper-ecs@mappings", *own, custom],
        "ignore_missing_component_templates": [custom],
        "template": {"aliases": {_alias(dataset, namespace) if dataset else "logs-aws.other-strict": {}}},
    }
    return _template("index", f"{name}-{namespace}" if dataset else name, body)


def _alias(dataset: str, namespace: str) -> str:
    return f"logs-{dataset}-{namespace}-strict"


def _template(kind: str, name: str, body: dict[str, Any]) -> Template:
    return Template(kind, name, body | {"version": VERSION, "_meta": {"managed_by": MANAGED_BY, "version": VERSION}})


def _dynamic_templates() -> list[dict[str, Any]]:
    """How fields that no list names are mapped: a string never becomes text, a date or a failure."""
    types = _data("types")
    return [
        {"addresses": {"path_match": "*.ip", "match_mapping_type": "string", "mapping": types["ip"]}},
        {"strings": {"match_mapping_type": "string", "mapping": types["keyword"]}},
    ]


def _properties(*names: str) -> dict[str, Any]:
    """Nest the dotted fields of some lists: `{"a.b": …}` is `{"a": {"properties": {"b": …}}}`."""
    types = _data("types")
    properties: dict[str, Any] = {}
    for name in names:
        for kind, fields in _data(name).items():
            for field in fields:
                *parents, leaf = field.split(".")
                place = properties
                for parent in parents:
                    place = place.setdefault(parent, {}).setdefault("properties", {})
                place.setdefault(leaf, {}).update(types[kind])  # of an object only what more there may be in it
    return properties


def _fields_of(value: Any, kind: str) -> list[dict[str, Any]]:
    """All mappings of one type, at any depth."""
    if isinstance(value, list):
        return [found for item in value for found in _fields_of(item, kind)]
    if not isinstance(value, dict):
        return []
    own = [value] if value.get("type") == kind else []
    return own + [found for item in value.values() for found in _fields_of(item, kind)]


@functools.cache
def _text(name: str) -> bytes:
    return (resources.files("shipper.sinks") / "templates" / f"{name}.json").read_bytes()


def _data(name: str) -> Any:
    return orjson.loads(_text(name))
