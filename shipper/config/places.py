"""YAML text → plain data with the line of every key, environment interpolation included.

Every scalar stays the text that was written: the settings' types decide what it means, so `external_id: 0123`
keeps its zero and a sink may be called `no`. Only null (`null`, `~`, nothing) is told apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

Place = tuple[str | int, ...]
"""Where a value stands: keys and list positions from the top."""

MOST_NODES = 20_000
MOST_DEPTH = 20
_CORE = "tag:yaml.org,2002:"
_KNOWN_TAGS = {_CORE + kind for kind in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq", "merge")}
_WORD = re.compile(r"[^\s'\"(),;]+")
_MIN_WORD = 3
_VARIABLE = re.compile(r"\$(?:\$\{|\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}|\{)")


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong in the file.

    Attributes:
        line: 1-based.
        place: the key it is about; empty for the file as a whole.
    """

    line: int
    place: Place
    text: str


@dataclass(slots=True)
class Tree:
    """What a file says.

    Attributes:
        data: dicts, lists, strings and None.
        lines: the line of each key or list item, by place.
        mistakes: what was found while reading; `data` holds the rest.
        broken: places whose value is unknown for such a mistake, so that nothing more is said about them.
        foreign: by place, the variables of the environment that were put in, and their values: they are never shown.
    """

    data: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    broken: set[Place] = field(default_factory=set)
    foreign: dict[Place, dict[str, str]] = field(default_factory=dict)

    def line(self, place: Place) -> int:
        """The line of a place, or of the nearest part of the file that contains it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def without_environment(self, place: Place, text: str) -> str:
        """Return a message about a place without what came from the environment: a secret may be in whatever key."""
        for name, value in self.foreign.get(place, {}).items():
            # A message may quote a part of a value: a name of a list, a word of a filter.
            for word in sorted({value, *_WORD.findall(value)}, key=len, reverse=True):
                if len(word) >= _MIN_WORD:
                    text = text.replace(word, f"${{{name}}}")
        return text

    def mistake(self, place: Place, text: str, line: int | None = None) -> None:
        """Note a mistake."""
        self.mistakes.append(Mistake(self.line(place) if line is None else line, place, text))


def read(text: str, environ: Mapping[str, str]) -> Tree:
    """Parse YAML 1.1 and fill in `${NAME}` and `${NAME:-default}` (`$${` stands for `${`). Raises nothing.

    A value that is empty after filling in counts as not given.
    """
    tree = Tree()
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        tree.mistake((), f"not valid YAML: {_said(error)}", mark.line + 1 if mark else 1)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        tree.mistake((), f"not valid YAML: the character U+{ord(text[error.position]):04X} is not allowed", line)
    except RecursionError:
        tree.mistake((), f"nested more than {MOST_DEPTH} levels deep")
    except ValueError as error:  # PyYAML on numbers of escape sequences beyond Unicode
        tree.mistake((), f"not valid YAML: {error}")
    else:
        tree.data = None if node is None else _Reader(tree, environ).value(node, ())
    return tree


def _said(error: yaml.MarkedYAMLError) -> str:
    context = error.context
    if context and error.context_mark and error.context_mark.line != (error.problem_mark or error.context_mark).line:
        context += f" that begins in line {error.context_mark.line + 1}"
    parts = [part for part in (context, error.problem) if part]
    return ", ".join(parts) or "unreadable"


class _Reader:
    """Turns YAML nodes into data, bounded in size and depth (aliases could multiply without end)."""

    def __init__(self, tree: Tree, environ: Mapping[str, str]) -> None:
        self._tree = tree
        self._environ = environ
        self._nodes = 0

    def value(self, node: yaml.Node, place: Place) -> Any:
        self._nodes += 1
        line = node.start_mark.line + 1
        if self._nodes > MOST_NODES or len(place) > MOST_DEPTH:
            bound = f"{MOST_DEPTH} levels deep" if self._nodes <= MOST_NODES else f"{MOST_NODES} values long"
            self._unless_said(place, f"the file is more than {bound}", line)
            return None
        if node.tag not in _KNOWN_TAGS:
            self._broken(place, f"the tag {node.tag!r} is not understood", line)
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return self._sequence(node, place)
        return self._scalar(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._tree.mistake(place, "a key must be a word", line)
                continue
            key = str(key_node.value)
            inner = (*place, key)
            if key in data:
                before = self._tree.lines[inner]
                self._tree.mistake(inner, f"the key is given twice, first in line {before}", line)
                continue
            self._tree.lines[inner] = line
            data[key] = self.value(value_node, inner)
        return data

    def _sequence(self, node: yaml.SequenceNode, place: Place) -> list[Any]:
        items = []
        for position, item in enumerate(node.value):
            inner = (*place, position)
            self._tree.lines[inner] = item.start_mark.line + 1
            items.append(self.value(item, inner))
        return items

    def _scalar(self, node: yaml.Node, place: Place) -> str | None:
        if node.tag == _CORE + "null":
            return None
        text = str(node.value)
        if "${" not in text or (place[:1] == ("sources",) and place[2:] == ("format",)):
            return text  # AWS itself writes the fields of a flow log as ${srcaddr}
        return self._interpolated(text, place, node.start_mark.line + 1) or None

    def _interpolated(self, text: str, place: Place, line: int) -> str:
        def put_in(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            name, default = match[1], match[3]
            if name is None:
                self._broken(place, "'${' must be followed by NAME} or NAME:-default}; write '$${' for '${'", line)
                return ""
            found = self._environ.get(name)
            if found:
                self._tree.foreign.setdefault(place, {})[name] = found
            if match[2] is not None:
                return found or default
            if found is None:
                self._broken(place, f"the environment has no variable {name}; ${{{name}:-…}} gives a default", line)
            return found or ""

        return _VARIABLE.sub(put_in, text)

    def _broken(self, place: Place, text: str, line: int) -> None:
        self._tree.broken.add(place)
        self._tree.mistake(place, text, line)

    def _unless_said(self, place: Place, text: str, line: int) -> None:
        self._tree.broken.add(place)
        if not any(mistake.text == text for mistake in self._tree.mistakes):
            self._tree.mistake((), text, line)
