"""Turns core dumps off: the memory of this process holds keys, tokens and records that are not redacted yet."""

from __future__ import annotations

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4  # prctl(2)


def forbid_core_dumps() -> bool:
    """Forbid core dumps of this process, and return whether the kernel took both ways.

    The limit alone is not enough: where cores are piped to a program (systemd-coredump, apport) the kernel does not
    look at it. A process that is not dumpable is not traced by its own user either.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not sys.platform.startswith("linux"):
        return False
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    return prctl is not None and prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0
