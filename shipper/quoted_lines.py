"""Lines of fields separated by spaces, some within quotes that callers can write too: access logs.

A field that a caller controls may hold quotes and a whole imitation of the fields around it. So all ways are counted in
which a line's words can be the fields of a layout, each field of its own shape, and only a line with exactly one way
has fields: the true ones, or none. The work grows with the line's length and no faster, whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from shipper.exported_lines import parted

MOST_WORDS = 16_384
"""Lines of more words have no fields: no AWS service takes request headers of that size."""
_MOST_MORE = 64
"""So many fields may follow those that a layout names: AWS adds fields at the end."""

Reached = Mapping[int, int]
"""Up to which word a line can be read, and in how many ways: 1, or 2 for several."""
Ends = dict[int, tuple[int, int]]
"""Where a field can end: in how many ways, and where it then begins."""
Step = Callable[[Sequence[str], Reached], Ends]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a line.

    Attributes:
        name: its name.
        shape: a regular expression of its text, without quotes or brackets; "" for any text.
    """

    name: str
    shape: str = ""

    @property
    def usual(self) -> str:
        """Return a regular expression of the field as nearly all lines have it, with a group for its text."""
        return f"({self.shape})"

    @property
    def step(self) -> Step:
        """Return what tells where the field can end."""
        fits = re.compile(self.shape, re.ASCII).fullmatch
        return lambda words, reached: {
            at + 1: (ways, at) for at, ways in reached.items() if at < len(words) and fits(words[at])
        }

    def text(self, words: Sequence[str]) -> str:
        """Return the field's text, of the words that it consists of."""
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Bracketed(Field):
    """A field of two words within brackets, such as a time with its zone."""

    @property
    def usual(self) -> str:
        """See Field."""
        return rf"\[({self.shape})\]"

    @property
    def step(self) -> Step:
        """See Field."""
        fits = re.compile(self.usual, re.ASCII).fullmatch
        return lambda words, reached: {
            at + 2: (ways, at)
            for at, ways in reached.items()
            if at + 1 < len(words) and fits(f"{words[at]} {words[at + 1]}")
        }

    def text(self, words: Sequence[str]) -> str:
        """See Field."""
        return " ".join(words)[1:-1]


@dataclass(frozen=True, slots=True)
class Spaced(Field):
    """A field without quotes that may hold spaces: one word or more, each of the shape."""

    @property
    def step(self) -> Step:
        """See Field."""
        fits = re.compile(self.shape, re.ASCII).fullmatch

        def step(words: Sequence[str], reached: Reached) -> Ends:
            ends: Ends = {}
            ways = begin = 0
            for at in range(min(reached), len(words)):
                if not fits(words[at]):
                    ways = 0
                elif at in reached:
                    ways, begin = min(ways + reached[at], 2), at
                if ways:
                    ends[at + 1] = (ways, begin)
            return ends

        return step


@dataclass(frozen=True, slots=True)
class Quoted(Field):
    """A field within quotes. A text with a shape ends at the first quote before a space, any other at any such quote.

    Attributes:
        bare: a regular expression of what may stand there without quotes; "" for nothing.
        end: a regular expression of the last word of a text without a shape; "" for any.
    """

    bare: str = ""
    end: str = ""

    @property
    def usual(self) -> str:
        """See Field."""
        text = self.shape or (f'(?:[^"]* )?(?:{self.end})' if self.end else '[^"]*')
        within = f'"({text})"'
        return f"(?:{within}|({self.bare}))" if self.bare else within

    @property
    def step(self) -> Step:
        """See Field."""
        bare = re.compile(self.bare or "(?!)", re.ASCII).fullmatch
        step = self._of_shape() if self.shape else self._of_any_text()

        def with_bare(words: Sequence[str], reached: Reached) -> Ends:
            opened = {at: ways for at, ways in reached.items() if at < len(words) and words[at][:1] == '"'}
            ends = step(words, opened) if opened else {}
            for at, ways in reached.items():
                if at not in opened and at < len(words) and bare(words[at]):
                    before = ends.get(at + 1, (0, 0))[0]
                    ends[at + 1] = (min(before + ways, 2), at)
            return ends

        return with_bare

    def text(self, words: Sequence[str]) -> str:
        """See Field."""
        text = " ".join(words)
        return text[1:-1] if text[:1] == '"' else text

    def _of_shape(self) -> Step:
        fits = re.compile(self.shape, re.ASCII).fullmatch

        def step(words: Sequence[str], reached: Reached) -> Ends:
            ends: Ends = {}
            closing = len(words)
            for at in sorted(reached, reverse=True):  # from the right, so that each word is looked at once
                nearest = next((end for end in range(at, closing) if _closes(words, end, at)), closing)
                closing = nearest if nearest > at else closing
                if nearest < len(words) and fits(" ".join(words[at : nearest + 1])[1:-1]):
                    before = ends.get(nearest + 1, (0, 0))[0]
                    ends[nearest + 1] = (min(before + reached[at], 2), at)
            return ends

        return step

    def _of_any_text(self) -> Step:
        last = re.compile(self.end, re.ASCII).fullmatch if self.end else None

        def step(words: Sequence[str], reached: Reached) -> Ends:
            ends: Ends = {}
            ways = begin = 0  # of beginnings before the word
            for at in range(min(reached), len(words)):
                word, here = words[at], reached.get(at, 0)
                if word[-1:] == '"' and (last is None or last(word[:-1].removeprefix('"') if here else word[:-1])):
                    total = ways + (here if len(word) > 1 else 0)
                    if total:
                        ends[at + 1] = (min(total, 2), begin if ways else at)
                if here:
                    ways, begin = min(ways + here, 2), at
            return ends

        return step


class QuotedLayout(tuple[str, ...]):  # noqa: SLOT001 - a tuple takes no slots but empty ones
    """The names of the fields of such lines, in order; a line may have more fields than that, or end early.

    Args:
        fields: in order.
        least: the name of the last field that every line has.
        certain: the name of the last field that a line has to have if there are quotes within its fields.
    """

    _fields: Sequence[Field]
    _certain: int
    _steps: Sequence[Step]
    _usual: re.Pattern[str]

    def __new__(cls, fields: Sequence[Field], least: str, certain: str) -> Self:
        """Create the layout."""
        layout = super().__new__(cls, (field.name for field in fields))
        layout._fields, layout._certain = tuple(fields), layout.index(certain) + 1
        layout._steps = tuple(field.step for field in fields)
        more, shortest = f'(?: [^ "]+){{0,{_MOST_MORE}}}', layout.index(least) + 1
        for field in reversed(fields[shortest:]):
            more = f"(?: {field.usual}{more})?"
        every = " ".join(field.usual for field in fields[:shortest])
        layout._usual = re.compile(every + more, re.ASCII)
        return layout

    def apart(self, line: str) -> list[str] | None:
        """Return a line's fields without the quotes and brackets around them; None if it does not surely have them.

        A field that the line ends before is not in the list.
        """
        usual = self._usual.fullmatch(line)
        if usual is not None:
            texts = [text for text in usual.groups() if text is not None]
            if not any('"' in text for text in texts):  # then each quote is one that AWS wrote
                return texts
        return self.apart_by_words(line)

    def fields_of(self, line: str) -> list[str]:
        """Return the fields of a line that this is the layout of, exported from CloudWatch Logs or not."""
        return self.apart(line) or self.apart(parted(line)[1]) or []

    def apart_by_words(self, line: str) -> list[str] | None:
        """Return the same, also where fields hold quotes; what `apart` does for the usual line is only faster."""
        if line.count(" ") >= MOST_WORDS:
            return None
        words = line.split(" ")
        reached: Reached = {0: 1}
        ends: list[Ends] = []
        ways, last = 0, (0, 0)
        for step in self._steps:
            ends.append(step(words, reached))
            reached = {at: ways for at, (ways, _) in ends[-1].items()}
            if not reached:
                break
            if len(ends) >= self._certain and len(words) in reached:
                ways, last = ways + reached[len(words)], (len(ends), len(words))
        else:
            for at, count in reached.items():
                if 0 < len(words) - at <= _MOST_MORE:
                    ways, last = ways + count, (len(ends), at)
        return self._texts(words, ends, *last) if ways == 1 else None

    def _texts(self, words: Sequence[str], ends: Sequence[Ends], count: int, end: int) -> list[str]:
        texts: list[str] = []
        for index in range(count - 1, -1, -1):
            begin = ends[index][end][1]
            texts.append(self._fields[index].text(words[begin:end]))
            end = begin
        return texts[::-1]


def _closes(words: Sequence[str], end: int, begin: int) -> bool:
    """Whether a word ends a text within quotes that begins at a word."""
    return words[end][-1:] == '"' and (end > begin or len(words[end]) > 1)
