"""Flow log documents against those that Elastic's own pipeline makes of the same lines."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shipper.enrich.geo import Geo
from shipper.formats.vpc_flow import VpcFlowFormat
from shipper.model import Document, Origin, Payload, ReadLimits, Record
from shipper.schemas.ecs.vpc_flow import VpcFlowEcs

ORACLES = Path(__file__).parents[3] / "shared" / "oracles"

pytestmark = pytest.mark.skipif(not ORACLES.is_dir(), reason=f"the oracles are not here: {ORACLES}")


def geography() -> Geo:
    """The databases that the expected documents were made with."""
    folder = ORACLES / "geoip" / "elastic-head"
    return Geo(folder / "GeoLite2-City.mmdb", folder / "GeoLite2-ASN.mmdb")


def documents(kind: str) -> list[Document]:
    """All lines of a case, read as an object and encoded."""
    payload = Payload(Origin("/cases/input.log"), iter([(ORACLES / "ecs" / kind / "input.log").read_bytes()]))
    encoder = VpcFlowEcs("default", geography()).encoder(payload.origin)
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
