"""`shipper version`, `shipper completion` and `shipper config-schema`: what the program says of itself."""

from __future__ import annotations

import platform
from typing import Any

import click

from shipper import __version__
from shipper.commands import DONE


@click.command()
def version() -> int:
    """Print the version, and whether the native module is in use."""
    from shipper import native

    core = "native module" if native.CloudTrailEncoder is not None else "without native module"
    python = f"Python {platform.python_version()}"
    click.echo(f"shipper {__version__} ({python}, {platform.system()} {platform.machine()}, {core})")
    return DONE


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print the completion script of a shell.

    For bash: shipper completion bash > ~/.local/share/bash-completion/completions/shipper
    """
    from click.shell_completion import get_completion_class

    found: Any = get_completion_class(shell)
    click.echo(found(ctx.find_root().command, {}, "shipper", "_SHIPPER_COMPLETE").source())
    return DONE


@click.command("config-schema", hidden=True)
def config_schema() -> int:
    """Print the JSON Schema of the configuration."""
    from shipper.config import schema_text

    click.echo(schema_text(), nl=False)
    return DONE
