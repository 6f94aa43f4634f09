"""What the listener and the messages to systemd tell."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request

import pytest

from shipper import notify
from shipper.errors import ConfigError
from shipper.listener import Health, Listener
from shipper.metrics import Metrics
from shipper.model import Receipt, Tally


@pytest.fixture
def listening():
    metrics = Metrics(clock=lambda: 2000.0)
    state = {"alive": True, "ready": False}
    health = Health(lambda: state["alive"], lambda: state["ready"], metrics.waiting)
    listener = Listener(("127.0.0.1", 0), metrics.registry, health)
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
