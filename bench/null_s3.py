"""A read-only S3 server over generated objects, so that a benchmark measures the shipper and not an emulator.

`python -m bench.null_s3 --port PORT --objects DIR` serves the files below DIR as the objects of every bucket.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from bench.null_servers import serve

_PAGE = 1000


@dataclass(frozen=True)
class _Entry:
    body: bytes
    etag: str


class NullS3:
    """ListObjectsV2 (prefix, delimiter, start-after, continuation-token) and GetObject, as the API has them."""

    def __init__(self, folder: Path) -> None:
        self._entries = {
            str(path.relative_to(folder)): _entry(path.read_bytes())
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        self._keys = sorted(self._entries)

    def answer(self, head: str, _body: bytes) -> bytes:
        """The answer to a request; see `null_servers.serve`."""
        url = urlsplit(head.split(" ", 2)[1])
        _, _, key = unquote(url.path).lstrip("/").partition("/")
        if not key:
            query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
            return _http(self._listing(query), "application/xml")
        entry = self._entries.get(key)
        if entry is None:
            return _http(
                b"<Error><Code>NoSuchKey</Code><Message>no</Message></Error>", "application/xml", "404 Not Found"
            )
        return _http(entry.body, "binary/octet-stream", etag=entry.etag)

    def _listing(self, query: dict[str, str]) -> bytes:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = query.get("continuation-token", query.get("start-after", ""))
        rows: list[str] = []
        last, truncated = "", False
        for common, name in self._names(prefix, delimiter, after):
            if len(rows) == _PAGE:
                truncated = True
                break
            last = name
            if common:
                rows.append(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>")
                last = name + "\U0010ffff"
                continue
            entry = self._entries[name]
            rows.append(
                f"<Contents><Key>{escape(name)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                f"<ETag>{entry.etag}</ETag><Size>{len(entry.body)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            )
        more = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if truncated else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Prefix>{escape(prefix)}</Prefix><KeyCount>{len(rows)}</KeyCount><MaxKeys>{_PAGE}</MaxKeys>"
            f"<IsTruncated>{str(truncated).lower()}</IsTruncated>{more}{''.join(rows)}</ListBucketResult>"
        ).encode()

    def _names(self, prefix: str, delimiter: str, after: str) -> Iterator[tuple[bool, str]]:
        position = (
            bisect.bisect_right(self._keys, max(after, ""))
            if after >= prefix
            else bisect.bisect_left(self._keys, prefix)
        )
        seen = ""
        for key in self._keys[position:]:
            if not key.startswith(prefix):
                return
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            if cut < 0:
                yield False, key
            elif key[: cut + 1] != seen:
                seen = key[: cut + 1]
                yield True, seen


def _entry(body: bytes) -> _Entry:
    return _Entry(body, f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"')


def _http(body: bytes, kind: str, status: str = "200 OK", etag: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        f"Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nETag: {etag}\r\n\r\n"
    )
    return head.encode() + body


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--objects", type=Path, required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, NullS3(arguments.objects).answer))


if __name__ == "__main__":
    main()
