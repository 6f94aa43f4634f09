"""What a million indicators take: seconds to read them, memory, and µs of CPU a look-up without any cache.

python -m bench.indicators
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from shipper.enrich.indicator_files import Source
from shipper.enrich.indicators import Indicators

COUNT = 1_000_000
_LOOKUPS = 100_000

KINDS: dict[str, Callable[[random.Random], str]] = {
    "IPv4 addresses": lambda r: f"{r.randrange(1, 224)}.{r.randrange(256)}.{r.randrange(256)}.{r.randrange(256)}",
    "IPv6 addresses": lambda r: f"2001:{r.getrandbits(16):x}:{r.getrandbits(16):x}::{r.getrandbits(16):x}",
    "IPv4 networks": lambda r: f"{r.randrange(1, 224)}.{r.randrange(256)}.{r.randrange(256)}.0/24",
    "domains": lambda r: f"{r.getrandbits(40):x}.example{r.randrange(100)}.com",
}


def main() -> None:
    """Measure each kind in a process of its own."""
    titles = f"{'s to read':>9} {'MB':>6} {'MB at most':>10} {'when replaced':>13} {'µs a look-up':>12}"
    print(f"{'a million':16} {titles}")
    for kind in KINDS:
        subprocess.run([sys.executable, "-m", "bench.indicators", kind], check=True)


def measure(kind: str) -> None:
    """Measure one kind, and print a line."""
    make = KINDS[kind]
    with tempfile.TemporaryDirectory(prefix="shipper-bench-") as folder:
        path = Path(folder) / "list.txt"
        with path.open("w") as file:
            file.writelines(f"{text}\n" for text in map(make, [random.Random(1)] * COUNT))
        before, started = _resident("VmRSS"), time.process_time()
        found = Indicators([Source(path, "bench")])
        seconds = time.process_time() - started
        resident, peak = _resident("VmRSS") - before, _resident("VmHWM") - before
        found.reload()
        both = _resident("VmHWM") - before
    others = [make(random.Random(seed)).partition("/")[0] for seed in range(2, _LOOKUPS + 2)]
    find = found.domain if kind == "domains" else found.address
    best = float("inf")
    for _ in range(7):
        started = time.process_time()
        for text in others:
            find(text)
        best = min(best, time.process_time() - started)
    print(
        f"{kind:16} {seconds:9.1f} {resident:6.0f} {peak:10.0f} {both:13.0f} {best * 1e6 / _LOOKUPS:12.2f}", flush=True
    )


def _resident(name: str) -> float:
    """Memory of this process in MB, as Linux calls it: https://man7.org/linux/man-pages/man5/proc_pid_status.5.html."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    measure(sys.argv[1]) if sys.argv[1:] else main()
