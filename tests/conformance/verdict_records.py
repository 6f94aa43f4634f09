"""The records that the verdicts on detections name, by their place below the oracles' folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ORACLES = Path(__file__).parents[3] / "shared" / "oracles"
VERDICTS = ORACLES / "verdicts"


def verdicts(name: str) -> Any:
    """Return a file of verdicts; for JSON lines a list. Nothing where the oracles are not here."""
    file = VERDICTS / name
    if not file.exists():
        return []
    text = file.read_text()
    return [json.loads(line) for line in text.splitlines()] if name.endswith("ndjson") else json.loads(text)


def real_records() -> dict[str, dict[str, Any]]:
    """Return those of `cloudtrail-real`."""
    found = {}
    for file in sorted((ORACLES / "cloudtrail-real").rglob("*.json")):
        for number, record in enumerate(_records(file)):
            found[f"{file.relative_to(ORACLES)}#{number}"] = record
    return found


def made_records() -> dict[str, dict[str, Any]]:
    """Return those of `records.ndjson`, which were made for the rules."""
    return {f"records.ndjson {entry['id']}": entry["record"] for entry in verdicts("records.ndjson")}


def sequences() -> dict[str, dict[str, Any]]:
    """Return those that were made for ES|QL's rules, which are dated after the others."""
    return {name: record for name, record in made_records().items() if record["eventTime"] > "2024-03-02"}


def all_records() -> dict[str, dict[str, Any]]:
    """Return all that verdicts may name."""
    found = real_records() | made_records()
    for kind in ("cloudtrail", "cloudtrail_current"):
        for number, record in enumerate(_lines(ORACLES / "ecs" / kind / "input.log")):
            found[f"ecs/{kind}/input.log#{number}"] = record
    name = "panther/aws_cloudtrail_rules.ndjson"
    for number, entry in enumerate(_lines(ORACLES / name)):
        record = entry["log"]
        if record.get("eventTime") == "redacted":
            del record["eventTime"]
        found[f"{name}#{number}"] = record
    name = "splunk/datasources.json"
    for number, entry in enumerate(json.loads((ORACLES / name).read_text())):
        example = _json(entry["example_log"]) if entry["sourcetype"] == "aws:cloudtrail" else None
        if example is not None:
            found[f"{name}#{number}"] = example
    return found


def _records(file: Path) -> list[dict[str, Any]]:
    if file.parent.name == "otrf":
        return _lines(file)
    held = json.loads(file.read_text(), strict=False)
    found: list[dict[str, Any]] = held["Records"] if isinstance(held, dict) else held
    return found


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line, strict=False) for line in file.read_text().splitlines()]


def _json(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text, strict=False)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
