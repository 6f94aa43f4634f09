"""Reads lists of indicators: one a line, CSV with a header, or a STIX 2.1 bundle."""

from __future__ import annotations

import csv
import re
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shipper.enrich.indicator_tables import packed_address
from shipper.errors import ConfigError

Kind = Literal["auto", "address", "domain", "user_agent"]
Form = Literal["auto", "plain", "csv", "stix"]

_MOST_LINE_BYTES = 65_536
_MOST_TEXT = 512
# What feeds call the columns.
_VALUES = (
    *("indicator", "value", "ioc", "ioc_value", "ip", "ip_address", "ipaddress", "address", "dst_ip", "src_ip", "cidr"),
    *("network", "subnet", "range", "domain", "hostname", "host", "fqdn", "user_agent", "useragent", "agent"),
)
_TYPES = ("type", "indicator_type", "ioc_type", "kind")
_DETAILS = {
    "description": ("description", "comment", "threat", "malware", "malware_printable", "category", "tags"),
    "id": ("id", "uuid", "indicator_id"),
    "confidence": ("confidence", "confidence_level"),
    "reference": ("reference", "url", "link", "source_url"),
}
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(
        ("ip", "ipv4", "ipv6", "ip:port", "cidr", "address", "ipv4-addr", "ipv6-addr", "ip-dst"), "address"
    ),
    **dict.fromkeys(("domain", "domain-name", "hostname", "fqdn", "host"), "domain"),
    **dict.fromkeys(("user_agent", "user-agent", "useragent", "user agent"), "user_agent"),
}
_DOMAIN = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_HOSTS = re.compile(r"(?:0\.0\.0\.0|127\.0\.0\.1|::1?)\s+(\S+)")


@dataclass(frozen=True, slots=True)
class Source:
    """One list, as it is configured.

    Attributes:
        provider: who says so.
        kind: what its values are; `auto` tells addresses, networks and domains apart.
        form: how the file is written; `auto` goes by the name's end.
        column: of CSV, where its name is none of the usual.
    """

    path: Path
    provider: str
    kind: Kind = "auto"
    form: Form = "auto"
    column: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One indicator as a file has it.

    Attributes:
        kind: what `value` is.
        value: in the form in which it is looked for: an address or `address/length`, a domain, or a user agent.
        details: by the names of `model.Indicator`.
    """

    kind: Literal["address", "domain", "user_agent"]
    value: str
    details: tuple[tuple[str, str], ...] = ()


def entries(source: Source) -> Iterator[Entry | None]:
    """Yield a list's indicators; None for each that is of no kind that is looked for.

    Raises:
        ConfigError: the file cannot be read, or is not written as it should be.
    """
    form = source.form if source.form != "auto" else _form(source.path)
    try:
        if form == "stix":
            from shipper.enrich.indicator_stix import stix_entries

            yield from stix_entries(source.path)
        elif form == "csv":
            yield from _csv_entries(source)
        else:
            yield from _plain_entries(source)
    except OSError as error:
        raise ConfigError(f"{source.path}: {error.strerror or error}", "name a file that this user can read") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{source.path}: not a list of indicators: {error}", "download the list again") from error


def classified(value: str, kind: Kind) -> Entry | None:
    """An indicator from its text; None where it is none of this kind."""
    value = value.strip().replace("[.]", ".")  # as analysts write addresses that nobody shall click on
    if not value or len(value) > _MOST_TEXT:
        return None
    if kind == "user_agent":
        return Entry("user_agent", value.lower())
    if kind != "domain" and (network := _network(value)) is not None:
        return Entry("address", network)
    if kind == "address":
        return None
    name = value.lower().removeprefix("*.").strip(".")
    return Entry("domain", name) if len(name) <= 253 and _DOMAIN.fullmatch(name) else None


def _network(value: str) -> str | None:
    address, slash, length = value.partition("/")
    packed = packed_address(address)
    if packed is None:
        host, colon, port = value.rpartition(":")  # 203.0.113.9:443, as some feeds write
        return host if colon and port.isdecimal() and "." in host and packed_address(host) is not None else None
    if not slash:
        return address
    return value if length.isdecimal() and len(length) <= 3 and int(length) <= 8 * len(packed) else None


def _form(path: Path) -> Form:
    return {".csv": "csv", ".json": "stix", ".stix": "stix"}.get(path.suffix.lower(), "plain")  # type: ignore[return-value]


def _lines(path: Path) -> Generator[str, None, None]:
    """Lines without comments and empty ones."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        while line := file.readline(_MOST_LINE_BYTES):
            text = line.strip()
            if text and text[0] not in "#;":
                yield text


def _plain_entries(source: Source) -> Iterator[Entry | None]:
    for line in _lines(source.path):
        text = line
        if source.kind != "user_agent":
            if hosts := _HOSTS.match(text):
                text = hosts[1]
            text = text.split(maxsplit=1)[0].rstrip(",;")  # what follows is a comment
        yield classified(text, source.kind)


def _csv_entries(source: Source) -> Iterator[Entry | None]:
    with closing(_lines(source.path)) as lines:
        yield from _rows(source, csv.reader(lines, skipinitialspace=True))


def _rows(source: Source, rows: Iterator[list[str]]) -> Iterator[Entry | None]:
    header = [name.strip().lower() for name in next(rows, [])]
    names = (source.column.lower(),) if source.column else _VALUES
    value = _first(header, names)
    if value is None:
        if not header:
            return
        raise ConfigError(
            f"{source.path}: no column is called {' or '.join(names[:4])}: {', '.join(header[:10])}",
            "name the column of the indicators with column",
        )
    typed = _first(header, _TYPES)
    columns = {key: _first(header, names) for key, names in _DETAILS.items()}
    places = [(key, column) for key, column in columns.items() if column is not None and column != value]
    for row in rows:
        kind: Kind | None = source.kind
        if typed is not None and typed < len(row) and source.kind == "auto":
            kind = _KINDS.get(row[typed].strip().lower())
        if kind is None or value >= len(row):
            yield None
            continue
        found = classified(row[value], kind)
        details = tuple((key, row[at].strip()[:_MOST_TEXT]) for key, at in places if at < len(row) and row[at].strip())
        yield Entry(found.kind, found.value, details) if found and details else found


def _first(header: list[str], names: tuple[str, ...]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)
