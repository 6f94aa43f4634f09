"""Where the real servers that tests run are kept between runs, and how processes share that place."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
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
