"""Folders and files that others may tamper with, opened name by name: below a root no link is followed.

Who can write in a folder can put a link anywhere in it, at any time. So every name is opened relative to the open
folder that holds it, and a link in its place is an error (writing) or is left out with a warning (reading).
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import structlog

from shipper.errors import ConfigError

log = structlog.get_logger(__name__)

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a file is made that must not be there yet."""
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
def opened_folder(root: Path, *names: str, make: bool = False, mode: int = 0o700) -> Iterator[int]:
    """Open a folder, and close it behind the block.

    Args:
        root: the folder that the operator names, which may be a link.
        names: of the folders below it, from the top.
        make: make those that are missing, durably.
        mode: of those that are made.

    Raises:
        OSError: it cannot be opened, or one of the names is a link.
    """
    folder = os.open(root, _ROOT)
    try:
        for name in names:
            inner = _below(folder, name, mode if make else None)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def write_file(name: str, folder: int, content: bytes, mode: int = 0o600) -> None:
    """Write a file of an open folder whole or not at all; a link under its name is replaced, never followed."""
    beside = f".{name}.{secrets.token_hex(8)}.part"
    handle = os.open(beside, NEW, mode, dir_fd=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        os.unlink(beside, dir_fd=folder)
        raise


def make_private(path: Path) -> None:
    """Make a file for its owner alone where it is missing; SQLite gives its side files the mode of the main one.

    Raises:
        OSError: it is a link, or cannot be written.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))


def refuse_shared(folder: Path) -> None:
    """Refuse a state folder that other users can write in: they could make this process write where they like.

    Raises:
        ConfigError: its mode lets them, or it is another user's.
    """
    status = folder.stat()
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        mode = stat.S_IMODE(status.st_mode)
        raise ConfigError(
            f"the state folder {folder} can be written by others than its owner (mode {mode:04o})",
            f"chmod go-w {folder}",
        )
    if status.st_uid not in (0, os.geteuid()) and os.geteuid() != 0:
        raise ConfigError(
            f"the state folder {folder} belongs to another user (uid {status.st_uid})",
            "give it to the user that runs shipper, or set state.path",
        )


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
        left_out(name)
        return None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        left_out(name)
        return None
    return os.fdopen(handle, "rb")


def same_file(one: os.stat_result, other: os.stat_result) -> bool:
    """Return whether both are of one regular file that has no other name."""
    regular = stat.S_ISREG(other.st_mode) and other.st_nlink == 1
    return regular and (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


@contextmanager
def opened_inner(folder: int, name: str) -> Iterator[int]:
    """Open a folder within an open one, and close it behind the block; a link is an error."""
    handle = os.open(name, _BELOW, dir_fd=folder)
    try:
        yield handle
    finally:
        os.close(handle)


def _below(folder: int, name: str, mode: int | None) -> int:
    if mode is not None:
        try:
            os.mkdir(name, mode, dir_fd=folder)
        except FileExistsError:
            pass
        else:
            os.fsync(folder)
    try:
        return os.open(name, _BELOW, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and _is_link(name, folder):
            words = f"{name} is a link, and links are not followed here: put a folder or a mount there"
            raise OSError(errno.ELOOP, words) from error
        raise


def _is_link(name: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def left_out(name: str) -> None:
    """Log that a name was passed over."""
    log.warning("left out, because it is a link or no file", name=name)
