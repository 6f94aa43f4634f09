"""A read-only CloudWatch Logs over generated records, so that a benchmark measures the shipper and not an emulator.

`python -m bench.null_cloudwatch --port PORT --objects DIR` serves the CloudTrail records of the objects below DIR as
the events of one log group: pages of at most 1 MB and 10,000 events, as FilterLogEvents has them.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import gzip
import json
import time
from email.utils import formatdate
from pathlib import Path

import orjson

from bench.null_servers import serve

GROUP = "bench"
_PAGE_EVENTS = 10_000
_PAGE_BYTES = 1_048_576
_SPAN_MS = 6 * 3_600_000
_ARN = f"arn:aws:logs:us-east-1:111122223333:log-group:{GROUP}"


class NullCloudWatch:
    """DescribeLogGroups and FilterLogEvents over events that are spread evenly over the last hours."""

    def __init__(self, folder: Path) -> None:
        records = [
            json.dumps(record, separators=(",", ":"))
            for path in sorted(folder.rglob("*.json.gz"))
            for record in json.loads(gzip.decompress(path.read_bytes()))["Records"]
        ]
        first = int(time.time() * 1000) - _SPAN_MS - 600_000
        self._times = [first + n * _SPAN_MS // len(records) for n in range(len(records))]
        self._events = [
            orjson.dumps(
                {
                    "logStreamName": f"stream-{number % 4}",
                    "timestamp": time_ms,
                    "message": record,
                    "ingestionTime": time_ms + 2000,
                    "eventId": f"{(time_ms << 144) | number:056d}",
                }
            )
            for number, (time_ms, record) in enumerate(zip(self._times, records, strict=True))
        ]

    def answer(self, head: str, body: bytes) -> bytes:
        """The answer to a request; see `null_servers.serve`."""
        said = self._filter(json.loads(body)) if "FilterLogEvents" in head else self._groups()
        kind = "Content-Type: application/x-amz-json-1.1"
        date = formatdate(usegmt=True)
        return f"HTTP/1.1 200 OK\r\nDate: {date}\r\n{kind}\r\nContent-Length: {len(said)}\r\n\r\n".encode() + said

    def _groups(self) -> bytes:
        group = {"logGroupName": GROUP, "arn": f"{_ARN}:*", "logGroupClass": "STANDARD", "creationTime": 0}
        return orjson.dumps({"logGroups": [group]})

    def _filter(self, query: dict[str, object]) -> bytes:
        begin = int(str(query.get("nextToken") or bisect.bisect_left(self._times, int(str(query["startTime"])))))
        end = bisect.bisect_right(self._times, int(str(query["endTime"])))
        last, size = begin, 0
        while last < end and last - begin < _PAGE_EVENTS and size + len(self._events[last]) <= _PAGE_BYTES:
            size += len(self._events[last])
            last += 1
        token = b',"nextToken":"%d"' % last if last < end else b""
        return b'{"events":[' + b",".join(self._events[begin:last]) + b"]" + token + b"}"


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--objects", type=Path, required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, NullCloudWatch(arguments.objects).answer))


if __name__ == "__main__":
    main()
