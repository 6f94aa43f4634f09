"""CPU seconds per 100,000 events, events per second and peak memory of the whole program, start-up included.

`python -m bench [CASE …]` runs the installed command line as a process of its own, from a null S3 or CloudWatch Logs
into a null sink, both over HTTP on loopback and in processes of their own, whose cost is not counted.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import objects

_ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_EC2_METADATA_DISABLED": "true"}


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        make: writes the objects below a folder and the GeoIP databases beside it; returns the number of events.
        goal: CPU seconds per 100,000 events that we aim at; None where none is set.
        server: what serves the objects: as S3's, or their records as the events of a log group.
    """

    name: str
    logs: str
    sink: str
    make: objects.Maker
    goal: float | None
    server: str = "bench.null_s3"


CASES = [
    Case("cloudtrail-1000-elasticsearch", "cloudtrail", "elasticsearch", objects.cloudtrail(200, 1000), 2.5),
    Case("cloudtrail-20-elasticsearch", "cloudtrail", "elasticsearch", objects.cloudtrail(5000, 20), 5.0),
    Case("cloudtrail-1000-splunk", "cloudtrail", "splunk_hec", objects.cloudtrail(200, 1000), None),
    Case("cloudtrail-20-splunk", "cloudtrail", "splunk_hec", objects.cloudtrail(5000, 20), None),
    Case(
        "cloudwatch-elasticsearch",
        "cloudtrail",
        "elasticsearch",
        objects.cloudtrail(50, 1000),
        None,
        "bench.null_cloudwatch",
    ),
    Case("vpcflow-10000-elasticsearch", "vpcflow", "elasticsearch", objects.flow_logs(30, 10_000), 1.0),
    Case("vpcflow-10000-splunk", "vpcflow", "splunk_hec", objects.flow_logs(30, 10_000), None),
]


@dataclass(frozen=True)
class Ports:
    """Where the servers of a run listen."""

    s3: int
    elasticsearch: int
    hec: int


@dataclass(frozen=True)
class Figures:
    """What one run took."""

    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int


def main() -> int:
    """Run the cases and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help="names or parts of them; all when not given")
    parser.add_argument("--runs", type=int, default=3, help="runs of each case; the median counts")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    arguments = parser.parse_args()
    compileall.compile_dir(Path(__file__).parents[1] / "shipper", quiet=2)  # as an installed program is
    chosen = [case for case in CASES if not arguments.cases or any(part in case.name for part in arguments.cases)]
    if not arguments.json:
        print(f"{'case':34} {'events':>8} {'CPU s/100k':>10} {'goal':>5} {'events/s':>9} {'peak MB':>8}")
    for case in chosen:
        _report(case, arguments.runs, as_json=arguments.json)
    return 0


def _report(case: Case, runs: int, *, as_json: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="shipper-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        events = case.make(folder)
        ports = Ports(_free_port(), _free_port(), _free_port())
        objects_folder = str(folder / "objects")
        stack.enter_context(_server(case.server, ports.s3, "--port", str(ports.s3), "--objects", objects_folder))
        sinks = ("--elasticsearch", str(ports.elasticsearch), "--hec", str(ports.hec))
        stack.enter_context(_server("bench.null_servers", ports.elasticsearch, *sinks))
        results = [_run(case, folder, ports, events) for _ in range(runs)]
    cpu = [r.cpu_seconds / events * 100_000 for r in results]
    rate = statistics.median(events / r.wall_seconds for r in results)
    peak = max(r.peak_bytes for r in results) / 1e6
    if as_json:
        row = {"case": case.name, "events": events, "cpu_seconds_per_100k": statistics.median(cpu)}
        print(json.dumps({**row, "events_per_second": rate, "peak_megabytes": peak}), flush=True)
        return
    goal = f"{case.goal:.1f}" if case.goal else "-"
    spread = f"({min(cpu):.2f} to {max(cpu):.2f})"
    print(
        f"{case.name:34} {events:8} {statistics.median(cpu):10.2f} {goal:>5} {rate:9.0f} {peak:8.0f}  {spread}",
        flush=True,
    )


def _run(case: Case, folder: Path, ports: Ports, events: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="shipper-bench-state-") as state:
        config = Path(state) / "shipper.yaml"
        config.write_text(_config(case, folder, state, ports))
        config.chmod(0o600)
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "shipper", "run", "--once", "--json", "-c", str(config)],
            env={**os.environ, **_ENVIRONMENT},
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - started
    summary = json.loads(output)
    delivered = summary["sources"]["bench"]["sinks"]["sink"]["delivered"]
    if process.returncode != 0 or delivered != events:
        raise SystemExit(f"{case.name}: {delivered} of {events} events delivered, exit {process.returncode}")
    return Figures(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024)


def _config(case: Case, folder: Path, state: str, ports: Ports) -> str:
    sinks = {
        "elasticsearch": {"type": "elasticsearch", "hosts": [f"http://127.0.0.1:{ports.elasticsearch}"]},
        "splunk_hec": {"type": "splunk_hec", "urls": [f"http://127.0.0.1:{ports.hec}"], "token": "bench"},
    }
    source: dict[str, object] = {"type": "s3", "bucket": "bench", "prefix": "AWSLogs/"}
    if case.server == "bench.null_cloudwatch":
        source = {"type": "cloudwatch_logs", "log_groups": ["bench"], "calls_per_second": 1000}
    source |= {"logs": case.logs, "start": "beginning"}
    return json.dumps(
        {
            "state": {"path": f"{state}/state"},
            "listen": "off",
            "aws": {"region": "us-east-1", "endpoint_url": f"http://127.0.0.1:{ports.s3}"},
            "sources": {"bench": source},
            "sinks": {"sink": sinks[case.sink]},
            "enrich": {"geoip": {"city": str(folder / "demo-City.mmdb"), "asn": str(folder / "demo-ASN.mmdb")}},
            "log": {"level": "warning"},
        }
    )


@contextmanager
def _server(module: str, port: int, *arguments: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", module, *arguments])
    try:
        _await(port, process)
        yield
    finally:
        process.terminate()
        process.wait(10)


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(100):
        if process.poll() is not None:
            raise SystemExit(f"a server for the benchmark ended with {process.returncode}")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("a server for the benchmark does not answer")


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
