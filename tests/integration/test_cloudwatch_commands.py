"""What the command line says of CloudWatch sources, asked over HTTP: `check`, `run --once`, `checkpoints show`."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.fakes import cloudtrail
from tests.fakes.cloudwatch_logs import CloudWatchLogs
from tests.fakes.cloudwatch_server import serving
from tests.process.daemon import ENVIRONMENT

GB = 1 << 30


class Command:
    """Runs `shipper` over one configuration and one fake AWS."""

    def __init__(self, folder: Path, logs: CloudWatchLogs, url: str) -> None:
        self.logs = logs
        self.program = ["-m", "shipper"]
        self._config = folder / "shipper.yaml"
        self._settings: dict[str, Any] = {
            "state": {"path": str(folder / "state")},
            "listen": "off",
            "aws": {"region": "us-east-1", "endpoint_url": url},
            "sources": {"cw": {"type": "cloudwatch_logs", "logs": "cloudtrail", "calls_per_second": 100}},
            "sinks": {"archive": {"type": "archive", "path": str(folder / "archive")}},
            "log": {"level": "error", "format": "json"},
        }

    def __call__(self, *arguments: str, **source: Any) -> tuple[int, str, str]:
        """Return exit code, standard output and standard error; `source` is laid over the source's keys."""
        own = {**self._settings["sources"]["cw"], **source}
        self._config.write_text(json.dumps({**self._settings, "sources": {"cw": own}}))
        self._config.chmod(0o600)
        run = subprocess.run(
            [sys.executable, *self.program, *arguments, "-c", str(self._config)],
            env={**os.environ, **ENVIRONMENT},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return run.returncode, run.stdout, run.stderr


@pytest.fixture
def shipper(tmp_path, aws_environment) -> Iterator[Command]:
    logs = CloudWatchLogs(time.time)
    with serving(logs) as url:
        yield Command(tmp_path, logs, url)


def test_check_says_what_reading_costs(shipper):
    """The horizon, the calls a day, their share of the quota and the amplification, for each group; no problem."""
    shipper.logs.group("/aws/cloudtrail/a", created=time.time() - 86_400 * 10)
    code, output, _ = shipper("check", log_groups=["/aws/cloudtrail/*"])
    assert code == 0, output
    assert "sources.cw: late horizon 15 h" in output
    assert "us-east-1: about 314 calls a day, 0.1% of the quota" in output
    assert (
        "log group '/aws/cloudtrail/a': about 314 calls a day, 0.1% of the quota, each event read 6.2 times" in output
    )
    assert "all is well" in output


def test_check_names_the_better_road_for_large_groups(shipper):
    """More calls than the quota has: a subscription filter, Firehose and S3."""
    large = shipper.logs.group("large", created=time.time() - 86_400)
    large.stored_bytes = 400 * GB
    code, output, _ = shipper("check", "--json", log_groups=["large"], calls_per_second=3)
    found = json.loads(output)
    assert code == 0
    assert any("more than half of the calls" in problem["what"] for problem in found["problems"])
    assert all("subscription filter" in problem["hint"] for problem in found["problems"])
    assert any("each event read 6.2 times" in note["what"] for note in found["notes"])


def test_check_names_what_cannot_be_read(shipper):
    """Missing names, denied groups with the permission that lacks, classes with the way out."""
    shipper.logs.group("denied").denied = True
    shipper.logs.group("rare", log_class="INFREQUENT_ACCESS")
    code, output, _ = shipper("check", log_groups=["denied", "rare", "missing", "unused-*"])
    assert code == 1
    assert "cannot read log group 'denied': " in output
    assert "logs:FilterLogEvents" in output
    assert "log group 'rare' has the class INFREQUENT_ACCESS, which FilterLogEvents cannot read" in output
    assert "no log group matches 'missing'" in output
    assert "3 problems, 1 remark" in output


def test_check_names_the_permission_to_list(shipper):
    """As a policy that can be pasted."""
    shipper.logs.refusals = 10
    code, output, _ = shipper("check", log_groups=["app"])
    assert code == 1
    assert '"logs:DescribeLogGroups"' in output


def test_one_run_ships_all_and_show_tells_of_it(shipper):
    """A denied group makes the run incomplete, and its pinned window is shown; the others are delivered."""
    trail = cloudtrail.recent()
    app, denied = shipper.logs.group("app"), shipper.logs.group("denied")
    now_ms = int(time.time() * 1000)
    shipper.logs.page_events = 3
    for number in range(40):
        record = json.dumps(trail._record("111122223333", trail.now))
        shipper.logs.put(app, f"s{number % 3}", (now_ms - 60_000 + number, record))
    denied.denied = True
    code, output, _ = shipper("run", "--once", "--json", log_groups=["*"])
    assert code == 1, output
    assert json.loads(output)["sources"]["cw"]["sinks"]["archive"]["delivered"] == 40
    code, output, _ = shipper("checkpoints", "show", log_groups=["*"])
    assert code == 0
    assert "40 delivered events are kept in mind" in output
    assert f"    {denied.arn}: " in output
    denied.denied = False
    code, output, _ = shipper("run", "--once", "--json", log_groups=["*"])
    assert code == 0, output
    shown = json.loads(shipper("checkpoints", "show", "--json", log_groups=["*"])[1])
    assert shown["cw"]["pinned"] == {"splits": 0, "objects": 0}


def test_flow_logs_are_read_by_the_default_format_or_the_one_that_is_given(shipper, tmp_path):
    """Each line is a document of the data stream of flow logs; lines without a time take their event's."""
    now_ms = int(time.time() * 1000)
    flow, short = shipper.logs.group("flow"), shipper.logs.group("short")
    line = "2 111122223333 eni-1 203.0.113.9 10.0.0.5 50000 22 6 1 40 1767225600 1767225660 REJECT OK"
    shipper.logs.put(flow, "eni-1-all", *((now_ms - 60_000, line) for _ in range(3)))
    shipper.logs.put(short, "eni-1-all", (now_ms - 50_000, "203.0.113.9 10.0.0.5 22"))
    assert shipper("run", "--once", log_groups=["flow"], logs="vpcflow")[0] == 0
    own = {"log_groups": ["short"], "logs": "vpcflow", "format": "${srcaddr} ${dstaddr} ${dstport}"}
    assert shipper("run", "--once", **own)[0] == 0
    documents = [document for path in (tmp_path / "archive").rglob("*.zst") for document in unpacked(path)]
    assert [document["source"]["ip"] for document in documents] == ["203.0.113.9"] * 4
    assert [document["destination"]["port"] for document in documents] == [22] * 4
    assert {document["data_stream"]["dataset"] for document in documents} == {"aws.vpcflow"}
    times = {document["@timestamp"] for document in documents}
    assert len(times) == 2


def test_a_subscription_names_the_fields_of_flow_logs_where_ec2_cannot_be_asked(shipper, tmp_path):
    """With nothing but permissions for logs, once the configuration says that the group holds flow logs."""
    net = shipper.logs.group("net")
    net.subscriptions = ['[dst_port="22", source, destination, action=REJECT]']
    shipper.logs.put(net, "eni-1-all", (int(time.time() * 1000) - 50_000, "22 203.0.113.9 10.0.0.5 REJECT"))
    assert shipper("run", "--once", log_groups=["net"], logs="auto", log_group_types={"net": "vpcflow"})[0] == 0
    (document,) = (document for path in (tmp_path / "archive").rglob("*.zst") for document in unpacked(path))
    assert document["data_stream"]["dataset"] == "aws.vpcflow"
    assert (document["source"]["ip"], document["destination"]["port"]) == ("203.0.113.9", 22)
    assert document["event"]["action"] == "REJECT"


def test_dead_letters_of_a_log_group_are_read_again_and_settled(shipper, tmp_path):
    """Found by their time, shipped alone, taken for what the group is now; an event that is gone stays a letter."""
    now_ms = int(time.time() * 1000)
    short = shipper.logs.group("short")
    shipper.logs.page_events = 1
    good = "2 111122223333 eni-1 203.0.113.1 10.0.0.5 50000 22 6 1 40 1767225600 1767225660 REJECT OK"
    shipper.logs.put(short, "eni-1-all", (now_ms - 240_000, good))
    for age_ms in (240_000, 239_000, 60_000, 50_000):
        shipper.logs.put(short, "eni-1-all", (now_ms - age_ms, f"203.0.113.9 10.0.0.5 {age_ms // 1000}"))
    own = {"log_groups": ["short"], "logs": "vpcflow"}
    replay = ("deadletters", "replay", "--reread", "--json")
    shipper("run", "--once", **own)
    code, output, errors = shipper(*replay, **own)
    assert (code, json.loads(output)["no_document"], json.loads(output)["reread"]) == (1, 4, 0), errors
    short.events.pop()
    own["format"] = "${srcaddr} ${dstaddr} ${dstport}"
    code, output, errors = shipper(*replay, **own)
    assert (code, json.loads(output)["no_document"], json.loads(output)["reread"]) == (1, 1, 3), errors
    documents = [document for path in (tmp_path / "archive").rglob("*.zst") for document in unpacked(path)]
    assert sorted(document["destination"]["port"] for document in documents) == [22, 60, 239, 240]


WINDOW_BYTES = 300 << 20
MESSAGE_BYTES = 250_000
TELLING_ITS_PEAK = """
import atexit, runpy, sys
from pathlib import Path
atexit.register(lambda: print(Path("/proc/self/status").read_text(), file=sys.stderr))
runpy.run_module("shipper", run_name="__main__")
"""


def test_memory_is_bounded_whatever_a_window_holds(shipper):
    """Hundreds of megabytes in one window, half of them in one millisecond: a page at a time."""
    app = shipper.logs.group("app")
    start_ms, message = int(time.time() * 1000) - 600_000, "x" * MESSAGE_BYTES
    count = WINDOW_BYTES // MESSAGE_BYTES
    for number in range(count):
        after_ms = max(number - count // 2, 0) * 500_000 // count
        shipper.logs.put(app, f"s{number % 5}", (start_ms + after_ms, message))
    shipper.program = ["-c", TELLING_ITS_PEAK]
    code, output, errors = shipper("run", "--once", "--json", log_groups=["app"], logs="cloudwatch")
    assert code == 0, errors
    assert json.loads(output)["sources"]["cw"]["sinks"]["archive"]["delivered"] == count
    assert int(errors.split("VmHWM:")[1].split()[0]) * 1024 < WINDOW_BYTES, errors


def unpacked(path: Path) -> list[dict[str, Any]]:
    """The documents of an archive's file."""
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
        return [json.loads(line) for line in io.TextIOWrapper(reader)]
