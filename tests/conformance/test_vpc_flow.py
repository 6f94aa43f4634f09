"""Flow log documents against those that Elastic's own pipeline makes of the same lines."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import maxminddb
import pytest

from shipper.formats.vpc_flow import VpcFlowFormat
from shipper.model import Document, Origin, Payload, ReadLimits, Record
from shipper.schemas.ecs.vpc_flow import VpcFlowEcs

ORACLES = Path(__file__).parents[3] / "shared" / "oracles"

pytestmark = pytest.mark.skipif(not ORACLES.is_dir(), reason=f"the oracles are not here: {ORACLES}")


def _place(found: Any) -> dict[str, Any]:
    def name(part: Any) -> Any:
        return part.get("names", {}).get("en")

    country, areas = found.get("country", {}), found.get("subdivisions", [])
    place = {
        "city_name": name(found.get("city", {})),
        "continent_name": name(found.get("continent", {})),
        "country_iso_code": country.get("iso_code"),
        "country_name": name(country),
        "region_iso_code": f"{country.get('iso_code')}-{areas[0]['iso_code']}" if areas else None,
        "region_name": name(areas[0]) if areas else None,
    }
    if "location" in found:
        place["location"] = {"lat": found["location"]["latitude"], "lon": found["location"]["longitude"]}
    return {key: value for key, value in place.items() if value is not None}


@cache
def geography(address: str) -> Mapping[str, Any] | None:
    """Look an address up in the databases that the expected documents were made with."""
    folder = ORACLES / "geoip" / "elastic-head"
    with maxminddb.open_database(folder / "GeoLite2-City.mmdb") as cities:
        place: Any = cities.get(address)
    with maxminddb.open_database(folder / "GeoLite2-ASN.mmdb") as networks:
        network: Any = networks.get(address)
    found: dict[str, Any] = {"geo": _place(place)} if place else {}
    if network:
        found["as"] = {"number": network["autonomous_system_number"]}
        if owner := network.get("autonomous_system_organization"):
            found["as"]["organization"] = {"name": owner}
    return found


def documents(kind: str) -> list[Document]:
    """All lines of a case, read as an object and encoded."""
    payload = Payload(Origin("/cases/input.log"), iter([(ORACLES / "ecs" / kind / "input.log").read_bytes()]))
    encoder = VpcFlowEcs("default", geography).encoder(payload.origin)
    records = list(VpcFlowFormat(ReadLimits()).records(payload))
    made = [encoder(record) for record in records if isinstance(record, Record)]
    assert len(made) == len(records)
    return [document for document in made if document is not None]


@pytest.mark.parametrize("kind", ["vpcflow", "vpcflow_current"])
def test_documents_hold_what_elastics_pipeline_writes(kind, tmp_path):
    """Every field of the expected documents is there with the same value."""
    actual = tmp_path / "actual.ndjson"
    actual.write_bytes(b"\n".join(document.body for document in documents(kind)))
    expected = ORACLES / "ecs" / kind / "expected.json"
    command = [sys.executable, str(ORACLES / "score.py"), str(expected), str(actual)]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    score = re.search(r"score \(micro\) ([0-9.]+)", report)
    assert score is not None
    assert float(score[1]) >= 0.999, report


@pytest.mark.parametrize("kind", ["vpcflow", "vpcflow_current"])
def test_community_ids_are_those_of_elasticsearch(kind):
    """The same flow has the same id in every tool."""
    expected = json.loads((ORACLES / "ecs" / kind / "expected.json").read_text())["expected"]
    found = [json.loads(document.body) for document in documents(kind)]
    ids = [document.get("network", {}).get("community_id") for document in expected]
    assert [document.get("network", {}).get("community_id") for document in found] == ids
