"""Documents of plain log events against those that Elastic's own pipelines make of the same lines."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from shipper.build import LOG_TYPES
from shipper.model import Origin, Payload, ReadLimits, Record
from shipper.ports import Lookups

ORACLES = Path(__file__).parents[3] / "shared" / "oracles"

pytestmark = pytest.mark.skipif(not ORACLES.is_dir(), reason=f"the oracles are not here: {ORACLES}")


@pytest.mark.parametrize(("kind", "name"), [("cloudwatch_logs", "cloudwatch"), ("ec2_logs", "ec2")])
def test_documents_hold_what_elastics_pipeline_writes(kind, name, tmp_path):
    """Every field of the expected documents is there with the same value."""
    payload = Payload(Origin("/cases/input.log"), iter([(ORACLES / "ecs" / kind / "input.log").read_bytes()]))
    encode = LOG_TYPES[name].ecs("default", Lookups()).encoder(payload.origin)
    records = list(LOG_TYPES[name].format(ReadLimits()).records(payload))
    made = [encode(record) for record in records if isinstance(record, Record)]
    actual = tmp_path / "actual.ndjson"
    actual.write_bytes(b"\n".join(document.body for document in made if document))
    command = [sys.executable, str(ORACLES / "score.py"), str(ORACLES / "ecs" / kind / "expected.json"), str(actual)]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    score = re.search(r"score \(micro\) ([0-9.]+)", report)
    assert score is not None
    assert float(score[1]) >= 0.97, report
