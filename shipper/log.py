"""The program's own log: one line an event on standard error, JSON for machines, plain text on a terminal.

Every value is cut to a bound and escaped, bytes are never written (they could be event bodies), and what `setup` was
told to hide is replaced wherever it turns up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Collection, MutableMapping
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor

from shipper.escaping import hide as hide_secrets
from shipper.escaping import printable, without_secrets

MOST_TRACEBACK_CHARACTERS = 10_000
# Their debug messages hold headers with credentials, and bodies.
TALKATIVE = ("boto3", "botocore", "s3transfer", "urllib3", "requests", "elastic_transport", "elasticsearch")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "31"}


def setup(level: str = "info", form: str = "auto", *, hide: Collection[str] = (), stream: TextIO | None = None) -> None:
    """Set the process's log up; may be called again.

    Args:
        level: debug, info, warning or error: the least severity written.
        form: json, text, or auto: text where `stream` is a terminal.
        hide: secrets, replaced by `***` wherever they turn up; see `escaping.hide`.
        stream: where lines go; standard error by default.
    """
    if hide:
        hide_secrets(hide)
    stream = stream or sys.stderr
    terminal = stream.isatty()
    text = form == "text" or (form == "auto" and terminal)
    renderer = _text_renderer(colour=terminal and not os.environ.get("NO_COLOR")) if text else _json_renderer
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _name,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            _bounded,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=_Factory(stream),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Bridge()], level=max(_LEVELS[level], logging.INFO), force=True)
    logging.captureWarnings(capture=True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


class _Factory:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def __call__(self, name: str = "shipper", *_args: Any) -> _Writer:
        return _Writer(name, self._stream, self._lock)


class _Writer:
    """Writes finished lines; a log that cannot be written stops nothing."""

    def __init__(self, name: str, stream: TextIO, lock: threading.Lock) -> None:
        self.name = name
        self._stream = stream
        self._lock = lock

    def write(self, line: str) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = exception = write


class _Bridge(logging.Handler):
    """Brings the libraries' log lines into ours."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        structlog.get_logger(record.name).log(level, message, exc_info=record.exc_info)


def _name(logger: Any, _method: str, event: EventDict) -> EventDict:
    event["logger"] = getattr(logger, "name", "shipper")
    return event


def _bounded(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return {key: _value(value, key) for key, value in event.items()}


def _value(value: Any, key: str) -> Any:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if value.bit_length() < 64 else printable(str(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    text = without_secrets(value if isinstance(value, str) else str(value))
    if key != "exception":
        return printable(text)
    # a traceback's end says what happened
    return "\n".join(map(printable, text[-MOST_TRACEBACK_CHARACTERS:].splitlines()))


def _json_renderer(_logger: Any, _method: str, event: EventDict) -> str:
    return orjson.dumps(_in_order(event)).decode()


def _text_renderer(*, colour: bool) -> Processor:
    def render(_logger: Any, _method: str, event: EventDict) -> str:
        fields = dict(event)
        time, level, words = str(fields.pop("time")), fields.pop("level"), fields.pop("event", "")
        fields.pop("logger")
        traceback = fields.pop("exception", "")
        head = f"\x1b[{_COLOURS.get(level, '0')}m{level:<7}\x1b[0m" if colour else f"{level:<7}"
        rest = "".join(f"  {key}={value}" for key, value in fields.items())
        return f"{time[11:19]} {head} {words}{rest}" + (f"\n{traceback}" if traceback else "")

    return render


def _in_order(event: MutableMapping[str, Any]) -> dict[str, Any]:
    first = {key: event[key] for key in ("time", "level", "event", "logger") if key in event}
    return first | dict(event)
