"""Reads files that list AWS accounts: YAML, JSON (also what `aws organizations list-accounts` prints), CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import yaml

from shipper.enrich.tag_choice import TagChoice
from shipper.enrich.watched import read_bounded
from shipper.errors import ConfigError
from shipper.model import AccountFacts

_MOST_BYTES = 64 << 20
_ID_DIGITS = 12
_LONGEST_TEXT = 1_024
_TAG_COLUMN = "tag:"
_NAMES = {
    "id": ("id", "account_id", "account", "Id"),
    "name": ("name", "account_name", "Name"),
    "unit": ("organizational_unit", "ou", "ou_path"),
    "organization": ("organization", "organization_id"),
    "tags": ("tags", "Tags"),
}


def read_accounts(path: Path, tags: TagChoice) -> Mapping[str, AccountFacts]:
    """Read a file, by its name's ending: `.csv`, `.json`, and YAML for all others.

    Args:
        tags: which tags are kept.

    Raises:
        ConfigError: the file is missing, too large, or an entry of it is no account.
    """
    data = read_bounded(path, _MOST_BYTES, _no_accounts)
    try:
        entries = list(_entries(path, data))
        accounts = dict(_account(entry, tags) for entry in entries)
    except (ValueError, yaml.YAMLError, csv.Error, RecursionError) as error:
        raise _no_accounts(path, str(error)) from error
    if not accounts:
        raise _no_accounts(path, "it has none")
    return accounts


def _entries(path: Path, data: bytes) -> Iterator[Mapping[str, Any]]:
    ending = path.suffix.lower()
    if ending == ".csv":
        yield from csv.DictReader(io.StringIO(data.decode("utf-8-sig")))
        return
    # The base loader leaves account ids the texts they are, leading zeros included.
    found = orjson.loads(data) if ending == ".json" else yaml.load(data, Loader=yaml.BaseLoader)  # noqa: S506 - makes texts, lists and dicts only
    if isinstance(found, dict):
        found = found.get("Accounts", found.get("accounts", found))
    if isinstance(found, dict):
        for key, entry in found.items():
            yield {"id": key, **({"name": entry} if isinstance(entry, str) else _fields(entry))}
    elif isinstance(found, list):
        for entry in found:
            yield _fields(entry)
    else:
        raise ValueError("must be a list of accounts, or have one for each id")  # noqa: TRY004 - as below


def _account(entry: Mapping[str, Any], tags: TagChoice) -> tuple[str, AccountFacts]:
    given = {to: next((entry[name] for name in names if name in entry), None) for to, names in _NAMES.items()}
    account = given["id"]
    if not isinstance(account, str) or len(account) != _ID_DIGITS or not account.isdecimal():
        raise ValueError(f"{account!r:.40} is no account id: 12 digits, in quotes")
    organization = given["organization"]
    if organization is None and isinstance(arn := entry.get("Arn"), str):
        organization = arn.rpartition(":")[2].split("/")[1] if arn.count("/") == 2 else None
    return account, AccountFacts(
        name=_text(account, "name", given["name"]),
        organization=_text(account, "organization", organization),
        unit=_text(account, "organizational_unit", given["unit"]),
        tags=tags.of({**dict(_tags(account, given["tags"])), **dict(_tag_columns(entry))}),
    )


def _tags(account: str, given: Any) -> Iterator[tuple[str, str]]:
    """Tags as one object, or as AWS lists them."""
    pairs: Iterable[tuple[Any, Any]] = ()
    if isinstance(given, dict):
        pairs = given.items()
    elif isinstance(given, list):
        pairs = [(_fields(each).get("Key"), _fields(each).get("Value")) for each in given]
    elif given:
        raise ValueError(f"{account}: tags must have a value for each key")
    for key, value in pairs:
        if (text := _text(account, "tags", value)) is not None and isinstance(key, str):
            yield key, text


def _tag_columns(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for column, value in entry.items():
        if isinstance(column, str) and column.startswith(_TAG_COLUMN) and isinstance(value, str) and value:
            yield column.removeprefix(_TAG_COLUMN), value


def _fields(entry: Any) -> Mapping[str, Any]:
    if not isinstance(entry, dict):
        raise ValueError(f"{str(entry)!r:.40} is no account: it must have keys such as id and name")  # noqa: TRY004 - told as a mistake in the file
    return entry


def _text(account: str, what: str, value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise ValueError(f"{account}: {what} must be a text of at most {_LONGEST_TEXT} characters")
    return value


def _no_accounts(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path}: not a list of accounts: {' '.join(why.split())}", "docs/enrichment.md shows the forms that are read"
    )
