"""What the program asks of the C library's allocator."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

# Parts too small for mappings of their own, as documents are; then all of them freed at once.
_PROGRAM = """
import resource, sys
from shipper.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def batch():
    kept = [bytes(100_000) for _ in range(200)]
for _ in range(3):
    batch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    batch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _page_faults(how: str) -> int:
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run([sys.executable, "-c", _PROGRAM, how], capture_output=True, check=True, env=settings)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has no mallopt")
def test_batches_are_written_into_memory_that_is_there():
    """Without it, each of 10 batches of 20 MB has its pages made anew; with it, hardly one."""
    assert _page_faults("keep") * 20 < _page_faults("leave")
