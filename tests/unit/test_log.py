"""The program's own log: what its lines hold, and what they never hold."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from shipper import log


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    """Give the process's log back as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_time_level_event_and_logger() -> None:
    """Machines get one object a line, its keys in a fixed order."""
    stream = io.StringIO()
    log.setup(stream=stream)
    structlog.get_logger("shipper.x").info("settled", split="s1", read=3, ratio=0.5, none=None, ok=True)
    (line,) = lines(stream)
    assert list(line) == ["time", "level", "event", "logger", "split", "read", "ratio", "none", "ok"]
    assert line["time"].endswith("Z")
    assert (line["level"], line["event"], line["logger"], line["read"]) == ("info", "settled", "shipper.x", 3)


def test_a_terminal_gets_text() -> None:
    """People get time, level, words and fields; colour only on a terminal and not under NO_COLOR."""
    stream = Terminal()
    log.setup(stream=stream)
    structlog.get_logger().warning("waiting", sink="siem")
    assert "\x1b[33mwarning\x1b[0m waiting  sink=siem\n" in stream.getvalue()


def test_text_has_no_colour_where_it_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a file nor a terminal under NO_COLOR sees escape sequences."""
    monkeypatch.setenv("NO_COLOR", "1")
    for stream, form in ((io.StringIO(), "text"), (Terminal(), "auto")):
        log.setup(form=form, stream=stream)
        structlog.get_logger().warning("waiting")
        assert stream.getvalue().endswith(" warning waiting\n")


def test_the_level_cuts_off() -> None:
    """What is less severe than the level is not written."""
    stream = io.StringIO()
    log.setup("error", stream=stream)
    structlog.get_logger().warning("no")
    structlog.get_logger().error("yes")
    assert [line["event"] for line in lines(stream)] == ["yes"]


@pytest.mark.parametrize("form", ["json", "text"])
def test_values_are_cut_and_escaped(form: str) -> None:
    """Nobody can forge a line or steer a terminal with text from outside, nor fill the disk with one value."""
    stream = io.StringIO()
    log.setup(form=form, stream=stream)
    structlog.get_logger().info("a\nb", key="x\x1b[31m\r\n\x9b", long="y" * 5_000, big=2**70, lone="\ud800")
    written = stream.getvalue()
    assert written.count("\n") == 1
    assert "\x1b" not in written
    assert "\x9b" not in written
    assert "y" * 1_001 not in written
    assert "… (5000 characters)" in written
    assert "1180591620717411303424" in written


def test_bytes_are_never_written() -> None:
    """An event's body that strays into a log call is replaced by its size."""
    stream = io.StringIO()
    log.setup(stream=stream)
    structlog.get_logger().info("x", raw=b"secret body", view=memoryview(b"abc"))
    assert lines(stream)[0]["raw"] == "<11 bytes>"
    assert lines(stream)[0]["view"] == "<3 bytes>"


def test_secrets_are_hidden_wherever_they_turn_up() -> None:
    """A secret in a message, a value, a traceback or a library's line is replaced."""
    stream = io.StringIO()
    log.setup(hide=["canary-1", "canary-1-longer", "x"], stream=stream)
    logger = structlog.get_logger()
    logger.info("token canary-1 x", deep={"a": ["canary-1-longer"]})
    try:
        _fail()
    except ValueError:
        logger.exception("failed")
    logging.getLogger("urllib3").error("canary-1")
    assert "canary" not in stream.getvalue()
    assert lines(stream)[0]["deep"] == "{'a': ['***']}"
    assert "ValueError: refused ***" in lines(stream)[1]["exception"]
    assert lines(stream)[1]["level"] == "error"


def _fail() -> None:
    raise ValueError("refused canary-1")


def test_libraries_debug_lines_are_blocked() -> None:
    """Even at debug level, the AWS and HTTP libraries' debug lines (headers, bodies) are not written."""
    stream = io.StringIO()
    log.setup("debug", stream=stream)
    for name in (*log.TALKATIVE, "botocore.endpoint", "urllib3.connectionpool"):
        logging.getLogger(name).debug("Authorization: x")
        logging.getLogger(name).info("Authorization: x")
    logging.getLogger("botocore").warning("throttled %d times", 3)
    assert [(line["event"], line["logger"]) for line in lines(stream)] == [("throttled 3 times", "botocore")]


def test_python_warnings_become_log_lines() -> None:
    """A library's warning is a log line like any other."""
    stream = io.StringIO()
    log.setup(stream=stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("unverified", stacklevel=1)
    assert lines(stream)[0]["logger"] == "py.warnings"


def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    """A full disk or a closed pipe under the log does not end the program."""

    class Full(io.StringIO):
        def write(self, _text: str, /) -> int:
            raise OSError(28, "No space left on device")

    log.setup(stream=Full())
    structlog.get_logger().info("still here")
