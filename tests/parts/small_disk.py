"""A disk of a few megabytes that really fills up: a tmpfs in a mount namespace of its own, without root."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class SmallDisk:
    """A file system for processes that `inside` starts.

    Attributes:
        path: where they see it.
        view: the same place for everyone else.
    """

    def __init__(self, path: Path, holder: int) -> None:
        self.path = path
        self.view = Path(f"/proc/{holder}/root{path}")
        # Its user namespace too where the holder has one of its own: mount namespaces belong to them.
        self.inside = ["nsenter", "-t", str(holder), "-U", "-m", "--preserve-credentials"]

    @property
    def free(self) -> int:
        """Bytes left."""
        found = os.statvfs(self.view)
        return found.f_bavail * found.f_bsize

    def fill(self, leave: int = 0) -> None:
        """Take all room but so many bytes."""
        with (self.view / "ballast").open("wb") as file, contextlib.suppress(OSError):
            while (left := self.free - leave) > 0:
                file.write(bytes(min(left, 65_536)))
                file.flush()

    def make_room(self) -> None:
        """Give the room back."""
        (self.view / "ballast").unlink()


@contextlib.contextmanager
def small_disk(path: Path, size: int) -> Iterator[SmallDisk]:
    """Mount one of `size` bytes at a path, for the length of a block."""
    path.mkdir()
    mount = f'mount -t tmpfs -o size={size},mode=0700 tmpfs "$0" && echo mounted && exec sleep 600'
    holder = subprocess.Popen(
        ["unshare", "-rm", "sh", "-c", mount, str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        assert holder.stdout
        said = holder.stdout.readline().decode()
        if said != "mounted\n":
            pytest.skip(f"this kernel lets no user mount a file system of its own: {said}")
        yield SmallDisk(path, holder.pid)
    finally:
        holder.kill()
        holder.communicate()
        shutil.rmtree(path, ignore_errors=True)
