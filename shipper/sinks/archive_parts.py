"""Files of an archive on their way: written beside their place, and removed at a start if their writer is gone."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
from pathlib import Path
from typing import IO

import zstandard

from shipper.safe_files import NEW, names_in, opened_folder, same_file
from shipper.sinks.archive_files import day_folders

_LEVEL = 3
_PART = re.compile(r"(?:\.([0-9a-f]{16}))?\.part\Z")
_LOCK = re.compile(r"\.shipper-([0-9a-f]{16})\.lock\Z")
_MORE = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Writer:
    """One writer of an archive: its files on their way have its name, and it holds a lock as long as it lives.

    The kernel lets go of the lock when the process dies, however it dies. So another process can tell what a crash has
    left from what is still being written.

    Attributes:
        name: 16 hexadecimal digits.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        while True:
            self.name = secrets.token_hex(8)
            with opened_folder(root) as folder:
                self._lock = os.open(_lock_name(self.name), NEW, 0o600, dir_fd=folder)
                with contextlib.suppress(OSError):  # a file system without locks: others then remove nothing
                    fcntl.flock(self._lock, fcntl.LOCK_EX)
                if _is_there(_lock_name(self.name), self._lock, folder):
                    return
                os.close(self._lock)  # another process took the file for a dead writer's before it was locked

    def close(self) -> None:
        """Remove the lock. Harmless when done twice."""
        if self._lock >= 0:
            with contextlib.suppress(OSError), opened_folder(self._root) as folder:
                os.unlink(_lock_name(self.name), dir_fd=folder)
            os.close(self._lock)
            self._lock = -1


def remove_leftovers(root: Path) -> None:
    """Remove the files on their way whose writer is gone, and the locks of such writers.

    Raises:
        OSError: the archive cannot be read or written.
    """
    with opened_folder(root) as top:
        for _, folder in day_folders(root):
            for name in names_in(folder):
                part = _PART.search(name)
                # Asked after the file was seen: its writer made the lock before the file.
                if part and not (part[1] and _is_alive(part[1], top)):
                    with contextlib.suppress(FileNotFoundError, IsADirectoryError, PermissionError):
                        os.unlink(name, dir_fd=folder)
        for name in names_in(top):
            if lock := _LOCK.match(name):
                _is_alive(lock[1], top)


class Part:
    """A file on its way: written under another name beside its place.

    Args:
        root: the archive's own folder.
        place: the names of the folders below it.
        writer: the name of the writer.
    """

    def __init__(self, root: Path, place: tuple[str, str], name: str, writer: str) -> None:
        self.place = place
        self._root = root
        self._name = name
        self._temporary = f"{name}.{writer}.part"
        self._file: IO[bytes] | None = None
        self._stream: zstandard.ZstdCompressionWriter | None = None
        self._status: os.stat_result | None = None

    def write(self, data: bytes) -> None:
        """Append to the file."""
        if self._stream is None:
            self._file = os.fdopen(self._opened(), "wb")
            self._stream = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).stream_writer(
                self._file, closefd=False
            )
        self._stream.write(data)

    def rest(self) -> None:
        """Close the file for now: its frame ends, and is on the disk."""
        if self._stream is not None and self._file is not None:
            self._stream.close()  # type: ignore[no-untyped-call]  # zstandard's stub leaves it out
            self._file.flush()
            os.fsync(self._file.fileno())
            self._status = os.fstat(self._file.fileno())
            self._file.close()
            self._file = self._stream = None

    def complete(self) -> None:
        """Close the file and give it its name."""
        self.rest()
        with opened_folder(self._root, *self.place) as folder:
            self._check(os.stat(self._temporary, dir_fd=folder, follow_symlinks=False))
            os.rename(self._temporary, self._name, src_dir_fd=folder, dst_dir_fd=folder)

    def discard(self) -> None:
        """Remove what was written."""
        try:
            if self._file is not None:
                self._file.close()  # on a full disk this fails too, where something is still to be written
        finally:
            self._file = self._stream = None
            with contextlib.suppress(FileNotFoundError), opened_folder(self._root, *self.place) as folder:
                os.unlink(self._temporary, dir_fd=folder)

    def _opened(self) -> int:
        """Open the file: the first time a new one, and later that very one."""
        with opened_folder(self._root, *self.place, make=self._status is None) as folder:
            if self._status is None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._temporary, dir_fd=folder)
                handle = os.open(self._temporary, NEW, 0o600, dir_fd=folder)
                self._status = os.fstat(handle)
                return handle
            handle = os.open(self._temporary, _MORE, dir_fd=folder)
        try:
            self._check(os.fstat(handle))
        except OSError:
            os.close(handle)
            raise
        return handle

    def _check(self, status: os.stat_result) -> None:
        known = self._status
        # The time of the last change too: a new file may get the number of one that was removed.
        if known is None or not same_file(known, status) or status.st_ctime_ns != known.st_ctime_ns:
            raise FileExistsError(None, f"{self._temporary} was replaced by another process")


def _lock_name(writer: str) -> str:
    return f".shipper-{writer}.lock"


def _is_there(name: str, handle: int, folder: int) -> bool:
    try:
        return same_file(os.fstat(handle), os.stat(name, dir_fd=folder, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _is_alive(writer: str, folder: int) -> bool:
    """Return whether a writer may still live; the lock of one that is gone is removed."""
    try:
        handle = os.open(_lock_name(writer), os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # another user's, or no lock of ours: what cannot be told stays
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(_lock_name(writer), dir_fd=folder)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
