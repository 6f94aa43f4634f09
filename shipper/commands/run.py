"""`shipper run`: the daemon, or one pass."""

from __future__ import annotations

import gc
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shipper import __version__
from shipper.commands import DONE, FAILED, config_option, private_files, start

if TYPE_CHECKING:
    from shipper.ports import Stop


@click.command()
@config_option()
@click.option("--once", is_flag=True, help="Ship all that is there now, then end with a summary.")
@click.option("--json", "as_json", is_flag=True, help="With --once: the summary as JSON.")
def run(file: Path, *, once: bool, as_json: bool) -> int:
    """Ship logs until stopped.

    The first SIGTERM or SIGINT stops reading and lets what is on its way finish; a second one kills. Nothing is lost
    either way. With --once, the exit code is 0 when all that was found is delivered or dead-lettered, 1 otherwise.
    """
    from shipper.ports import Stop

    stop = Stop()
    gc.disable()  # what is imported and built stays: looking through it for garbage is a tenth of the start
    try:
        with _hearing(stop):
            return _run(file, stop, once=once, as_json=as_json)
    finally:
        gc.enable()


def _run(file: Path, stop: Stop, *, once: bool, as_json: bool) -> int:
    settings = start(file)
    private_files()
    import structlog

    from shipper import build, service
    from shipper.allocator import keep_freed_memory

    keep_freed_memory()
    log = structlog.get_logger("shipper")
    log.info("starting", version=__version__, config=file, sources=list(settings.sources), sinks=list(settings.sinks))
    for remark in settings.remarks():
        log.warning(remark.what, where=remark.where, hint=remark.hint)
    pipeline = build.pipeline(settings, once=once, stop=stop)
    try:
        summary = service.run(pipeline, once=once)
    finally:
        pipeline.close()
    if not once:
        log.info("stopped", **{key: value for key, value in summary.as_json().items() if key != "sources"})
        return DONE
    click.echo(json.dumps(summary.as_json(), indent=2) if as_json else "\n".join(summary.lines()))
    return DONE if summary.ok else FAILED


@contextmanager
def _hearing(stop: Stop) -> Iterator[None]:
    """Hear signals before all that takes time: a supervisor may stop what it has just started."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    previous = {number: signal.signal(number, lambda *_: stop.request()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
