"""Reads the YAML file and the environment into frozen settings, and reports every mistake at once with its place."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shipper.config.enrich import Enrich, Geoip
from shipper.config.part import Part
from shipper.config.places import Place, Tree, read
from shipper.config.redact import Redact, RedactRule
from shipper.config.rules import disagreements, nearest
from shipper.config.settings import KINDS, Limits, Settings, State
from shipper.config.sinks import AnySink, ArchiveSink, ElasticsearchSink, SplunkHecSink
from shipper.config.sources import AnySource, Aws, CloudWatchLogsSource, S3NotificationsSource, S3Source
from shipper.config.values import Surroundings
from shipper.errors import ConfigError
from shipper.escaping import hide, printable

__all__ = [
    "AnySink",
    "AnySource",
    "ArchiveSink",
    "Aws",
    "CloudWatchLogsSource",
    "ElasticsearchSink",
    "Enrich",
    "Geoip",
    "Limits",
    "Redact",
    "RedactRule",
    "S3NotificationsSource",
    "S3Source",
    "Settings",
    "SplunkHecSink",
    "State",
    "line_finder",
    "load",
    "parse",
    "schema_text",
]

MOST_BYTES = 1_048_576
HINT = "docs/configuration.md describes every key; docs/config.schema.json lets an editor check the file."
_WORDS = {
    "missing": "is required",
    "model_type": "must be a section (key: value)",
    "model_attributes_type": "must be a section (key: value)",
    "dict_type": "must be a section (name: …)",
    "list_type": "must be a list: [a, b]",
    "string_type": "must be text",
    "path_type": "must be a path",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_parsing_size": "is too large a number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_unicode": "must be valid Unicode text",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "union_tag_not_found": "type is required",
}


def load(path: str | Path, *, environ: Mapping[str, str] | None = None, secrets: bool = True) -> Settings:
    """Read and check a configuration file.

    Args:
        path: the YAML file. Relative paths in it start at its folder.
        environ: what `${NAME}` is looked up in; the process's environment by default.
        secrets: false leaves `*_file` secrets unread, for commands that need none.

    Raises:
        ConfigError: the file cannot be read or has mistakes; the message has a line for each of them,
            `FILE:LINE: key: what is wrong`.
    """
    environ = os.environ if environ is None else environ
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    around = Surroundings(
        folder=Path(path).absolute().parent,
        credentials=Path(credentials) if credentials else None,
        secrets=secrets,
    )
    return parse(_text(Path(path)), name=str(path), environ=environ, around=around)


def parse(text: str, *, name: str, environ: Mapping[str, str], around: Surroundings) -> Settings:
    """Check a configuration's text.

    Args:
        name: what mistakes call the file.
        environ: what `${NAME}` is looked up in.
        around: what paths and secrets are read against.

    Raises:
        ConfigError: as `load`.
    """
    tree = read(text, environ)
    settings: Settings | None = None
    if not tree.mistakes and not isinstance(tree.data, dict):
        tree.mistake((), "the file is empty" if tree.data is None else "the file must be made of sections (key: value)")
    if isinstance(tree.data, dict):
        try:
            settings = Settings.model_validate(tree.data, context=around)
        except ValidationError as error:
            _note(tree, _shape_mistakes(tree, error.errors(include_url=False, include_input=False)))
        _note(tree, disagreements(tree.data, around.folder))
    if tree.mistakes or settings is None:
        raise ConfigError("\n".join(_lines(name, tree)), HINT)
    hide(settings.secret_values())
    return settings.each_role()


def line_finder(path: str | Path) -> Callable[[str], int | None]:
    """What tells the line of a key such as `sinks.out.path` in a file, or of the nearest part around it."""
    tree = read(_text(Path(path)), {})

    def line_of(key: str) -> int | None:
        steps = re.findall(r"\[([0-9]+)\]|([^.\[\]]+)", key)
        place: Place = tuple(int(number) if number else name for number, name in steps)
        return tree.line(place) if place[:1] in tree.lines else None

    return line_of


def schema_text() -> str:
    """The settings' JSON Schema, for editors; `docs/config.schema.json` holds it."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema = head | Settings.model_json_schema() | {"title": "shipper configuration"}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{path}: cannot be read: {reason}", "Name the configuration file with -c FILE.") from None
    if stat.S_ISREG(mode) and mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            f"{path}: others than its owner can change this file (mode {stat.S_IMODE(mode):04o})",
            f"chmod go-w {path}",
        )
    if len(content) > MOST_BYTES:
        raise ConfigError(f"{path}: larger than {MOST_BYTES} bytes", HINT)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not text in UTF-8", "Save the file as UTF-8.") from None


def _note(tree: Tree, found: Iterable[tuple[Place, str]]) -> None:
    """Add mistakes, one for each place: a second one there mostly follows from the first."""
    said = {mistake.place for mistake in tree.mistakes} | tree.broken
    for place, text in list(found):
        if any(place[: len(known)] == known for known in tree.broken) or (place in said and len(place) > 2):
            continue
        tree.mistake(place, text)


def _shape_mistakes(tree: Tree, errors: list[ErrorDetails]) -> list[tuple[Place, str]]:
    found = [_mistake(tree, error) for error in errors]
    misspelt = {
        (*place[:-1], match[1])
        for place, text in found
        if (match := re.match("unknown key; did you mean '(.*)'", text))
    }
    return [(place, text) for place, text in found if not (place in misspelt and text == _WORDS["missing"])]


def _mistake(tree: Tree, error: ErrorDetails) -> tuple[Place, str]:
    place, model = _resolve(error["loc"])
    kind, ctx = error["type"], error.get("ctx", {})
    last = str(place[-1]) if place else ""
    if kind == "extra_forbidden":
        return place, f"unknown key{nearest(last, list(model.model_fields))}"
    if kind == "union_tag_invalid":
        known = ", ".join(f"'{kind}'" for kind in KINDS[str(place[0])])
        return (*place, "type"), _choice(tree, (*place, "type"), known)
    if kind == "literal_error":
        return place, _choice(tree, place, str(ctx["expected"]))
    if kind == "value_error":
        return place, str(ctx["error"])
    if kind in {"greater_than_equal", "greater_than", "less_than_equal", "less_than"}:
        return place, _bound(ctx)
    if kind == "string_too_long":
        return place, f"must be at most {ctx['max_length']} characters long"
    return place, _WORDS.get(kind, error["msg"])


def _bound(ctx: Mapping[str, Any]) -> str:
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    key = next(key for key in words if key in ctx)
    return f"must be {words[key]} {ctx[key]:g}" if isinstance(ctx[key], float) else f"must be {words[key]} {ctx[key]}"


def _choice(tree: Tree, place: Place, expected: str) -> str:
    value = tree.data
    for part in place:
        value = value[part]
    known = re.findall("'([^']*)'", expected)
    close = get_close_matches(value, known, n=1) if isinstance(value, str) and len(known) > 1 else []
    return f"must be {expected}" + (f"; did you mean '{close[0]}'?" if close else "")


def _resolve(loc: tuple[int | str, ...]) -> tuple[Place, type[Part]]:
    """The place in the file that an error's location means, and the settings part that it is in."""
    model: type[Part] = Settings
    part: type[Part] = Settings
    place: list[int | str] = []
    for step in loc:
        if step == "[key]":
            continue
        if len(place) == 2 and place[0] in KINDS and part is Settings:
            kinds = KINDS[str(place[0])]
            part = kinds[str(step)] if step in kinds else next(iter(kinds.values()))
            if step in kinds:
                continue
        model = part
        place.append(step)
        if isinstance(step, str) and step in part.model_fields:
            part = _nested(part.model_fields[step].annotation) or part
    return tuple(place), model


def _nested(annotation: Any) -> type[Part] | None:
    if get_origin(annotation) in {Union, UnionType, list}:
        return next((found for arg in get_args(annotation) if (found := _nested(arg))), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, Part) else None


def _lines(name: str, tree: Tree) -> Iterator[str]:
    for mistake in sorted(tree.mistakes, key=lambda m: (m.line, [str(p) for p in m.place])):
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in mistake.place).lstrip(".")
        text = tree.without_environment(mistake.place, mistake.text)
        yield f"{printable(name)}:{mistake.line}: " + printable(f"{key}: {text}" if key else text)
