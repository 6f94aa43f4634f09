"""The configuration that the demo runs with, written as a user would write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from shipper.demo.cast import PRODUCTION
from shipper.demo.networks import write_geoip
from shipper.demo.principals import IAM_ROLE
from shipper.demo.seed import reader_role
from shipper.demo.traffic import LOG_FORMAT, LOG_GROUP


def sinks_for(folder: Path, elasticsearch: str | None, splunk: str | None, token: str | None) -> dict[str, Any]:
    """Return the sinks: an archive in the folder, and the servers that were named; keep the token in a file."""
    sinks: dict[str, Any] = {"archive": {"type": "archive", "path": str(folder / "archive")}}
    if elasticsearch:
        sinks["siem"] = {"type": "elasticsearch", "hosts": [elasticsearch], "data_stream_namespace": "demo"}
    if splunk:
        (folder / "hec-token").write_text(token or "", encoding="utf-8")
        (folder / "hec-token").chmod(0o600)
        sinks["splunk"] = {"type": "splunk_hec", "urls": [splunk], "token_file": str(folder / "hec-token")}
    return sinks


def write_configuration(folder: Path, bucket: str, endpoint: str, sinks: dict[str, Any]) -> Path:
    """Write `shipper.yaml` and the GeoIP databases that it names, and return its path."""
    city, asn = write_geoip(folder)
    trail = {"type": "s3", "bucket": bucket, "prefix": "AWSLogs/", "logs": "cloudtrail", "start": "-7d"}
    flow = {
        "type": "cloudwatch_logs",
        "log_groups": [LOG_GROUP],
        "start": "-7d",
        # `auto` would ask EC2 for the format, and the emulator's EC2 takes seconds to start.
        "logs": "vpcflow",
        "format": LOG_FORMAT,
        # An emulator has no quota; on AWS leave the default.
        "calls_per_second": 100,
        "aws": {"region": PRODUCTION.region, "role_arn": reader_role()},
    }
    content = {
        "state": {"path": str(folder / "state")},
        "listen": "off",
        "aws": {"region": "us-east-1", "endpoint_url": endpoint},
        "sources": {"trail": trail, "flow": flow},
        "sinks": sinks,
        "enrich": {
            "geoip": {"city": str(city), "asn": str(asn)},
            # Five requests a second are the default: IAM's own limits are shared with everyone in the account.
            "iam": {"role_name": IAM_ROLE, "requests_per_second": 100},
            "sessions": {},
        },
    }
    path = folder / "shipper.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    path.chmod(0o600)
    return path
