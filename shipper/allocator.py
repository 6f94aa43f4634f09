"""Tells the C library to keep freed memory for what comes next, instead of giving it back after each batch."""

from __future__ import annotations

import ctypes
import sys

# malloc.h of glibc. By default it gives the end of the heap back from 128 kB on, and batches of some megabytes come
# and go all the time: the system then clears the same pages again and again, a third of a flow log line's whole cost.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 64 << 20
_LARGEST_BYTES = 32 << 20


def keep_freed_memory() -> bool:
    """Let at most 64 MB of freed memory stay; return whether the C library knows how (glibc does, musl does not)."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)) and bool(mallopt(_MMAP_THRESHOLD, _LARGEST_BYTES))
