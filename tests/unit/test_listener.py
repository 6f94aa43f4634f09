"""What the listener and the messages to systemd tell."""

from __future__ import annotations

import contextlib
import socket
import urllib.error
import urllib.request

import pytest

from shipper import notify
from shipper.errors import ConfigError
from shipper.listener import MAX_CONNECTIONS, Health, Listener
from shipper.metrics import Metrics
from shipper.model import Receipt, Tally


@pytest.fixture
def listening():
    metrics = Metrics(clock=lambda: 2000.0)
    state = {"alive": True, "ready": False}
    health = Health(lambda: state["alive"], lambda: state["ready"], metrics.waiting)
    listener = Listener(("127.0.0.1", 0), metrics.registry, health, header_seconds=2.0)
    listener.start()
    yield metrics, state, f"http://127.0.0.1:{listener.port}"
    listener.close()


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_and_readiness_are_two_answers(listening):
    """Alive but not ready: a supervisor waits instead of restarting."""
    _, state, url = listening
    assert get(f"{url}/healthz")[0] == 200
    assert get(f"{url}/readyz")[0] == 503
    state["ready"], state["alive"] = True, False
    assert get(f"{url}/healthz")[0] == 503
    assert get(f"{url}/readyz")[0] == 200
    assert get(f"{url}/other")[0] == 404


def test_what_waits_for_a_person_is_told_beside_the_verdict(listening):
    """A part of a source that waits is no reason to restart the process; lines from outside stay on their line."""
    metrics, _, url = listening
    metrics.waits("flow", "log group app", "denied\nfor now")
    assert get(f"{url}/healthz") == (200, "ok\nwaiting: flow: log group app: denied\\nfor now\n")
    metrics.waits("flow", "log group app", None)
    assert get(f"{url}/healthz") == (200, "ok\n")


def test_a_settled_split_shows_in_the_metrics(listening):
    """Counters, and the lag as seconds since the newest event delivered."""
    metrics, _, url = listening
    tally = Tally(delivered=3, present=1, filtered=2, dead_lettered=1, bytes_out=99)
    metrics.settled(Receipt("id", "trail", 7, 500, {"siem": tally}, newest_ms=1_940_000))
    text = get(f"{url}/metrics")[1]
    assert 'shipper_events_delivered_total{sink="siem",source="trail"} 3.0' in text
    assert 'shipper_events_dead_lettered_total{sink="siem",source="trail"} 1.0' in text
    assert 'shipper_events_read_total{source="trail"} 7.0' in text
    assert 'shipper_lag_seconds{source="trail"} 60.0' in text


def test_the_lag_never_goes_back_for_an_older_event(listening):
    """A backfill of old data does not hide how new the newest delivered event is."""
    metrics, _, url = listening
    metrics.settled(Receipt("a", "trail", 0, 0, {}, newest_ms=1_990_000))
    metrics.settled(Receipt("b", "trail", 0, 0, {}, newest_ms=1_000_000))
    assert 'shipper_lag_seconds{source="trail"} 10.0' in get(f"{url}/metrics")[1]


def test_a_taken_port_is_a_configuration_mistake(listening):
    """The message names the address and the hint the key."""
    port = int(listening[2].rpartition(":")[2])
    with pytest.raises(ConfigError, match=str(port)) as caught:
        Listener(("127.0.0.1", port), Metrics().registry, Health(lambda: True, lambda: True))
    assert "listen:" in caught.value.hint


def test_systemd_hears_what_it_should(tmp_path, monkeypatch):
    """READY=1, WATCHDOG=1 and STOPPING=1 arrive as datagrams on $NOTIFY_SOCKET."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notify.ready()
        notify.watchdog()
        notify.stopping()
        heard = [sock.recv(200).decode().splitlines()[0] for _ in range(3)]
    assert heard == ["READY=1", "WATCHDOG=1", "STOPPING=1"]


def test_without_systemd_nothing_is_sent(monkeypatch):
    """No socket, or one that is gone, is no error."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify.ready()
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent/socket")
    notify.ready()


def exchange(url: str, request: bytes) -> bytes:
    """Send bytes as they are, and return all that is answered until the connection ends."""
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(request)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65_536):
                answer += part
        return answer


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"localhost:9464", b"200"),
        (b"127.0.0.1", b"200"),
        (b"127.8.9.10:1", b"200"),
        (b"[::1]:9464", b"200"),
        (b"rebound.example:9464", b"421"),
        (b"192.0.2.1", b"421"),
        (b"localhost.evil.example", b"421"),
    ],
)
def test_a_loopback_listener_answers_for_loopback_names_only(listening, host, status):
    """A web page whose name was made to lead here reads nothing (DNS rebinding)."""
    answer = exchange(listening[2], b"GET /metrics HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert answer.split(b" ")[1] == status
    assert (b"shipper_" in answer) == (status == b"200")


def test_head_is_get_without_the_body(listening):
    """Load balancers ask so."""
    answer = exchange(listening[2], b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /healthz HTTP/1.1\r\n" + b"A: " + b"x" * 60_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + b"A: xxxxxxxxxxxxxxxxxxxxxx\r\n" * 90 * 20 + b"\r\n",
        b"GET /" + b"x" * 60_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["a long header", "many headers", "a long path"],
)
def test_headers_are_bounded(listening, request_bytes):
    """What is too long is not read to its end, and not answered with success."""
    assert not exchange(listening[2], request_bytes).startswith(b"HTTP/1.1 200")
    assert get(f"{listening[2]}/healthz")[0] == 200


def test_connections_are_bounded_and_each_has_a_deadline(listening):
    """Clients that send nothing keep nobody else away for longer than the deadline."""
    url = listening[2]
    port = int(url.rpartition(":")[2])
    with contextlib.ExitStack() as stack:
        idle = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            for _ in range(2 * MAX_CONNECTIONS)
        ]
        for connection in idle:  # each ends: those beyond the bound at once, the others at their deadline
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        assert get(f"{url}/healthz")[0] == 200
