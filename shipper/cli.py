"""The command line: finds the command, and turns its end into an exit code. The only sys.exit of the program."""

from __future__ import annotations

import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from shipper import __version__
from shipper.core_dumps import forbid_core_dumps
from shipper.errors import ConfigError, FatalError, RetryableError, Stopped
from shipper.escaping import printable

OK = 0
FAILED = 1
USAGE = 2
CONFIGURATION = 78  # EX_CONFIG of sysexits.h: systemd's RestartPreventExitStatus= can tell it from a crash
INTERRUPTED = 130

_COMMANDS = {
    "run": "shipper.commands.run",
    "backfill": "shipper.commands.backfill",
    "check": "shipper.commands.check",
    "decode": "shipper.commands.decode",
    "checkpoints": "shipper.commands.checkpoints",
    "deadletters": "shipper.commands.dead_letters",
    "dead-letters": "shipper.commands.dead_letters",
    "trace": "shipper.commands.trace",
    "audit": "shipper.commands.audit",
    "setup": "shipper.commands.setup",
    "iam-policy": "shipper.commands.iam_policy",
    "demo": "shipper.commands.demo",
    "version": "shipper.commands.about",
    "completion": "shipper.commands.about",
    "config-schema": "shipper.commands.about",
}


_NAMES = {
    "dead-letters": "dead_letters",
    "deadletters": "dead_letters",
    "config-schema": "config_schema",
    "iam-policy": "iam_policy",
}


class _Commands(click.Group):
    """Imports a command's module only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(_COMMANDS[cmd_name]), _NAMES.get(cmd_name, cmd_name))
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="shipper")
@click.pass_context
def shipper(ctx: click.Context) -> None:
    """Ship AWS logs to Elasticsearch, Splunk or an archive, without losing any.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 78 wrong configuration.
    """
    if os.environ.get("NO_COLOR"):  # https://no-color.org
        ctx.color = False


def main() -> NoReturn:
    """The console script."""
    forbid_core_dumps()
    code = run()
    gc.freeze()  # a last look for garbage takes a seventh of a second, and the system has the memory back anyway
    sys.exit(code)


def run(args: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        args: what stands after the program's name; the process's own arguments by default.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = shipper.main(args=args, prog_name="shipper", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("aborted", err=True)
        return INTERRUPTED
    except ConfigError as error:
        _complain(str(error), error.hint)
        return CONFIGURATION
    except FatalError as error:
        _complain(str(error), error.hint)
        return FAILED
    except RetryableError as error:
        _complain(str(error), error.hint)
        return FAILED
    except Stopped:
        return OK
    except Exception:  # noqa: BLE001 - a bug: into the log, which hides secrets
        _log_bug()
        return FAILED
    return code if isinstance(code, int) else OK


def _complain(message: str, hint: str) -> None:
    color = False if os.environ.get("NO_COLOR") else None
    for line in message.splitlines():
        click.echo(printable(line), err=True)
    if hint:
        click.echo(click.style("hint: ", fg="cyan") + printable(hint), err=True, color=color)


def _log_bug() -> None:
    import structlog

    from shipper import log

    if not structlog.is_configured():
        log.setup()
    structlog.get_logger("shipper").exception("this is a bug: please report it with these lines")
