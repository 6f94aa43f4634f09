"""Servers that take everything and keep nothing, so that a benchmark measures the shipper and not a database.

`python -m bench.null_servers --elasticsearch PORT --hec PORT` answers as Elasticsearch and Splunk do when all is well:
a bulk answer names as many items as documents were sent.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable

from isal import igzip

_ITEM = b'{"create":{"status":201}}'
Answer = Callable[[str, str, bytes], tuple[int, bytes]]


def elasticsearch(method: str, path: str, body: bytes) -> tuple[int, bytes]:
    """Elasticsearch's answer: everything is taken, nothing is found."""
    if "_bulk" not in path:
        return (404, b"{}") if method == "GET" else (200, b'{"acknowledged":true}')
    plain: bytes = igzip.decompress(body) if body[:2] == b"\x1f\x8b" else body  # type: ignore[no-untyped-call]
    count = plain.count(b"\n") // 2
    return 200, b'{"errors":false,"items":[' + b",".join([_ITEM] * count) + b"]}"


def splunk(_method: str, _path: str, _body: bytes) -> tuple[int, bytes]:
    """Splunk's answer to a batch of events."""
    return 200, b'{"text":"Success","code":0}'


async def serve(port: int, answer: Callable[[str, bytes], bytes]) -> None:
    """Answer requests on loopback until cancelled.

    Args:
        answer: (a request's head, its body) → the whole answer as it goes over the wire.
    """

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                writer.write(answer(head, await reader.readexactly(_length(head))))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", port, backlog=256, limit=1 << 20)
    async with server:
        await server.serve_forever()


def _as_json(answer: Answer) -> Callable[[str, bytes], bytes]:
    def whole(head: str, body: bytes) -> bytes:
        method, path, _ = head.split(" ", 2)
        status, said = answer(method, path, body)
        return (
            b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nX-Elastic-Product: Elasticsearch\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (status, len(said), said)
        )

    return whole


def _length(head: str) -> int:
    """The length of a request's body."""
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0


async def _serve_both(elasticsearch_port: int, hec_port: int) -> None:
    await asyncio.gather(serve(elasticsearch_port, _as_json(elasticsearch)), serve(hec_port, _as_json(splunk)))


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--elasticsearch", type=int, required=True)
    parser.add_argument("--hec", type=int, required=True)
    arguments = parser.parse_args()
    asyncio.run(_serve_both(arguments.elasticsearch, arguments.hec))


if __name__ == "__main__":
    main()
