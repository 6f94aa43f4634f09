"""The tests' own daemon: no process outlives the test that started it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.process.daemon import Daemon, end_all

pytest_plugins = ["pytester"]
ASLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def test_what_a_failed_test_leaves_is_ended(tmp_path: Path) -> None:
    """Whatever was started and not ended is killed, each of several, and the second time there is nothing to do."""
    daemons = [Daemon(tmp_path, {}, wrapper=ASLEEP) for _ in range(2)]
    for daemon in daemons:
        daemon.start()
    assert all(daemon.running for daemon in daemons)
    end_all()
    assert not any(daemon.running for daemon in daemons)
    end_all()


def test_pytest_ends_them_when_a_test_fails(pytester: pytest.Pytester, tmp_path: Path) -> None:
    """A failing test's process is gone by the time that the next test runs."""
    pytester.makeconftest("from tests.conftest import _no_daemon_left as _no_daemon_left\n")
    pytester.makepyfile(
        f"""
        from pathlib import Path
        from tests.process.daemon import Daemon

        KEPT = []

        def test_that_fails():
            daemon = Daemon(Path({str(tmp_path)!r}), {{}}, wrapper={ASLEEP!r})
            daemon.start()
            KEPT.append(daemon)
            assert False

        def test_after_it():
            assert not KEPT[0].running
        """
    )
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(failed=1, passed=1)
