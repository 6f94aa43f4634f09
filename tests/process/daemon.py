"""The installed command line as a process of its own, with a configuration written for a test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


_started: list[subprocess.Popen[bytes]] = []


def end_all() -> None:
    """Kill every process that a daemon of this module started and that still runs: nothing outlives its test."""
    while _started:
        process = _started.pop()
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


class Daemon:
    """Runs `shipper` with one configuration file.

    Args:
        folder: for the configuration and the process's standard error.
        settings: the configuration; JSON is YAML.
        environment: added to the process's own.
        wrapper: a command that runs another one in its own place.
    """

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any],
        environment: Mapping[str, str] | None = None,
        wrapper: Sequence[str] = (),
    ) -> None:
        self.config = folder / "shipper.yaml"
        self.errors = folder / "stderr.txt"
        self.config.write_text(json.dumps(settings, indent=1))
        self.config.chmod(0o600)
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self._environment = {**os.environ, **ENVIRONMENT, **(environment or {})}
        self.wrapper = list(wrapper)

    def start(self) -> None:
        """Start `shipper run` in the background."""
        self._starts = self.log().count('"starting"') + 1
        self._process = self._popen("run", "-c", str(self.config))

    def await_start(self, seconds: float = 60) -> None:
        """Wait until the process started last hears signals: it says so with `starting` (log level info)."""
        deadline = time.monotonic() + seconds
        while self.log().count('"starting"') < self._starts:
            assert self.running, self.log()
            assert time.monotonic() < deadline, f"not started within {seconds} seconds: {self.log()}"
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL: the process gets no chance to tidy up."""
        self._end(signal.SIGKILL)

    def terminate(self, timeout: float = 40) -> int:
        """SIGTERM; return the exit code."""
        return self._end(signal.SIGTERM, timeout)

    def wait(self, timeout: float = 40) -> int:
        """Wait for the process to end; return the exit code, negative for a signal."""
        assert self._process is not None
        self._process.communicate(timeout=timeout)
        return self._process.returncode

    def send(self, number: signal.Signals) -> None:
        """Send a signal and go on."""
        assert self._process is not None
        self._process.send_signal(number)

    def leave(self) -> None:
        """Kill the background process if there is one, at the end of a test that may have failed."""
        if self._process is not None:
            self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: the process stands still, and thinks that no time has passed when it goes on."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.send(signal.SIGCONT)

    @property
    def running(self) -> bool:
        """Whether the background process still runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def peak_megabytes(self) -> float:
        """The most memory that the background process ever held (proc(5), VmHWM)."""
        return self._status("VmHWM")

    @property
    def megabytes(self) -> float:
        """The memory that the background process holds now."""
        return self._status("VmRSS")

    @property
    def open_files(self) -> int:
        """How many files and connections the background process has open."""
        assert self._process is not None
        return len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))

    def once(self, timeout: float = 120) -> tuple[int, dict[str, Any]]:
        """Run `shipper run --once --json` to its end; return exit code and summary."""
        process = self._popen("run", "--once", "--json", "-c", str(self.config))
        try:
            output, _ = process.communicate(timeout=timeout)
        finally:
            process.kill()
        return process.returncode, json.loads(output) if output.strip() else {}

    def command(self, *arguments: str, timeout: float = 120) -> tuple[int, str]:
        """Run another command with the same configuration to its end; return exit code and standard output."""
        process = self._popen(*arguments, "-c", str(self.config))
        try:
            output, _ = process.communicate(timeout=timeout)
        finally:
            process.kill()
        return process.returncode, output.decode()

    def begin(self, *arguments: str) -> None:
        """Start another command in the background, in place of `start`."""
        self._process = self._popen(*arguments, "-c", str(self.config))

    def log(self) -> str:
        """All that the processes wrote to standard error."""
        return self.errors.read_text() if self.errors.exists() else ""

    def _status(self, name: str) -> float:
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split(f"{name}:")[1].split()[0]) / 1024

    def _popen(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self.errors.open("ab") as errors:
            process = subprocess.Popen(
                [*self.wrapper, sys.executable, "-m", "shipper", *arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        _started.append(process)
        return process

    def _end(self, number: signal.Signals, timeout: float = 20) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        try:
            self._process.communicate(timeout=timeout)
        finally:
            self._process.kill()
        return self._process.returncode
