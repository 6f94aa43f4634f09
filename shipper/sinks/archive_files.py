"""The folders of an archive by dataset and day, opened without following a link."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from shipper.safe_files import left_out, opened_folder, opened_inner


def day_folders(root: Path) -> Iterator[tuple[str, int]]:
    """Yield each folder of a dataset and day, sorted, as its path below the root and an open descriptor.

    The descriptor is closed when the next one is asked for. Nothing where there is no archive yet.
    """
    if not root.is_dir():
        return
    with opened_folder(root) as top:
        for dataset in _folders(top, "dataset="):
            with opened_inner(top, dataset) as days:
                for day in _folders(days, "date="):
                    with opened_inner(days, day) as folder:
                        yield f"{dataset}/{day}", folder


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
                left_out(entry.name)
    return sorted(names)
