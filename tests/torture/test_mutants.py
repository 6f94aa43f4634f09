"""Breaks the product on purpose, in a copy, as other shippers are broken, and demands that its tests notice each time.

`tests/unit/test_cloudwatch_mutations.py` does so for CloudWatch Logs, `test_answers.py` for answers to bulk requests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.torture.scene import at_length

UNSHRUNK = """
from hypothesis import Phase, settings
settings.register_profile("unshrunk", phases=(Phase.explicit, Phase.generate))
settings.load_profile("unshrunk")
"""
"""That it fails is enough: minutes for the smallest example are not worth it."""
ROOT = Path(__file__).parents[2]
CURSOR = "tests/unit/test_s3_cursor.py::test_every_object_is_settled_exactly_once"
SOON = "tests/unit/test_s3_cursor.py::test_each_object_is_found_soon"
LISTING = "tests/unit/test_s3_listing.py"
DELIVERY = "tests/unit/test_delivery.py"
ANSWERS = "tests/torture/test_answers.py::test_each_fault_alone"
HEC = "tests/integration/test_splunk_hec_faults.py"


class Mutant(NamedTuple):
    """What is changed, and the tests that must fail by it.

    Attributes:
        changes: (file below `shipper/`, text that is there once, instead).
    """

    suite: str
    changes: tuple[tuple[str, str, str], ...]


MUTANTS = {
    "a marker: each listing begins where the last one ended": Mutant(
        SOON,
        (
            (
                "sources/s3_scope.py",
                '{"hot": HOUR, "warm": 6 * HOUR, "cold": 48 * HOUR}',
                '{"hot": 0.0, "warm": 0.0, "cold": 0.0}',
            ),
        ),
    ),
    "a day is over when its last minute is": Mutant(
        CURSOR, (("sources/s3_scope.py", "CLOSE_AFTER_SECONDS = 72 * HOUR", "CLOSE_AFTER_SECONDS = 0.0"),)
    ),
    "a split that was not delivered counts as done": Mutant(
        CURSOR,
        (
            (
                "sources/s3_listing.py",
                "        self._pending.release(split, error, self._clock())\n",
                "        self.settle(split, Receipt(split.id, split.source, 0, 0, {}))\n",
            ),
        ),
    ),
    "a split is not pinned before it is shipped": Mutant(
        LISTING, (("sources/s3_pending.py", "            self._store.pin(splits)\n", ""),)
    ),
    "what has to be sent again counts as delivered": Mutant(
        ANSWERS,
        (
            (
                "delivery.py",
                "self.tally.delivered += result.delivered\n",
                "self.tally.delivered += result.delivered + len(result.retry)\n",
            ),
            ("delivery.py", "return [batch[i] for i in result.retry]", "return []"),
        ),
    ),
    "dead letters that cannot be kept are dropped": Mutant(
        DELIVERY,
        (("delivery.py", "            backoff.wait(error)\n        else:\n            return\n", "        return\n"),),
    ),
    "an answer about acknowledgements that cannot be read means yes": Mutant(
        HEC,
        (
            (
                "sinks/splunk_hec_acks.py",
                "            confirmed = acknowledged(status, body)\n",
                (
                    "            confirmed = acknowledged(status, body)\n"
                    "            if confirmed is None:\n"
                    "                confirmed = frozenset(pending.ack_id for pending in asked)\n"
                ),
            ),
        ),
    ),
    "another indexer is not noticed": Mutant(
        HEC,
        (
            (
                "sinks/splunk_hec_connection.py",
                "        if self._affinity is not None and now != self._affinity:\n            self.void()\n",
                "",
            ),
        ),
    ),
    "a busy collector has taken everything": Mutant(
        HEC, (("sinks/splunk_hec_answers.py", "        return Meaning.BUSY\n", "        return Meaning.TAKEN\n"),)
    ),
    "the events before a bad one are sent again": Mutant(
        HEC,
        (
            (
                "sinks/splunk_hec_delivery.py",
                "    return number if number is not None and number < count else 0\n",
                "    return 0\n",
            ),
        ),
    ),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The product and its tests, to be broken."""
    for name in ("shipper", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "conftest.py").write_text(UNSHRUNK)
    return tmp_path


@at_length
@pytest.mark.timeout(600)
@pytest.mark.parametrize("suite", sorted({mutant.suite for mutant in MUTANTS.values()}))
def test_the_tests_accept_the_product_as_it_is(suite: str, copy: Path):
    """So that a failure below means the mutant and not the copy."""
    assert outcome(copy, suite) == (0, "")


@at_length
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", list(MUTANTS))
def test_the_tests_notice(name: str, copy: Path):
    """They fail over each mutant."""
    mutant = MUTANTS[name]
    for file, text, instead in mutant.changes:
        path = copy / "shipper" / file
        before = path.read_text()
        assert before.count(text) == 1, f"{file} has changed: this mutant must be made anew"
        path.write_text(before.replace(text, instead))
    code, words = outcome(copy, mutant.suite)
    assert code == 1, f"the tests did not notice, or could not run: {words}"


def outcome(folder: Path, suite: str) -> tuple[int, str]:
    """Run tests over the copy of the product in a folder, up to the first that fails; its words if one does."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "--tb=short", suite],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    return run.returncode, run.stdout + run.stderr if run.returncode else ""
