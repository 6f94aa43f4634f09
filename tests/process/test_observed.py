"""What a running daemon tells: metrics, health and readiness over HTTP, and systemd on its socket."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes import cloudtrail
from tests.fakes.elasticsearch import FakeElasticsearch, Reply
from tests.process.daemon import Daemon

RECORDS = 60
TEMPLATE = "/_component_template/shipper-logs@settings"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Page:
    """The listener of a daemon, seen from outside."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def status(self, path: str) -> int:
        """The status of a page; 0 where nobody listens yet."""
        try:
            return requests.get(self._url + path, timeout=10).status_code
        except requests.ConnectionError:
            return 0

    def metrics(self) -> dict[str, float]:
        """Values by name and labels, `name{source=trail}`."""
        text = requests.get(f"{self._url}/metrics", timeout=10).text
        return {
            sample.name + "".join(f"{{{key}={value}}}" for key, value in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


def await_true(condition: Callable[[], bool], what: Callable[[], str], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


def test_a_daemon_shows_how_it_is_from_start_to_end(tmp_path, moto):
    """Alive but not ready while its sink is away; ready, with figures that add up, after; systemd hears all of it."""
    trail = cloudtrail.recent()
    s3 = moto.client("s3")
    s3.create_bucket(Bucket="trail")
    for key, body in trail.objects(3, RECORDS // 3):
        s3.put_object(Bucket="trail", Key=key, Body=body)
    newest = trail.now.timestamp() - 300
    port = free_port()
    page = Page(port)
    heard: list[str] = []
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, FakeElasticsearch() as elasticsearch:
        sock.bind(address)
        sock.settimeout(0.1)
        done = threading.Event()
        listener = threading.Thread(target=_listen, args=(sock, heard, done))
        listener.start()
        try:
            elasticsearch.answers[TEMPLATE] = Reply(503, b"{}")
            daemon = Daemon(
                tmp_path,
                {
                    "state": {"path": str(tmp_path / "state")},
                    "listen": f"127.0.0.1:{port}",
                    "aws": {"region": "us-east-1", "endpoint_url": moto.url},
                    "sources": {"trail": {"type": "s3", "bucket": "trail", "start": "-7d", "interval_seconds": 1}},
                    "sinks": {"siem": {"type": "elasticsearch", "hosts": [elasticsearch.url]}},
                },
                {"NOTIFY_SOCKET": address},
            )
            daemon.start()
            await_true(lambda: any("STATUS=waiting for sink siem" in text for text in heard), daemon.log)
            assert (page.status("/healthz"), page.status("/readyz")) == (200, 503)
            assert not any("READY=1" in text for text in heard)
            del elasticsearch.answers[TEMPLATE]
            await_true(lambda: page.status("/readyz") == 200, daemon.log)
            await_true(lambda: _delivered(page) == RECORDS, daemon.log)
            values = page.metrics()
            now = datetime.now(UTC).timestamp()
            assert page.status("/healthz") == 200
            assert values["shipper_newest_event_timestamp_seconds{source=trail}"] == newest
            assert now - newest - 30 < values["shipper_lag_seconds{source=trail}"] <= now - newest
            assert values["shipper_oldest_unsettled_seconds{source=trail}"] == 0
            assert values["shipper_splits_settled_total{source=trail}"] >= 1
            await_true(lambda: "WATCHDOG=1" in heard, daemon.log)
            assert daemon.terminate() == 0, daemon.log()
        finally:
            done.set()
            listener.join()
    first = [text.splitlines()[0] for text in heard]
    assert first.count("READY=1") == 1
    assert first.index("READY=1") < first.index("STOPPING=1")
    assert first[-1] == "STOPPING=1"


def _listen(sock: socket.socket, heard: list[str], done: threading.Event) -> None:
    while not done.is_set():
        try:
            heard.append(sock.recv(1000).decode())
        except TimeoutError:
            continue


def _delivered(page: Page) -> float:
    return sum(value for name, value in page.metrics().items() if "shipper_events_delivered_total" in name)
