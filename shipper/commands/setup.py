"""`shipper setup`: prepares the servers that logs go to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol, cast

import click

from shipper.commands import DONE, FAILED, config_option, quiet_log
from shipper.errors import RetryableError
from shipper.escaping import printable


class _Installs(Protocol):
    def install_templates(self) -> list[str]: ...

    def role(self) -> dict[str, Any]: ...

    def setup_role(self) -> dict[str, Any]: ...

    def close(self) -> None: ...


@click.group()
def setup() -> None:
    """Prepare the servers that logs go to."""


@setup.command()
@config_option()
@click.option("--sink", "only", help="Name of one Elasticsearch sink; all of them when not given.")
@click.option("--show-role", is_flag=True, help="Print the privileges that the credentials need; contact nothing.")
def elasticsearch(file: Path, only: str | None, *, show_role: bool) -> int:
    """Install index templates, component templates and lifecycle policies for the data streams."""
    from shipper import build, config
    from shipper.metrics import Metrics

    quiet_log()
    settings = config.load(file, secrets=not show_role)
    chosen = {
        name: sink for name, sink in settings.sinks.items() if sink.type == "elasticsearch" and only in (None, name)
    }
    if not chosen:
        raise click.UsageError(f"{file} has no Elasticsearch sink" + (f" called '{only}'" if only else ""))
    code = DONE
    for name, sink in build.sinks(settings.model_copy(update={"sinks": chosen}), Metrics()).items():
        if show_role:
            _show_role(name, cast("_Installs", sink))
        elif not _install(name, cast("_Installs", sink)):
            code = FAILED
    return code


@setup.command()
@config_option()
@click.option("--sink", "only", help="Name of one Splunk sink; all of them together when not given.")
@click.option(
    "--to",
    "folder",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    help="Where the app's folder is written, such as /opt/splunk/etc/apps; the current folder when not given.",
)
def splunk(file: Path, only: str | None, folder: Path) -> int:
    """Write an app for Splunk's search heads: a macro that leaves doubles out, searches and a dashboard."""
    from shipper import config
    from shipper.sinks.splunk_app import write_app

    settings = config.load(file, secrets=False)
    chosen = [sink for name, sink in settings.sinks.items() if sink.type == "splunk_hec" and only in (None, name)]
    if not chosen:
        raise click.UsageError(f"{file} has no Splunk sink" + (f" called '{only}'" if only else ""))
    indexes = sorted({index for sink in chosen for index in (sink.index, *sink.indexes.values()) if index})
    # a token's own index is known to Splunk alone: the searches then look everywhere
    known = indexes if all(sink.index for sink in chosen) else []
    sourcetypes = {str(name): value for sink in chosen for name, value in sink.sourcetypes.items()}
    for path in write_app(folder, known, sourcetypes):
        click.echo(printable(str(path)))
    return DONE


def _show_role(name: str, sink: _Installs) -> None:
    parts = (("delivers", "shipper-writer", sink.role()), ("sets up, once", "shipper-setup", sink.setup_role()))
    sink.close()
    for purpose, role, body in parts:
        click.echo(f"# {name}: the role of the key that {purpose}\nPUT /_security/role/{role}")
        click.echo(json.dumps(body, indent=2))


def _install(name: str, sink: _Installs) -> bool:
    try:
        lines = sink.install_templates()
    except (RetryableError, PermissionError) as error:
        click.echo(f"{name}: {printable(str(error))}", err=True)
        return False
    finally:
        sink.close()
    for line in lines or ["everything is there already"]:
        click.echo(f"{name}: {printable(line)}")
    return True
