"""Field types of our templates against those of Elastic's integration that rules and dashboards rely on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from shipper.sinks.elasticsearch_templates import templates

ORACLE = Path(__file__).parents[3] / "shared" / "oracles" / "verdicts" / "elastic-field-types.json"


def mapped(properties: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Types by dotted name."""
    types: dict[str, str] = {}
    for name, field in properties.items():
        if "type" in field:
            types[prefix + name] = field["type"]
        types |= mapped(field.get("properties", {}), f"{prefix}{name}.")
    return types


@pytest.mark.parametrize("strict", [False, True])
def test_fields_have_the_types_of_the_integration(strict):
    """All that the conformance set names, in both modes."""
    if not ORACLE.exists():
        pytest.skip(f"the conformance set is not here: {ORACLE}")
    wanted = {name: kind for name, kind in orjson.loads(ORACLE.read_bytes()).items() if not name.startswith("_")}
    types: dict[str, str] = {}
    for template in templates(ilm=False, strict=strict):
        if template.name in ("shipper-ecs@mappings", "shipper-aws.cloudtrail@mappings"):
            types |= mapped(template.body["template"]["mappings"]["properties"])
    assert wanted
    assert {name: types.get(name) for name in wanted} == wanted
