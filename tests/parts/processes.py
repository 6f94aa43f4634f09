"""Processes that tests start: a port to listen on, and an end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_session(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> None:
    """End a process that leads a session of its own, and all that it started; by SIGKILL after 30 seconds."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, number)  # a session of its own: nothing but this server
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
