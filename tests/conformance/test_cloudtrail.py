"""CloudTrail documents against those that Elastic's own pipeline makes of the same records, and real records."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shipper.enrich.geo import Geo
from shipper.formats.cloudtrail import CloudTrailFormat
from shipper.model import Document, Origin, Payload, ReadLimits, Record
from shipper.ports import Schema
from shipper.schemas.ecs.cloudtrail import CloudTrailEcs
from shipper.schemas.splunk.cloudtrail import CloudTrailSplunk

ORACLES = Path(__file__).parents[3] / "shared" / "oracles"
KINDS = ["cloudtrail", "cloudtrail_current", "cloudtrail_digest"]
REAL = sorted((ORACLES / "cloudtrail-real").rglob("*.json"))

pytestmark = pytest.mark.skipif(not ORACLES.is_dir(), reason=f"the oracles are not here: {ORACLES}")


@pytest.fixture(scope="module")
def geo() -> Geo:
    """The databases that the expected documents were made with."""
    folder = ORACLES / "geoip" / "elastic-head"
    return Geo(folder / "GeoLite2-City.mmdb", folder / "GeoLite2-ASN.mmdb")


def documents(path: Path, schema: Schema) -> list[Document]:
    """All records of a file, read as an object and encoded; none may be refused."""
    payload = Payload(Origin(str(path)), iter([path.read_bytes()]))
    encoder = schema.encoder(payload.origin)
    records = list(CloudTrailFormat(ReadLimits()).records(payload))
    made = [encoder(record) for record in records if isinstance(record, Record)]
    assert len(made) == len(records)
    return [document for document in made if document is not None]


@pytest.mark.parametrize("kind", KINDS)
def test_documents_hold_what_elastics_pipeline_writes(kind, geo, tmp_path):
    """Every field of the expected documents is there with the same value, and every field that rules use."""
    case = ORACLES / "ecs" / kind
    actual = tmp_path / "actual.ndjson"
    made = documents(case / "input.log", CloudTrailEcs("default", geo))
    actual.write_bytes(b"\n".join(document.body for document in made))
    command = [sys.executable, str(ORACLES / "score.py"), str(case / "expected.json"), str(actual)]
    command += ["--fields", str(ORACLES / "detection" / "fields-used.json")]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    scores = re.findall(r"score (?:\(micro\) )?([0-9.]+)", report)
    assert [float(score) for score in scores] == [1.0, 1.0], report


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_files_pass_without_a_loss(path, geo):
    """Every record of a real file becomes one document of its own, with the record's own text, in both schemas."""
    held = json.loads(path.read_bytes(), strict=False) if path.parent.name != "otrf" else None
    if held is None:
        expected = [json.loads(line) for line in path.read_text().splitlines()]
    else:
        expected = held["Records"] if isinstance(held, dict) else held
    made = documents(path, CloudTrailEcs("default", geo))
    bodies = [json.loads(document.body) for document in made]
    assert [json.loads(body["event"]["original"]) for body in bodies] == expected
    assert len({document.id for document in made}) == len({record["eventID"] for record in expected})
    envelopes = documents(path, CloudTrailSplunk("", "", geo))
    assert [json.loads(document.body)["event"] for document in envelopes] == expected
    assert [document.id for document in envelopes] == [document.id for document in made]
