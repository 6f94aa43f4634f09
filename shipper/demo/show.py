"""The demo's main line: start an AWS emulator, fill it, run the real pipeline, and tell what arrived."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from moto.server import ThreadedMotoServer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shipper import build, config, service
from shipper.demo.arrived import read
from shipper.demo.networks import write_geoip
from shipper.demo.next_steps import tell_what_next
from shipper.demo.organisation import Organisation, StoredObject
from shipper.demo.seed import SEED, seed
from shipper.demo.story import tell_receipts, tell_story
from shipper.errors import ConfigError
from shipper.escaping import printable
from shipper.metrics import Metrics

_KEPT = Path("shipper-demo")
_WIDTH = 120


def run_demo(*, elasticsearch: str | None, splunk: str | None, token: str | None, keep: bool) -> int:
    """Run the demo; see `shipper.demo.run`."""
    console = Console(width=min(_WIDTH, Console().width), highlight=False)
    started = time.monotonic()
    with ExitStack() as stack:
        folder = stack.enter_context(_folder(keep=keep))
        organisation = Organisation(SEED, datetime.now(UTC))
        endpoint = stack.enter_context(_aws())
        sinks = _sinks(folder, elasticsearch, splunk, token)
        settings = config.load(_settings(folder, organisation.bucket, endpoint, sinks))
        if not _servers_answer(settings):
            return 1
        console.print("[bold]1. A small organisation's AWS[/bold], made up, in an emulator on this machine")
        objects = _seed(console, organisation, endpoint)
        records = sum(stored.records for stored in objects)
        console.print(f"   {len(objects):,} objects with {records:,} CloudTrail records, 4 accounts, two days\n")
        console.print("[bold]2. The real pipeline[/bold]: list, read, map to ECS, add geography, deliver, account")
        summary = _ship(console, settings, len(objects), records)
        tell_receipts(console, summary)
        arrived = read(folder / "archive")
        tell_story(console, arrived)
        tell_what_next(console, folder, arrived, kept=keep, seconds=time.monotonic() - started)
        tallies = summary.sinks.get("trail", {}).values()
        whole = bool(tallies) and all(tally.accounted == records for tally in tallies)
        return 0 if summary.ok and whole else 1


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    """Where everything goes: a folder that is removed at the end, or `./shipper-demo`, which begins anew.

    Raises:
        ConfigError: a folder of that name is there, and no demo made it.
    """
    if keep:
        if _KEPT.exists() and not (_KEPT / "shipper.yaml").is_file():
            raise ConfigError(f"{_KEPT} is there already, and is not the demo's", "start the demo in another folder")
        shutil.rmtree(_KEPT, ignore_errors=True)
        _KEPT.mkdir(mode=0o700)
        yield _KEPT.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="shipper-demo-") as name:
        yield Path(name)


def _servers_answer(settings: config.Settings) -> bool:
    """Whether the servers that were named can take events; what hinders them goes to standard error."""
    found = []
    for sink in build.sinks(settings, Metrics()).values():
        found += [problem for problem in sink.problems() if problem.serious]
        sink.close()
    for problem in found:
        sys.stderr.write(printable(f"{problem.where}: {problem.what}; {problem.hint}") + "\n")
    return not found


@contextmanager
def _aws() -> Iterator[str]:
    """An AWS emulator on a free port of this machine, and credentials that only it takes."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    ours = {
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    theirs = {name: os.environ.get(name) for name in {*ours, *(n for n in os.environ if n.startswith("AWS_"))}}
    for name in theirs:
        os.environ.pop(name, None)
    os.environ.update(ours)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()
        for name, value in theirs.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _progress(console: Console) -> Progress:
    bar = (TextColumn("   {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*bar, console=console, transient=True, disable=not console.is_terminal)


def _seed(console: Console, organisation: Organisation, endpoint: str) -> list[StoredObject]:
    with _progress(console) as progress:
        task = progress.add_task("putting objects", total=None)
        return seed(organisation, endpoint, progress=lambda count: progress.advance(task, count))


def _ship(console: Console, settings: config.Settings, objects: int, records: int) -> service.Summary:
    """Run the pipeline to its end.

    Raises:
        KeyboardInterrupt: someone stopped it.
    """
    pipeline = build.pipeline(settings, once=True)
    try:
        with _progress(console) as progress:
            task = progress.add_task(f"records of {objects:,} objects", total=records)
            summary = service.run(pipeline, once=True, on_receipt=lambda receipt: progress.advance(task, receipt.read))
    finally:
        pipeline.close()
    if pipeline.stop.requested:
        raise KeyboardInterrupt
    return summary


def _sinks(folder: Path, elasticsearch: str | None, splunk: str | None, token: str | None) -> dict[str, Any]:
    sinks: dict[str, Any] = {"archive": {"type": "archive", "path": str(folder / "archive")}}
    if elasticsearch:
        sinks["siem"] = {"type": "elasticsearch", "hosts": [elasticsearch], "data_stream_namespace": "demo"}
    if splunk:
        (folder / "hec-token").write_text(token or "", encoding="utf-8")
        (folder / "hec-token").chmod(0o600)
        sinks["splunk"] = {"type": "splunk_hec", "urls": [splunk], "token_file": str(folder / "hec-token")}
    return sinks


def _settings(folder: Path, bucket: str, endpoint: str, sinks: dict[str, Any]) -> Path:
    """Write the configuration as a user would."""
    city, asn = write_geoip(folder)
    source = {"type": "s3", "bucket": bucket, "prefix": "AWSLogs/", "logs": "cloudtrail", "start": "-7d"}
    content = {
        "state": {"path": str(folder / "state")},
        "listen": "off",
        "aws": {"region": "us-east-1", "endpoint_url": endpoint},
        "sources": {"trail": source},
        "sinks": sinks,
        "enrich": {"geoip": {"city": str(city), "asn": str(asn)}},
    }
    path = folder / "shipper.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    path.chmod(0o600)
    return path
