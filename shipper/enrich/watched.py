"""Files that may be replaced while they are used: a new one is taken whole, a broken one leaves the old in use."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from shipper.errors import ConfigError

Content = TypeVar("Content")

log = structlog.get_logger(__name__)


class Watched(Generic[Content]):
    """What some files say, and say anew after they were replaced. Safe to use from many threads.

    Args:
        read: reads them all; called at once, and after each change.
        what: what they are, for the log, such as `GeoIP databases`.
        look_seconds: how often the files are looked at.
        told: told whether a replaced file could be read.
        describe: what the log says of new content.

    Attributes:
        version: another number after each replacement.

    Raises:
        ConfigError: from `read`, at the start only.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        read: Callable[[], Content],
        what: str,
        *,
        look_seconds: float = 30.0,
        told: Callable[[bool], None] = lambda _: None,
        describe: Callable[[Content], object] = lambda _: None,
    ) -> None:
        self._paths = tuple(paths)
        self._read = read
        self._what = what
        self._look_seconds = look_seconds
        self._told = told
        self._describe = describe
        self._mutex = threading.Lock()
        self._seen = self._stamps()
        self._content = read()
        self.version = 0
        self._look_at = time.monotonic() + look_seconds

    def now(self) -> Content:
        """What the files say, as far as it is known; looks at them where it is time. Never raises."""
        if time.monotonic() > self._look_at:
            self._look()
        return self._content

    def _look(self) -> None:
        """Read files that were replaced; one thread does, the others go on with what is known."""
        if not self._mutex.acquire(blocking=False):
            return
        try:
            self._look_at = time.monotonic() + self._look_seconds
            stamps = self._stamps()
            if stamps == self._seen:
                return
            self._seen = stamps
            try:
                content = self._read()
            except ConfigError as error:
                why = {"what": self._what, "why": str(error), "hint": error.hint}
                log.error("a file cannot be read, the old ones stay in use", **why)  # noqa: TRY400 - no traceback wanted
                self._told(False)
            else:
                self._content = content
                self.version += 1
                log.info("files were replaced", what=self._what, now=self._describe(content))
                self._told(True)
        finally:
            self._mutex.release()

    def _stamps(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(path) for path in self._paths)


def read_bounded(path: Path, most_bytes: int, refused: Callable[[Path, str], ConfigError]) -> bytes:
    """A file's bytes.

    Args:
        refused: makes the error of a file that is larger.

    Raises:
        ConfigError: the file cannot be read, or is larger.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror or error}", "name a file that this user can read, or leave the key out"
        ) from error
    if len(data) > most_bytes:
        raise refused(path, f"larger than {most_bytes >> 20} MB")
    return data


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What tells one file of a name from the next."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
