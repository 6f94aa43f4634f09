"""Breaks the CloudWatch source on purpose, in a copy, and demands that the loss suite notices each time.

These are the faults that other readers of CloudWatch Logs have or had; a suite that does not see them proves nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUITE = "tests/unit/test_cloudwatch_loss.py"
SOURCE, GROUP, READER = (f"shipper/sources/cloudwatch_{name}.py" for name in ("logs", "group", "reader"))
NOTHING = "Receipt(split.id, split.source, 0, 0, {})"

# What is changed (file, text, instead), and how the suite must say it.
Change = tuple[str, str, str]
FAULTS: dict[str, tuple[list[Change], str]] = {
    "settled before it is delivered": (
        [
            (
                SOURCE,
                "        state.take(sweep, split, now=self._now())\n",
                (
                    "        state.take(sweep, split, now=self._now())\n"
                    f"        self._store.settle(split, {NOTHING}, (), ())\n"
                    f"        state.settled(split, {NOTHING}, self._now())\n"
                    "        self._store.set_cursors(self.name, {split.scope: state.cursor()})\n"
                ),
            )
        ],
        "lost",
    ),
    "the next window begins a millisecond after the last event": (
        [(GROUP, "(receipt.reached_ms, split.last_ms)", "(receipt.reached_ms + 1, split.last_ms)")],
        "lost",
    ),
    "an empty page is taken for the end": (
        [(READER, "            if not following:\n", '            if not following or not answer["events"]:\n')],
        "lost",
    ),
    "a failed window counts as done": (
        [
            (
                SOURCE,
                (
                    "        split = replace(as_window(split), maybe_shipped=True)\n"
                    "        self._flying[split.region] -= 1\n"
                ),
                f"        return self.settle(split, {NOTHING})\n",
            )
        ],
        "lost",
    ),
    "one cursor for several streams: the newest event of any": (
        [
            (
                GROUP,
                "            self._newest_event = now\n",
                (
                    "            self._newest_event = now\n"
                    "            self._position = max(minute for minute, _ in receipt.done) * 60.0\n"
                ),
            ),
            (
                GROUP,
                (
                    "        earliest = min(swept.get(t.name, 0.0) - t.reach - SKEW_SECONDS"
                    " for t in self._tiers[: depth + 1])\n"
                ),
                '        earliest = getattr(self, "_position", 0.0)\n',
            ),
        ],
        "lost",
    ),
    "no look reaches back": (
        [
            (
                GROUP,
                (
                    "        earliest = min(swept.get(t.name, 0.0) - t.reach - SKEW_SECONDS"
                    " for t in self._tiers[: depth + 1])\n"
                ),
                "        earliest = min(swept.get(t.name, 0.0) for t in self._tiers[: depth + 1])\n",
            )
        ],
        "lost",
    ),
    "events are known by their id without their stream": (
        [(READER, 'hash64(name, item["eventId"])', 'hash64(item["eventId"])')],
        "lost",
    ),
    "what is delivered already is not left out": (
        [(READER, "seen = unpack_seen(split.seen)", "seen = unpack_seen(b'')")],
        "doubled",
    ),
    "a window is not pinned before it is shipped": ([(SOURCE, "        self._store.pin([split])\n", "")], "doubled"),
}


def outcome(folder: Path) -> tuple[int, str]:
    """Run the loss suite over the copy of the product in a folder."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-p", "no:randomly", "--tb=short", SUITE],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return run.returncode, run.stdout + run.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The product and its tests, to be broken."""
    ignored = shutil.ignore_patterns("__pycache__", "data", "templates")
    for name in ("shipper", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_suite_accepts_the_product_as_it_is(copy):
    """So that a failure below means the fault and not the copy."""
    code, output = outcome(copy)
    assert code == 0, output


@pytest.mark.parametrize("fault", list(FAULTS))
def test_the_suite_notices(fault, copy):
    """The suite fails, by naming events that are lost or doubled."""
    changes, verdict = FAULTS[fault]
    for file, text, instead in changes:
        path = copy / file
        before = path.read_text()
        assert before.count(text) == 1, f"{file} has changed: this fault must be put in anew"
        path.write_text(before.replace(text, instead))
    code, output = outcome(copy)
    assert code == 1, f"the suite did not notice: {output}"
    assert f"AssertionError: {verdict}" in output, output
