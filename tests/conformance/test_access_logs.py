"""Access logs' documents against those that Elastic's own pipelines make of the same lines."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from shipper.build import LOG_TYPES
from shipper.enrich.geo import Geo
from shipper.model import Origin, Payload, ReadLimits, Record
from shipper.ports import Lookups

ORACLES = Path(__file__).parents[3] / "shared" / "oracles"
KINDS = {"elb_logs": "elb", "s3access": "s3access", "waf": "waf"}

pytestmark = pytest.mark.skipif(not ORACLES.is_dir(), reason=f"skipped: no ../shared, the oracles are not at {ORACLES}")


@pytest.mark.parametrize("kind", KINDS)
def test_documents_hold_what_elastics_pipeline_writes(kind, tmp_path):
    """Every field of the expected documents is there with the same value, and every field that rules use."""
    folder, case, actual = ORACLES / "geoip" / "elastic-head", ORACLES / "ecs" / kind, tmp_path / "actual.ndjson"
    lookups = Lookups(geo=Geo(folder / "GeoLite2-City.mmdb", folder / "GeoLite2-ASN.mmdb"))
    log_type, origin = LOG_TYPES[KINDS[kind]], Origin(str(case / "input.log"))
    encode = log_type.ecs("default", lookups).encoder(origin)
    bodies = []
    for record in log_type.format(ReadLimits()).records(Payload(origin, iter([(case / "input.log").read_bytes()]))):
        assert isinstance(record, Record)
        document = encode(record)
        assert document is not None
        bodies.append(document.body)
    actual.write_bytes(b"\n".join(bodies))
    command = [sys.executable, str(ORACLES / "score.py"), str(case / "expected.json"), str(actual)]
    command += ["--fields", str(ORACLES / "detection" / "fields-used.json")]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    scores = re.findall(r"score (?:\(micro\) )?([0-9.]+)", report)
    assert [float(score) for score in scores] == [1.0, 1.0], report
