"""What the demo proposes to try next: commands that work as they are shown, where they are shown."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from rich.console import Console

from shipper.demo.arrived import Arrived

_FIRST_DOCUMENT = "zstdcat {folder}/archive/dataset=aws.cloudtrail/date=*/*.zst | head -n 1"


def tell_what_next(console: Console, folder: Path, arrived: Arrived, *, kept: bool, seconds: float) -> None:
    """Say where the files are, and what to try."""
    console.print(f"[bold]6. Done in {seconds:.0f} s[/bold]. What to try next\n")
    if kept:
        size = f"{arrived.files:,} files, {arrived.bytes:,} bytes: ECS documents, zstd"
        _tell(
            console, [(f"{folder.name}/archive", size), (f"{folder.name}/shipper.yaml", "the configuration that ran")]
        )
        console.print()
    _tell(console, commands(folder.name if kept else None))
    console.print("\n   README.md shows a configuration for your own bucket.")


def commands(kept: str | None) -> list[tuple[str, str]]:
    """Commands and what they do.

    Args:
        kept: the folder that the demo's files were kept in, None where they are gone.
    """
    program = _program()
    steps = [
        (f"{program} demo --elasticsearch URL", "ships to your Elasticsearch too"),
        (f"{program} demo --splunk URL --token TOKEN", "ships to your Splunk too"),
        (f"{program} check -c FILE", "tries your own configuration, ships nothing"),
    ]
    if kept is None:
        return [(f"{program} demo --keep", "keeps configuration, state and archive"), *steps]
    looks = [
        (f"{program} checkpoints show -c {kept}/shipper.yaml", "what is done, and the account of it"),
        (f"{program} deadletters list -c {kept}/shipper.yaml", "what could not be shipped, and why"),
    ]
    if shutil.which("zstdcat"):
        looks.append((_FIRST_DOCUMENT.format(folder=kept), "a document as it arrived"))
    return [*looks, *steps]


def _program() -> str:
    """How this program was called, so that its commands can be copied."""
    called = Path(sys.argv[0])
    if called.name != "shipper" or not called.exists():
        return f"{Path(sys.executable).name} -m shipper"
    found = shutil.which("shipper")
    if found and Path(found).samefile(called):
        return "shipper"
    near = os.path.relpath(called)
    return str(called.absolute()) if near.startswith("..") else near


def _tell(console: Console, rows: list[tuple[str, str]]) -> None:
    """Two columns where they fit; a command is never broken, for then it could not be copied."""
    widest = max(len(left) for left, _ in rows)
    beside = all(widest + len(right) + 6 <= console.width for _, right in rows)
    for left, right in rows:
        console.print(f"   {left:<{widest}}   {right}" if beside else f"   {left}\n      {right}", soft_wrap=True)
