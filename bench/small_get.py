"""CPU time of one GetObject of a small object: our own way, boto3's, and obstore's where it is installed.

`python -m bench.small_get`; servers are processes of their own, whose cost is not counted.
"""

from __future__ import annotations

import importlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import objects
from bench.__main__ import _ENVIRONMENT, _free_port, _server
from shipper.aws import AwsSessions, AwsSettings
from shipper.model import S3Object
from shipper.sources.s3_get import SmallGet

_OBJECTS = 2000
_RUNS = 3
Get = Callable[[S3Object], Any]


def main() -> int:
    """Measure and print."""
    os.environ.update(_ENVIRONMENT)
    with tempfile.TemporaryDirectory(prefix="shipper-bench-") as name:
        objects.cloudtrail(_OBJECTS, 20)(Path(name))
        root = Path(name) / "objects"
        items = [S3Object("bench", str(p.relative_to(root)), p.stat().st_size, "", 0.0) for p in root.rglob("*.gz")]
        port = _free_port()
        with _server("bench.null_s3", port, "--port", str(port), "--objects", str(root)):
            for way, get in _ways(f"http://127.0.0.1:{port}").items():
                figures = [_measure(get, items) for _ in range(_RUNS)]
                print(f"{way:10} {statistics.median(figures):.3f} ms CPU an object", flush=True)
    return 0


def _ways(url: str) -> dict[str, Get]:
    aws = AwsSessions(AwsSettings(region="us-east-1", endpoint_url=url))
    client = aws.client("s3")
    ways: dict[str, Get] = {
        "ours": SmallGet(url, "us-east-1", by_path=True, credentials=aws.credentials).get,
        "boto3": lambda item: client.get_object(Bucket=item.bucket, Key=item.key)["Body"].read(),
    }
    try:
        obstore, stores = importlib.import_module("obstore"), importlib.import_module("obstore.store")
    except ImportError:
        return ways
    store = stores.S3Store("bench", endpoint=url, region="us-east-1", client_options={"allow_http": True})
    return {**ways, "obstore": lambda item: bytes(obstore.get(store, item.key).bytes())}


def _measure(get: Get, items: list[S3Object]) -> float:
    started = time.process_time()
    for item in items:
        if len(get(item)) != item.size:
            raise SystemExit(f"{item.uri} did not come whole")
    return (time.process_time() - started) / len(items) * 1000


if __name__ == "__main__":
    sys.exit(main())
