"""`shipper iam-policy`: prints the permissions in AWS that a configuration needs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from shipper.commands import DONE, config_option, known_source, start

# https://docs.aws.amazon.com/kms/latest/developerguide/concepts-intro.html (key ARN)
_KEY_ARN = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+")


@click.command("iam-policy")
@config_option()
@click.option(
    "--identity", metavar="WHO", help="Only this one's policy, ready for IAM: own, or as the output names it."
)
@click.option("--kms-key", "kms_keys", metavar="ARN", multiple=True, help="A KMS key that encrypts the logs.")
@click.option("--to-queue", "queue_url", metavar="URL", help="Allow `backfill --to-queue URL`, too.")
@click.option("--source", metavar="NAME", help="The source of that backfill; all of S3 when not given.")
def iam_policy(
    file: Path, identity: str | None, kms_keys: tuple[str, ...], queue_url: str | None, source: str | None
) -> int:
    """Print the least permissions in AWS that a configuration needs, as JSON.

    One policy for each identity: `own` is what the daemon runs as, the others are the roles that it assumes. Contacts
    nothing.
    """
    for key in kms_keys:
        if not _KEY_ARN.fullmatch(key):
            raise click.BadParameter("must be a key's ARN, as aliases cannot be allowed", param_hint="--kms-key")
    if source is not None and queue_url is None:
        raise click.UsageError("--source is the source of a backfill onto a queue: it needs --to-queue beside it")
    settings = start(file, secrets=False)
    from shipper.build.iam_policy import policies
    from shipper.commands.backfill import check_url

    if queue_url is not None:
        check_url(queue_url)
    if source is not None:
        known_source(settings, source)
    found = policies(settings, kms_keys=kms_keys, queue_url=queue_url, source=source)
    if identity is not None and identity not in found:
        raise click.BadParameter(f"must be one of {', '.join(found)}", param_hint="--identity")
    click.echo(json.dumps(found if identity is None else found[identity], indent=2))
    if not kms_keys:
        click.echo("where logs or queues are encrypted with KMS keys of your own, name them with --kms-key", err=True)
    return DONE
