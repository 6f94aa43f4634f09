"""AWS for the demo: moto's server in this process, and credentials that only it takes."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from moto.server import ThreadedMotoServer

_OURS = {
    "AWS_ACCESS_KEY_ID": "demo",
    "AWS_SECRET_ACCESS_KEY": "demo",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}


@contextmanager
def emulated_aws() -> Iterator[str]:
    """Run an AWS emulator on a free port of this machine, and yield its URL.

    No AWS setting of the environment is in force meanwhile: nothing can reach the real one.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    theirs = {name: os.environ.get(name) for name in {*_OURS, *(n for n in os.environ if n.startswith("AWS_"))}}
    for name in theirs:
        os.environ.pop(name, None)
    os.environ.update(_OURS)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()
        for name, value in theirs.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
