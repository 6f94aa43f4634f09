"""A crash of the program leaves no copy of its memory, which holds keys and tokens."""

from __future__ import annotations

import ctypes
import resource
import signal
import subprocess
import sys
from pathlib import Path

_GET_DUMPABLE = 3
PROGRAM = f"""
import ctypes, os, resource, sys
from shipper import cli
kept = cli.run
def crash(*arguments):
    print(ctypes.CDLL(None).prctl({_GET_DUMPABLE}, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE), flush=True)
    os.abort()
if sys.argv[1] == "shipper":
    cli.run = crash
    cli.main()
crash()
"""


def crashed(folder: Path, way: str) -> subprocess.CompletedProcess[str]:
    """Run a Python process with cores as large as they may be, and let it abort."""

    def limits() -> None:
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

    return subprocess.run(
        [sys.executable, "-c", PROGRAM, way], cwd=folder, preexec_fn=limits, capture_output=True, text=True, check=False
    )


def test_the_program_leaves_no_core(tmp_path: Path) -> None:
    """Neither the limit nor the kernel's flag allows one, whatever the shell allowed; without it both might."""
    done = crashed(tmp_path, "shipper")
    assert done.returncode == -signal.SIGABRT
    assert done.stdout.split() == ["0", "0", "0"]
    assert list(tmp_path.iterdir()) == []
    assert crashed(tmp_path, "plain").stdout.split()[0] == str(ctypes.CDLL(None).prctl(_GET_DUMPABLE, 0, 0, 0, 0))
