"""A lock that keeps a second process away from the same state."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from shipper.errors import ConfigError


class StateLock:
    """Holds a lock file until closed; the kernel lets go of it when the process dies, however it dies.

    Args:
        path: the lock file, made where it is missing; it is never removed, which would let two processes lock two
            files of one name.

    Raises:
        ConfigError: another process holds it, or the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}", "make state.path writable") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise ConfigError(
                f"another shipper (process {holder}) uses the state in {path.parent}",
                "stop it first, or give this one a state.path of its own",
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Let go of the lock. Harmless when done twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
