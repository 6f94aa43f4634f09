"""Indicators from a STIX 2.1 bundle: https://docs.oasis-open.org/cti/stix/v2.1/os/stix-v2.1-os.html."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from shipper.enrich.indicator_files import Entry, Kind, classified
from shipper.errors import ConfigError

_MOST_BYTES = 268_435_456
_MOST_TEXT = 512
_MOST_PATTERN = 65_536

_TEXT = r"'((?:[^'\\]|\\.)*)'"
_PATH = r"(ipv4-addr:value|ipv6-addr:value|domain-name:value|[\w-]+:[\w.'\-\[\]*]+)"
_COMPARISON = rf"{_PATH}\s*(=|ISSUBSET|IN|LIKE|MATCHES)\s*(?:{_TEXT}|\(((?:\s*{_TEXT}\s*,?)+)\))"
_ONE = re.compile(_COMPARISON)
# Alternatives only: with AND, or one thing after another, no single value is bad by itself.
_WHOLE = re.compile(rf"\s*\[\s*{_COMPARISON}(?:\s+OR\s+{_COMPARISON})*\s*\](?:\s*OR\s*\[[^\]]*\])*\s*")
_TEXTS = re.compile(_TEXT)
_KINDS: dict[str, Kind] = {
    "ipv4-addr:value": "address",
    "ipv6-addr:value": "address",
    "domain-name:value": "domain",
    "network-traffic:extensions.'http-request-ext'.request_header.'User-Agent'": "user_agent",
    "network-traffic:dst_ref.value": "auto",
    "network-traffic:src_ref.value": "auto",
}


class _Bundle(msgspec.Struct):
    type: str
    objects: list[msgspec.Raw] = []


class _Indicator(msgspec.Struct):
    type: str
    id: str = ""
    pattern: str = ""
    pattern_type: str = "stix"
    name: str | None = None
    description: str | None = None
    confidence: int | None = None
    valid_until: str | None = None
    revoked: bool = False


def stix_entries(path: Path) -> Iterator[Entry | None]:
    """Yield what a bundle's indicators look for; None for each pattern that is no plain list of values.

    Those that are revoked or no longer valid are left out.

    Raises:
        ConfigError: it is no bundle, or larger than 256 MiB.
        OSError: it cannot be read.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ConfigError(f"{path}: larger than {_MOST_BYTES >> 20} MiB", "split the bundle, or use CSV")
    try:
        bundle = msgspec.json.decode(path.read_bytes(), type=_Bundle)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise ConfigError(f"{path}: not a STIX bundle: {error}", "download the list again") from error
    if bundle.type != "bundle":
        raise ConfigError(f"{path}: not a STIX bundle: its type is {bundle.type!r}", "download the list again")
    decode, now = msgspec.json.Decoder(_Indicator).decode, datetime.now(UTC)
    for raw in bundle.objects:
        try:
            found = decode(raw)
        except (msgspec.MsgspecError, RecursionError):
            yield None
            continue
        if found.type == "indicator" and not found.revoked and not _past(found.valid_until, now):
            yield from _entries_of(found)


def _entries_of(found: _Indicator) -> Iterator[Entry | None]:
    values = list(pattern_values(found.pattern)) if found.pattern_type == "stix" else []
    if not values:
        yield None
    details = {
        "id": found.id,
        "description": found.description or found.name,
        "confidence": None if found.confidence is None else confidence_word(found.confidence),
    }
    kept = tuple((key, value[:_MOST_TEXT]) for key, value in details.items() if value)
    for kind, value in values:
        entry = classified(value, kind)
        yield Entry(entry.kind, entry.value, kept) if entry else None


def pattern_values(pattern: str) -> Iterator[tuple[Kind, str]]:
    """What a pattern's alternatives are equal to; nothing where it says more than that."""
    if len(pattern) > _MOST_PATTERN or not all(_WHOLE.fullmatch(part) for part in _observations(pattern)):
        return
    for path, operator, single, several, _ in _ONE.findall(pattern):
        kind = _KINDS.get(path)
        if kind is None or operator in {"LIKE", "MATCHES"}:
            continue
        for text in _TEXTS.findall(several) if several else [single]:
            yield kind, re.sub(r"\\(.)", r"\1", text)


def confidence_word(number: int) -> str:
    """None, Low, Medium or High for 0 to 100, as in appendix A of the standard."""
    if number <= 0:
        return "None"
    return "Low" if number < 30 else "Medium" if number < 70 else "High"


def _observations(pattern: str) -> list[str]:
    """A pattern's bracketed parts, where `OR` alone stands between them."""
    return re.split(r"(?<=\])\s*OR\s*(?=\[)", pattern.strip())


def _past(text: str | None, now: datetime) -> bool:
    if text is None:
        return False
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return False
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) < now
