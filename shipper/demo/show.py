"""The demo's main line: start an AWS emulator, fill it, run the real pipeline, and tell what arrived."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shipper import build, config, service
from shipper.demo.arrived import read
from shipper.demo.configuration import sinks_for, write_configuration
from shipper.demo.emulator import emulated_aws
from shipper.demo.next_steps import tell_what_next
from shipper.demo.organisation import Organisation, StoredObject
from shipper.demo.seed import SEED, seed, seed_flows, seed_iam
from shipper.demo.story import tell_receipts, tell_story
from shipper.demo.traffic import Flow, Traffic
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
        now = datetime.now(UTC)
        organisation = Organisation(SEED, now)
        flows = Traffic(SEED, now, organisation.incident).flows()
        endpoint = stack.enter_context(emulated_aws())
        sinks = sinks_for(folder, elasticsearch, splunk, token)
        settings = config.load(write_configuration(folder, organisation.bucket, endpoint, sinks))
        if not _servers_answer(settings):
            return 1
        console.print("[bold]1. A small organisation's AWS[/bold], made up, in an emulator on this machine")
        objects = _seed(console, organisation, flows, endpoint)
        wanted = {"trail": sum(stored.records for stored in objects), "flow": len(flows)}
        trail, flow = wanted.values()
        console.print(f"   S3: {len(objects):,} objects with {trail:,} CloudTrail records of 4 accounts, two days")
        console.print(f"   CloudWatch Logs: 1 log group with {flow:,} VPC flow log records")
        console.print("   IAM: roles and users with their tags\n")
        console.print("[bold]2. The real pipeline[/bold]: find, read, map to ECS, enrich, deliver, account for each")
        summary = _ship(console, settings, sum(wanted.values()))
        tell_receipts(console, summary)
        arrived = read(folder / "archive")
        tell_story(console, arrived)
        tell_what_next(console, folder, arrived, kept=keep, seconds=time.monotonic() - started)
        return 0 if summary.ok and _whole(summary, wanted) else 1


def _whole(summary: service.Summary, wanted: dict[str, int]) -> bool:
    """Whether every record of each source has an end in every sink."""
    tallies = {source: summary.sinks.get(source, {}).values() for source in wanted}
    return all(
        tallies[source] and all(tally.accounted == records for tally in tallies[source])
        for source, records in wanted.items()
    )


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


def _progress(console: Console) -> Progress:
    bar = (TextColumn("   {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*bar, console=console, transient=True, disable=not console.is_terminal)


def _seed(console: Console, organisation: Organisation, flows: list[Flow], endpoint: str) -> list[StoredObject]:
    """Fill the emulator, and show how it goes; return the objects of the bucket."""
    with _progress(console) as progress:
        task = progress.add_task("putting objects", total=None)
        stored = seed(organisation, endpoint, progress=lambda count: progress.advance(task, count))
        progress.update(task, description="putting flow logs")
        seed_flows(flows, endpoint)
        progress.update(task, description="making roles and users")
        seed_iam(endpoint)
    return stored


def _ship(console: Console, settings: config.Settings, records: int) -> service.Summary:
    """Run the pipeline to its end.

    Raises:
        KeyboardInterrupt: someone stopped it.
    """
    pipeline = build.pipeline(settings, once=True)
    try:
        with _progress(console) as progress:
            task = progress.add_task("records shipped", total=records)
            summary = service.run(pipeline, once=True, on_receipt=lambda receipt: progress.advance(task, receipt.read))
    finally:
        pipeline.close()
    if pipeline.stop.requested:
        raise KeyboardInterrupt
    return summary
