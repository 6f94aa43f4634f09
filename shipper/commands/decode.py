"""`shipper decode`: what would be shipped, one JSON document a line, without shipping."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

import click

from shipper.commands import DONE, FAILED, config_option, quiet_log
from shipper.errors import BadInputError, ConfigError
from shipper.escaping import printable
from shipper.filters import Filtered, read_filter
from shipper.filters.report import FilterReport
from shipper.flow_layouts import layout_from_log_format
from shipper.model import Origin, Payload, ReadLimits, Rejected

if TYPE_CHECKING:
    from shipper.build import LogType
    from shipper.config import Settings
    from shipper.ports import Format, Lookups, Schema

_CHUNK_BYTES = 262_144
_DATABASE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _known_type(_ctx: click.Context, param: click.Parameter, value: str) -> str:
    from shipper.build import LOG_TYPES

    if value not in LOG_TYPES:
        raise click.BadParameter(f"'{value}' is not one of {', '.join(sorted(LOG_TYPES))}", param=param)
    return value


@click.command()
@click.option("--type", "log_type", callback=_known_type, required=True, help="Log type, such as cloudtrail.")
@click.option(
    "--for", "target", type=click.Choice(["ecs", "splunk"]), default="ecs", show_default=True, help="Kind of document."
)
@click.option(
    "--format", "fields", metavar="FIELDS", help="Fields of flow log lines without a header, as in LogFormat."
)
@click.option("--filter", "rule", metavar="RULE", help='Which records are kept, such as drop action == "ACCEPT".')
@click.option("--explain-filter", "explain", is_flag=True, help="Write what the filter keeps and drops, no documents.")
@config_option(required=False)
@click.option("--geoip-city", type=_DATABASE, metavar="FILE", help="City database (.mmdb).")
@click.option("--geoip-asn", type=_DATABASE, metavar="FILE", help="ASN database (.mmdb).")
@click.argument("paths", nargs=-1, metavar="[PATH…|-]", type=click.Path(path_type=Path, allow_dash=True))
def decode(  # noqa: PLR0917 - click passes them by name
    log_type: str,
    target: str,
    fields: str | None,
    rule: str | None,
    explain: bool,  # noqa: FBT001 - click passes it by name
    file: Path | None,
    geoip_city: Path | None,
    geoip_asn: Path | None,
    paths: tuple[Path, ...],
) -> int:
    """Write what would be shipped, without shipping it.

    Reads files as AWS writes them, compressed or not, every file of a folder, or standard input, and writes one JSON
    document a line, in input order: ECS documents, or complete HEC envelopes. A bad record goes to standard error
    with its position, and the exit code is 1; the good ones still come out. A file that is something else than --type
    says is named with what to do, and nothing of it would be shipped.
    """
    from shipper import build, config
    from shipper.redaction import Redacted

    quiet_log()
    settings = config.load(file, secrets=False) if file else None
    found = build.lookups(_with_databases(settings, geoip_city, geoip_asn))
    chosen = build.LOG_TYPES[log_type]
    schema = (_envelopes if target == "splunk" else _documents)(settings, chosen, found)
    report = _report(rule) if explain else None
    for what, hint in _remarks(rule, log_type, fields):
        click.echo(printable(f"remark: {what}; {hint}"), err=True)
    if report is not None:
        schema = Filtered(schema, report.add)
    elif rule is not None:
        schema = build.filtered({log_type: schema}, rule)[log_type]
    if (redact := build.redactor(settings.redact if settings else config.Redact(), None)) is not None:
        schema = Redacted(schema, redact)
    limits = settings.limits if settings else config.Limits()
    format_ = _format(chosen, ReadLimits(object_bytes=limits.object_bytes, record_bytes=limits.record_bytes), fields)
    try:
        with _output() if report is None else _nowhere() as out:
            code = _decode_all(paths or (Path("-"),), format_, schema, out, log_type)
        for line in report.lines() if report else ():
            click.echo(printable(line))
        return code  # noqa: TRY300 - nothing else happens
    except BrokenPipeError:
        _discard_output()
        return DONE  # who reads it has seen enough
    except OSError as error:
        click.echo(f"standard output: {error.strerror}", err=True)
        return FAILED


def _report(rule: str | None) -> FilterReport:
    if rule is None:
        raise ConfigError("--explain-filter has nothing to explain", "give the rule with --filter")
    return FilterReport(read_filter(rule))


def _remarks(rule: str | None, log_type: str, fields: str | None) -> Iterator[tuple[str, str]]:
    """What is odd about the rule's fields."""
    from shipper.config.field_remarks import remarks_of, types_of

    if rule is not None:
        layout = layout_from_log_format(fields) if fields is not None else ()
        yield from remarks_of(read_filter(rule).names, types_of(log_type, "file"), layout)


def _nowhere() -> BinaryIO:
    return open(os.devnull, "wb")  # noqa: PTH123 - the caller closes it


def _format(chosen: LogType, limits: ReadLimits, fields: str | None) -> Format:
    if fields is None:
        return chosen.format(limits)
    if chosen.laid_out is None:
        raise ConfigError(f"--format says nothing of {chosen.name}", "it names the fields of flow logs: --type vpcflow")
    return chosen.laid_out(limits, layout_from_log_format(fields))


def _decode_all(paths: Iterable[Path], format_: Format, schema: Schema, out: BinaryIO, logs: str) -> int:
    code = DONE
    for path in _files(paths):
        try:
            file: IO[bytes] = sys.stdin.buffer if str(path) == "-" else path.open("rb", buffering=0)
        except OSError as error:
            click.echo(f"{printable(str(path))}: {error.strerror}", err=True)
            code = FAILED
            continue
        with file:
            for complaint in _decode_one(path, file, format_, schema, out, logs=logs):
                out.flush()  # so that a terminal shows it after the records before it
                click.echo(printable(complaint), err=True)
                code = FAILED
    return code


def _decode_one(
    path: Path, file: IO[bytes], format_: Format, schema: Schema, out: BinaryIO, *, logs: str
) -> Iterator[str]:
    """Write one file's documents, and yield a line for each record that is none."""
    name = "standard input" if str(path) == "-" else str(path)
    origin = _origin(path, file)
    encode = schema.encoder(origin)
    write = out.write
    count = unparsed = 0
    try:
        for record in format_.records(Payload(origin, _chunks(file))):
            count += 1
            if isinstance(record, Rejected):
                yield f"{name}: record {record.position}: {record.reason}"
                continue
            try:
                document = encode(record)
            except BadInputError as error:
                yield f"{name}: record {record.position}: {error}"
                continue
            if document is not None:
                write(document.body + b"\n")
                unparsed += document.unparsed
    except BadInputError as error:
        yield f"{name}: {error}"
    else:
        if unparsed * 2 > count:
            yield f"{name}: {_share(count - unparsed, count)} of type {logs}; the rest has the tag unparsed"
        elif unparsed:
            _remark(out, f"{name}: {_share(unparsed, count)} of no known form, with the tag unparsed")
        elif not count:
            _remark(out, f"{name}: no records in it")


def _share(part: int, count: int) -> str:
    return f"{part} of {count} {'line is' if count == 1 else 'lines are'}"


def _remark(out: BinaryIO, text: str) -> None:
    """Say something that is no failure."""
    out.flush()
    click.echo(printable(text), err=True)


def _origin(path: Path, file: IO[bytes]) -> Origin:
    if str(path) == "-":
        return Origin(uri="stdin")
    modified_ms = os.fstat(file.fileno()).st_mtime_ns // 1_000_000
    return Origin(uri=os.path.abspath(path), modified_ms=modified_ms)  # noqa: PTH100 - keeps symbolic links


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while True:
        try:
            chunk = file.read(_CHUNK_BYTES)
        except OSError as error:
            raise BadInputError(error.strerror or str(error)) from error
        if not chunk:
            return
        yield chunk


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(inner for inner in path.rglob("*") if inner.is_file())
        else:
            yield path


def _with_databases(settings: Settings | None, city: Path | None, asn: Path | None) -> Settings:
    """The settings with the databases that were named, or settings made of them alone."""
    from shipper.config import Enrich, Geoip, Settings

    configured = settings.enrich.geoip if settings else Geoip()
    enrich = Enrich(geoip=Geoip(city=city or configured.city, asn=asn or configured.asn))
    return (
        settings.model_copy(update={"enrich": enrich})
        if settings
        else Settings.model_construct(sources={}, sinks={}, enrich=enrich)
    )


def _documents(settings: Settings | None, log_type: LogType, found: Lookups) -> Schema:
    from shipper.build import ecs_schemas

    sinks = settings.sinks.values() if settings else ()
    sink = next((sink for sink in sinks if sink.type == "elasticsearch"), None)
    return ecs_schemas(sink, found)[log_type.name]


def _envelopes(settings: Settings | None, log_type: LogType, found: Lookups) -> Schema:
    from shipper.build import envelope_schemas

    sinks = settings.sinks.values() if settings else ()
    sink = next((sink for sink in sinks if sink.type == "splunk_hec"), None)
    return envelope_schemas(sink, found)[log_type.name]


def _output() -> BinaryIO:
    """Standard output as bytes: in large pieces, but at once where a person is looking."""
    size = 0 if sys.stdout.isatty() else _CHUNK_BYTES
    return os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=size)


def _discard_output() -> None:
    """Let nothing that is left to write at exit complain about the closed pipe again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
