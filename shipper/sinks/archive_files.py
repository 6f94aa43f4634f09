"""An archive's folders and files, opened name by name: below the archive's own folder no link is followed.

Who can write in an archive can put a link anywhere in it, at any time. So every name is opened relative to the open
folder that holds it, and a link in its place is an error (writing) or is left out with a warning (reading).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import structlog

log = structlog.get_logger(__name__)

_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_BELOW = _ROOT | os.O_NOFOLLOW
# O_NONBLOCK: a named pipe in a file's place must not hold the process for ever
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def make_root(folder: Path) -> None:
    """Make a folder and those above it, each durable: a file is lost with the folder that a power cut takes away."""
    if not folder.is_dir():
        make_root(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        with opened_folder(folder.parent) as parent:
            os.fsync(parent)


@contextmanager
def opened_folder(root: Path, *names: str, make: bool = False) -> Iterator[int]:
    """Open a folder of the archive, and close it behind the block.

    Args:
        root: the archive's own folder, which may be a link of the operator.
        names: of the folders below it, from the top.
        make: make those that are missing, durably.

    Raises:
        OSError: it cannot be opened, or one of the names is a link.
    """
    folder = os.open(root, _ROOT)
    try:
        for name in names:
            inner = _below(folder, name, make=make)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def day_folders(root: Path) -> Iterator[tuple[str, int]]:
    """Yield each folder of a dataset and day, sorted, as its path below the root and an open descriptor.

    The descriptor is closed when the next one is asked for. Nothing where there is no archive yet.
    """
    if not root.is_dir():
        return
    with opened_folder(root) as top:
        for dataset in _folders(top, "dataset="):
            with _opened(top, dataset) as days:
                for day in _folders(days, "date="):
                    with _opened(days, day) as folder:
                        yield f"{dataset}/{day}", folder


def names_in(folder: int) -> list[str]:
    """Return the names of all that is in an open folder."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def open_file(name: str, folder: int) -> BinaryIO | None:
    """Open a file of an open folder for reading; None if it is not there, or is a link or anything but a file."""
    try:
        handle = os.open(name, _READ, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        _left_out(name)
        return None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        _left_out(name)
        return None
    return os.fdopen(handle, "rb")


def same_file(one: os.stat_result, other: os.stat_result) -> bool:
    """Return whether both are of one regular file that has no other name."""
    regular = stat.S_ISREG(other.st_mode) and other.st_nlink == 1
    return regular and (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


@contextmanager
def _opened(folder: int, name: str) -> Iterator[int]:
    handle = os.open(name, _BELOW, dir_fd=folder)
    try:
        yield handle
    finally:
        os.close(handle)


def _folders(folder: int, prefix: str) -> list[str]:
    """List the folders within an open one whose names begin so."""
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(prefix):
                continue
            if entry.is_dir(follow_symlinks=False):
                names.append(entry.name)
            elif entry.is_symlink():
                _left_out(entry.name)
    return sorted(names)


def _below(folder: int, name: str, *, make: bool) -> int:
    if make:
        try:
            os.mkdir(name, 0o700, dir_fd=folder)
        except FileExistsError:
            pass
        else:
            os.fsync(folder)
    try:
        return os.open(name, _BELOW, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and _is_link(name, folder):
            words = f"{name} is a link, and links within an archive are not followed: put a folder or a mount there"
            raise OSError(errno.ELOOP, words) from error
        raise


def _is_link(name: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _left_out(name: str) -> None:
    log.warning("left out of the archive, because it is a link or no file", name=name)
