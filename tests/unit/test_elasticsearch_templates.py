"""The templates as values, and how they give way on servers that know less."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from shipper.sinks import elasticsearch_templates
from shipper.sinks.elasticsearch_templates import DATASETS, Template, degraded, names_policy, strict_alias, templates


def by_name(*, ilm: bool = False) -> dict[str, Template]:
    return {t.name: t for t in templates(ilm=ilm)}


def leaf(template: Template, field: str) -> dict[str, Any]:
    place: dict[str, Any] = template.body["template"]["mappings"]
    for part in field.split("."):
        place = place["properties"][part]
    return place


def conceded(template: Template, words: str) -> tuple[dict[str, Any], str]:
    result = degraded(template.body, words)
    assert result is not None
    return result


@pytest.mark.parametrize("name", ["ecs", "aws", *DATASETS])
def test_each_field_has_one_type(name):
    """No list names a field twice, and none is both a field and an object; objects of a kind of their own are none."""
    lists = elasticsearch_templates._data(name)
    fields = Counter(f for fields in lists.values() for f in fields)
    assert [f for f, count in fields.items() if count > 1] == []
    leaves = [f for kind, fields in lists.items() if kind not in {"nested", "closed"} for f in fields]
    assert [f for f in leaves if any(other.startswith(f"{f}.") for other in fields)] == []


@pytest.mark.parametrize("dataset", DATASETS)
def test_each_data_set_has_a_data_stream_above_the_servers_own_templates(dataset):
    """Its pattern and priority make it the one that counts, before the built-in and the integrations' ones."""
    body = by_name()[f"logs-{dataset}"].body
    assert body["index_patterns"] == [f"logs-{dataset}-*"]
    assert body["priority"] > 200
    assert body["data_stream"] == {}
    assert set(body["composed_of"]) - {f"logs-{dataset}@custom"} <= set(by_name())


def test_components_come_before_the_templates_that_use_them():
    """In this order they can be put one after the other."""
    kinds = [t.kind for t in templates(ilm=False)]
    assert kinds == sorted(kinds)


def test_no_indexed_keyword_can_reach_lucenes_term_limit():
    """Lucene refuses terms above 32,766 bytes; a character takes at most three in UTF-16 terms."""
    for template in templates(ilm=False):
        for kind in ("keyword", "wildcard", "flattened"):
            for field in elasticsearch_templates._fields_of(template.body, kind):
                assert field.get("index") is False or field["ignore_above"] * 3 < 32_766


def test_open_ended_subtrees_cannot_explode_the_mapping():
    """Parameters of any shape are one flattened field; their text is searchable."""
    template = by_name()["shipper-aws.cloudtrail@mappings"]
    assert leaf(template, "aws.cloudtrail.flattened.request_parameters")["type"] == "flattened"
    assert leaf(template, "aws.cloudtrail.request_parameters")["fields"]["text"] == {"type": "text"}


def test_what_a_waf_rule_matched_is_nested():
    """At every depth, as in Elastic's integration: conditions of one match are not mixed with another's."""
    template = by_name()["shipper-aws.waf@mappings"]
    lists = "non_terminating_matching_rules", "rule_group_list", "rule_group_list.nonTerminatingMatchingRules"
    inner = (f"{name}.ruleMatchDetails" for name in (lists[0], lists[2], "rule_group_list.terminatingRule"))
    for name in (*lists, *inner, "terminating_rule_match_details"):
        field = leaf(template, f"aws.waf.{name}")
        assert field["type"] == "nested", name
        assert field["properties"]


def test_what_siem_content_searches_has_its_type():
    """Addresses are addresses, places are places, numbers are numbers."""
    ecs = by_name()["shipper-ecs@mappings"]
    kinds = {f: leaf(ecs, f)["type"] for f in ("source.ip", "source.geo.location", "source.as.number", "@timestamp")}
    assert kinds == {
        "source.ip": "ip",
        "source.geo.location": "geo_point",
        "source.as.number": "long",
        "@timestamp": "date",
    }


def test_the_lifecycle_is_ilm_or_the_data_streams_own():
    """Never both."""
    with_ilm, without = by_name(ilm=True)["shipper-logs@settings"], by_name()["shipper-logs@settings"]
    assert with_ilm.body["template"]["settings"]["index"]["lifecycle.name"] == "shipper-logs"
    assert "lifecycle" not in with_ilm.body["template"]
    assert without.body["template"]["lifecycle"] == {"enabled": True}


def test_an_unknown_field_type_gives_way_to_a_known_one():
    """All fields of the type change, and the operator is told."""
    template = by_name()["shipper-ecs@mappings"]
    changed, line = conceded(template, "The mapper type [match_only_text] declared on field [message] does not exist.")
    assert changed["template"]["mappings"]["properties"]["message"] == {"type": "text"}
    assert elasticsearch_templates._fields_of(changed, "match_only_text") == []
    assert "text is used" in line
    assert elasticsearch_templates._fields_of(template.body, "match_only_text")


def test_opensearch_has_its_own_name_for_flattened():
    """And none of its parameters."""
    changed, _ = conceded(
        by_name()["shipper-aws.cloudtrail@mappings"], "No handler for type [flattened] declared on field [digest]"
    )
    assert elasticsearch_templates._fields_of(changed, "flat_object")[0] == {"type": "flat_object"}


def test_a_constant_that_cannot_be_learned_is_an_ordinary_keyword():
    """OpenSearch wants the value in the template, which serves many namespaces."""
    words = "Failed to parse mapping [_doc]: Field [namespace] is missing required parameter [value]"
    changed, _ = conceded(by_name()["shipper-ecs@mappings"], words)
    assert changed["template"]["mappings"]["properties"]["data_stream"]["properties"]["type"] == {"type": "keyword"}


def test_an_unknown_setting_is_left_out():
    """The rest of the settings stays."""
    template = by_name()["shipper-logs@settings"]
    setting = "mapping.total_fields.ignore_dynamic_beyond_limit"
    changed, _ = conceded(template, f"unknown setting [index.{setting}] please check that any required plugins")
    before, after = (b["template"]["settings"]["index"] for b in (template.body, changed))
    assert set(before) - set(after) == {setting}


def test_where_sorted_indices_take_no_nested_fields_they_are_not_sorted():
    """The template overrides the settings of its component, once."""
    words = "invalid composite mappings; caused by cannot have nested fields when index sort is activated"
    template = by_name()["logs-aws.cloudtrail"]
    body, line = conceded(template, words)
    assert body["template"]["settings"] == {"index": {"sort.field": [], "sort.order": []}}
    assert "not sorted" in line
    assert degraded(body, words) is None


def test_an_unknown_part_of_a_template_is_left_out():
    """Without leave to miss components, the operator's own one cannot be named."""
    template = by_name()["logs-aws.cloudtrail"]
    changed, _ = conceded(template, "[1:2] [index_template] unknown field [ignore_missing_component_templates]")
    assert "ignore_missing_component_templates" not in changed
    assert "logs-aws.cloudtrail@custom" not in changed["composed_of"]
    changed, _ = conceded(by_name()["shipper-logs@settings"], "[template] unknown field [lifecycle]")
    assert "lifecycle" not in changed["template"]
    assert "composed_of" not in changed


@pytest.mark.parametrize(
    "words", ["", "no luck", "The mapper type [geo_point] declared on field [x]", "unknown setting [index.nosuch]"]
)
def test_other_refusals_stand(words):
    """What cannot be helped is the operator's to read."""
    assert degraded(by_name()["shipper-ecs@mappings"].body, words) is None


def test_strict_templates_give_their_indices_a_name_that_rules_search():
    """For each data set and namespace one that no data stream can have, and no two patterns of a namespace overlap."""
    made = {t.name: t.body for t in templates(ilm=False, strict=True, namespace="prod") if t.kind == "index"}
    for dataset in DATASETS:
        body = made[f"shipper-{dataset}-prod"]
        assert body["index_patterns"] == [f"shipper-{dataset}-prod-*"]
        assert list(body["template"]["aliases"]) == [f"logs-{dataset}-prod-strict"]
        assert strict_alias(f"shipper-{dataset}-prod-2026.01.15") == f"logs-{dataset}-prod-strict"
    assert made["shipper-aws"]["priority"] < made["shipper-aws.waf-prod"]["priority"]


@pytest.mark.parametrize("index", ["other", "shipper-aws.cloudtrail-prod", "shipper-foo-prod-2026.01.15", "logs-x-y-1"])
def test_other_indices_have_no_alias_of_ours(index):
    """Only names that strict mode makes."""
    assert strict_alias(index) == ""


def test_an_alias_whose_name_is_taken_is_left_out():
    """The template is put all the same, and the operator is told."""
    template = next(t for t in templates(ilm=False, strict=True) if t.name == "shipper-aws.waf-default")
    words = "template after composition is invalid; Invalid alias name [logs-aws.waf-default-strict]: an index exists"
    changed, line = conceded(template, words)
    assert "aliases" not in changed["template"]
    assert "logs-aws.waf-default-strict" in line
    assert degraded(changed, words) is None


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"index": {"lifecycle.name": "a"}}, True),
        ({"index": {"lifecycle": {"name": "a"}}}, True),
        ({"index.lifecycle.name": "a"}, True),
        ({"index": {"lifecycle": {"name": ""}}}, False),
        ({"index": {"codec": "default"}}, False),
        ({}, False),
    ],
)
def test_a_policy_is_seen_in_every_form_of_settings(settings, named):
    """As they are put, and as a server gives them back."""
    assert names_policy({"template": {"settings": settings}}) is named
