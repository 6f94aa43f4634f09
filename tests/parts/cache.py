"""Where the real servers that tests run are kept between runs, and how processes share that place."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder, made if needed: `SHIPPER_TEST_CACHE`, or one outside the tree.

    Root gets `/var/tmp/shipper-tests`, because servers that refuse to run as root (Elasticsearch) run as another user
    then, who cannot look into /root; everyone else gets `~/.cache/shipper-tests`.
    """
    named = os.environ.get("SHIPPER_TEST_CACHE")
    if named:
        folder = Path(named).expanduser().resolve()
    elif os.geteuid() == 0:
        folder = Path("/var/tmp/shipper-tests")
    else:
        folder = Path.home() / ".cache" / "shipper-tests"
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold one of the cache's locks, so that two test runs do not download the same thing at once."""
    with (cache_folder() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def kept(name: str, version: str, make: Callable[[Path], Path]) -> Path:
    """Return what the cache holds under a name and version; made first where it is not there, whole or not at all.

    Args:
        make: given an empty folder, makes the thing in it and returns its path: the folder, or a file in it.
    """
    home = cache_folder() / f"{name}-{version}"
    with locked(name):
        if not home.exists():
            folder = Path(tempfile.mkdtemp(prefix="unpack-", dir=cache_folder()))
            folder.chmod(0o755)
            try:
                make(folder).rename(home)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    return home
