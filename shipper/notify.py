"""Messages to systemd (sd_notify(3)): ready, watchdog, status, stopping; silent where no systemd listens."""

from __future__ import annotations

import contextlib
import os
import socket


def ready() -> None:
    """The service has started (`READY=1`)."""
    _send("READY=1\nSTATUS=shipping")


def watchdog() -> None:
    """The service is alive (`WATCHDOG=1`)."""
    _send("WATCHDOG=1")


def status(text: str) -> None:
    """What the service is doing, for `systemctl status`; also asks for more time while starting."""
    _send(f"STATUS={text}\nEXTEND_TIMEOUT_USEC=90000000\nWATCHDOG=1")


def stopping() -> None:
    """The service is on its way out (`STOPPING=1`)."""
    _send("STOPPING=1")


def _send(message: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket, see unix(7)
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.sendto(message.encode(), address)
