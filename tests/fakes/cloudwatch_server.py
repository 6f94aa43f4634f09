"""Serves `tests.fakes.cloudwatch_logs` over HTTP in AWS's JSON 1.1 protocol, so that boto3 itself is in the test."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.fakes.cloudwatch_logs import ACCOUNT, ApiError, CloudWatchLogs

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/logs/aws4_request")


@contextmanager
def serving(logs: CloudWatchLogs, accounts: dict[str, str] | None = None) -> Iterator[str]:
    """Serve on a free port of loopback; yield the endpoint's URL.

    Args:
        accounts: account ids by access key; any other key belongs to the usual test account.
    """
    known = accounts or {}

    class Handler(_Handler):
        fake = logs
        keys = known

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    fake: CloudWatchLogs
    keys: dict[str, str]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        signed = _CREDENTIAL.search(self.headers.get("Authorization", ""))
        if signed is None:
            self._answer(400, {"__type": "MissingAuthenticationTokenException", "message": "Missing Token"})
            return
        account = self.keys.get(signed[1], ACCOUNT)
        target = self.headers.get("X-Amz-Target", "").removeprefix("Logs_20140328.")
        try:
            answer = self.fake.call(target, json.loads(body), account=account, region=signed[2])
        except ApiError as error:
            self._answer(error.status, {"__type": error.code, "message": error.message})
        except ConnectionError:
            self.close_connection = True
        else:
            self._answer(200, answer)

    def _answer(self, status: int, answer: dict[str, object]) -> None:
        body = json.dumps(answer).encode()
        head = (
            f"HTTP/1.1 {status} {'OK' if status == 200 else 'Error'}\r\n"
            f"Date: {formatdate(self.fake.clock(), usegmt=True)}\r\n"
            f"Content-Type: application/x-amz-json-1.1\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.wfile.write(head.encode() + body)  # one write: two would wait for each other's acknowledgement

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Stay quiet."""
