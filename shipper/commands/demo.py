"""`shipper demo`: the whole road on embedded parts, with made-up logs."""

from __future__ import annotations

import click

from shipper.commands import FAILED, quiet_log

_NEEDED = {"flask", "flask_cors", "moto", "mmdb_writer", "netaddr"}


@click.command()
@click.option("--elasticsearch", metavar="URL", help="Ship to this Elasticsearch too.")
@click.option("--splunk", metavar="URL", help="Ship to this Splunk HEC too.")
@click.option("--token", metavar="T", envvar="SHIPPER_DEMO_TOKEN", help="Splunk HEC token.")
@click.option("--keep", is_flag=True, help="Keep the files that were made.")
def demo(elasticsearch: str | None, splunk: str | None, token: str | None, *, keep: bool) -> int:
    """Show the main road at work: a small organisation's logs, an incident in them, and what arrives."""
    if splunk and not token:
        raise click.UsageError("--splunk needs --token")
    quiet_log()
    from shipper.demo import run

    try:
        return run(elasticsearch=elasticsearch, splunk=splunk, token=token, keep=keep)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        click.echo(f"the demo needs {error.name}: pip install --require-hashes -r requirements/demo.txt", err=True)
        return FAILED
