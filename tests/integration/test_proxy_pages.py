"""A proxy in the place of AWS that answers with a page and status 200, which is not taken for an empty answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shipper.aws import AwsSessions
from shipper.build.log_writers import written_groups
from shipper.errors import RetryableError
from shipper.metrics import Metrics
from shipper.sources.cloudwatch_calls import Budget, Calls
from shipper.sources.s3_bucket import S3Bucket
from tests.fakes.pipeline import HastyStop
from tests.parts.moto import Moto

PAGES = [b"<html><body>Please log in</body></html>", b"Please log in", b"{}"]


@pytest.fixture(params=PAGES, ids=["HTML", "text", "JSON"])
def aws(request: pytest.FixtureRequest, aws_environment: None) -> Iterator[AwsSessions]:
    page: bytes = request.param

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        do_POST = do_GET  # noqa: N815 - the base class names it so

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield AwsSessions(Moto(f"http://127.0.0.1:{server.server_address[1]}").settings())
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_window_is_not_empty_because_a_proxy_says_so(aws: AwsSessions):
    """It would count as done, and its events would be lost; nor are there no log groups any more."""
    budget = Budget(1000.0)
    calls = Calls(
        "s", client=lambda _: aws.client("logs"), budget=lambda _: budget, metrics=Metrics(), stop=HastyStop()
    )
    with pytest.raises(RetryableError):
        calls.filter("us-east-1", logGroupName="g", startTime=0, endTime=1)
    with pytest.raises(RetryableError):
        list(calls.groups("us-east-1"))
    with pytest.raises(RetryableError):
        calls.tags("us-east-1", "arn:aws:logs:us-east-1:111111111111:log-group:g")


def test_a_listing_is_not_empty_because_a_proxy_says_so(aws: AwsSessions):
    """A day would be closed without the objects that it has."""
    bucket = S3Bucket(aws.client("s3"), "trail")
    with pytest.raises(RetryableError):
        bucket.page("AWSLogs/", "")
    with pytest.raises(RetryableError):
        bucket.level("AWSLogs/")


def test_what_services_write_is_not_known_then(aws: AwsSessions):
    """That alone stops nothing: types are told by events and names."""
    assert written_groups(aws, "us-east-1").groups == {}
