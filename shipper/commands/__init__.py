"""The commands, one a file; each returns its exit code, and imports what is heavy only when it runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from shipper.config import Settings

DONE = 0
FAILED = 1

_DEFAULT_FILE = "/etc/shipper/shipper.yaml"


def config_option(*, required: bool = True) -> Callable[[Any], Any]:
    """The option `-c FILE`; where it is required, `$SHIPPER_CONFIG` and the usual place stand in for it."""
    return click.option(
        "-c",
        "--config",
        "file",
        metavar="FILE",
        type=click.Path(path_type=Path),
        envvar="SHIPPER_CONFIG" if required else None,
        default=_DEFAULT_FILE if required else None,
        show_default=required,
        show_envvar=required,
        help="Configuration file.",
    )


def start(file: Path, *, secrets: bool = True) -> Settings:
    """Load the configuration and set the log up as it says.

    Raises:
        ConfigError: the configuration has mistakes.
    """
    from shipper import config, log

    settings = config.load(file, secrets=secrets)
    log.setup(settings.log.level, settings.log.format, hide=settings.secret_values())
    return settings


def known_source(settings: Settings, name: str) -> None:
    """Refuse the name of a source that the configuration does not have.

    Raises:
        click.BadParameter: it has no such source.
    """
    if name not in settings.sources:
        words = f"no source is called '{name}'; known: {', '.join(settings.sources)}"
        raise click.BadParameter(words, param_hint="--source")


def quiet_log() -> None:
    """For commands that tell people themselves what went wrong: libraries' warnings would only say it twice."""
    from shipper import log

    log.setup("error", "text")


def private_files() -> None:
    """From now on, what this process creates is for its own user only."""
    os.umask(0o077)
