"""`shipper demo` as a person runs it: to its end, into real servers, interrupted, and what it proposes to try next."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shipper.demo.next_steps import commands
from tests.fakes.splunk_hec import TOKEN, FakeSplunk

if TYPE_CHECKING:
    from tests.parts.elasticsearch import ElasticsearchServer

PROGRAM = Path(sys.executable).with_name("shipper")


def shipper(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the installed program in a folder, without a terminal and without anyone's AWS credentials."""
    return subprocess.run(
        [PROGRAM, *arguments],
        cwd=folder,
        env=_environment(folder, **environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _environment(folder: Path, **more: str) -> dict[str, str]:
    ours = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    return {**ours, "TMPDIR": str(folder), "COLUMNS": "100", **more}


def test_demo_ships_everything_and_finds_the_incident(tmp_path: Path) -> None:
    """One command, no network, no credentials: every record is delivered and accounted for, and nothing is left."""
    done = shipper(tmp_path, "demo")
    assert (done.returncode, done.stderr) == (0, "")
    accounts = re.findall(r"(trail|flow) +archive" + r"\s+([\d,]+)" * 6, done.stdout)
    assert [source for source, *_ in accounts] == ["trail", "flow"]
    for _, read, delivered, *others in accounts:
        assert read == delivered
        assert others == ["0", "0", "0", "0"]
    trail, flow = (read for _, read, *_ in accounts)
    assert f"with {trail} CloudTrail records" in done.stdout
    assert f"with {flow} VPC flow log records" in done.stdout
    story = " ".join(done.stdout.split())
    assert "was used from Reykjavík, Iceland" in story
    assert re.search(r"nils\.brandt@lanternfish\.example through role deploy( \(.*?\))?, from AS64511 Fjord", story)
    traffic = dict(re.findall(r"^ (accepted|rejected|no traffic|missed by AWS) +([\d,]+)", done.stdout, re.MULTILINE))
    assert sum(int(count.replace(",", "")) for count in traffic.values()) == int(flow.replace(",", ""))
    knocker = re.search(r"^ +(\d+) +203\.0\.113\.17 +Reykjavík, Iceland .* no *$", done.stdout, re.MULTILINE)
    assert knocker is not None
    assert "203.0.113.17 knocked" in story
    assert "\x1b" not in done.stdout  # a pipe gets no colours
    assert list(tmp_path.iterdir()) == []


def test_demo_keeps_its_files_and_what_it_proposes_works(tmp_path: Path) -> None:
    """`--keep` leaves everything in ./shipper-demo, and each command that it proposes does what it says."""
    done = shipper(tmp_path, "demo", "--keep")
    assert done.returncode == 0, done.stderr
    proposed = re.findall(r"^   (\S*shipper .*?|zstdcat .*?)(?:   .*)?$", done.stdout, re.MULTILINE)
    assert len(proposed) == len(commands("shipper-demo"))
    local = [line for line in proposed if " URL" not in line]
    assert len(local) >= 3
    for line in local:
        tried = subprocess.run(
            line.replace("-c FILE", "--offline -c shipper-demo/shipper.yaml"),
            shell=True,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert tried.returncode == 0, (line, tried.stderr)
        assert tried.stdout
    for folder in ("archive", "state"):
        assert any((tmp_path / "shipper-demo" / folder).iterdir())


def test_demo_ships_to_elasticsearch_too(tmp_path: Path, elasticsearch9: ElasticsearchServer) -> None:
    """A real Elasticsearch has each record that the archive has."""
    done = shipper(tmp_path, "demo", "--elasticsearch", elasticsearch9.url)
    assert (done.returncode, done.stderr) == (0, "")
    lines = re.findall(r"(trail|flow) +(archive|siem)\s+([\d,]+) +([\d,]+)", done.stdout)
    assert {(source, sink) for source, sink, *_ in lines} == set(product(("trail", "flow"), ("archive", "siem")))
    for source, dataset in (("trail", "aws.cloudtrail"), ("flow", "aws.vpcflow")):
        stream = f"logs-{dataset}-demo"
        elasticsearch9.request("POST", f"{stream}/_refresh")
        counted = elasticsearch9.request("GET", f"{stream}/_count").body["count"]
        assert {f"{counted:,}"} == {delivered for which, _, _, delivered in lines if which == source}


def test_demo_ships_to_splunk_too(tmp_path: Path) -> None:
    """A collector indexes each record that the archive has, once, and the token is not left behind."""
    with FakeSplunk() as server:
        done = shipper(tmp_path, "demo", "--splunk", server.url, "--token", TOKEN)
        assert (done.returncode, done.stderr) == (0, "")
        counted = Counter[str]()
        for sink, delivered in re.findall(r"(archive|splunk)\s+[\d,]+ +([\d,]+)", done.stdout):
            counted[sink] += int(delivered.replace(",", ""))
        assert set(server.stored.values()) == {1}
        assert counted == dict.fromkeys(("archive", "splunk"), len(server.stored))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "where"),
    [(["--elasticsearch", "http://127.0.0.1:9"], "sinks.siem"), (["--splunk", "http://127.0.0.1:9"], "sinks.splunk")],
)
def test_demo_says_at_once_that_a_server_is_not_there(tmp_path: Path, option: list[str], where: str) -> None:
    """A wrong address is told of before anything else is done, with the reason."""
    done = shipper(tmp_path, "demo", *option, SHIPPER_DEMO_TOKEN="t" * 36)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{where}: http://127.0.0.1:9")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_demo_ends_quietly_when_it_is_interrupted(tmp_path: Path) -> None:
    """Ctrl-C ends it with the shell's code for that, without a traceback and without leftovers."""
    process = subprocess.Popen(
        [PROGRAM, "demo"],
        cwd=tmp_path,
        env=_environment(tmp_path, PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("2."):
            break
    time.sleep(0.5)  # somewhere in the middle of its work
    process.send_signal(signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, errors.strip()) == (130, "aborted")
    assert list(tmp_path.iterdir()) == []
