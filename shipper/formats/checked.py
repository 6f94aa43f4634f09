"""Looks at an object's first records before any is shipped: an object of another type is refused as a whole."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from shipper.errors import BadInputError
from shipper.formats.kinds import Kind, kind_of
from shipper.model import Payload, Record, Rejected
from shipper.ports import Format

LIKELY_BYTES = 4096
_MOST_RECORDS = 20
_MOST_BYTES = 1 << 20
_ENOUGH = 10
"""So many records say by their majority what an object is; fewer only where none of them fits."""

Strictness = Literal["strict", "loose", "any"]


@dataclass(frozen=True, slots=True)
class Expected:
    """What records of a log type are like.

    Attributes:
        logs: the log type.
        fits: whether a record has one of the type's forms.
        likely: the log type that reads a line; None where no type of known forms does.
        strictness: strict where records have known forms; loose where others are possible, so that only what another
            type reads is refused; any where every line may be a record.
        unit: what its records are called, in the plural.
        few: so many records that fit nothing are refused; fewer may be odd lines, and are shipped with their tag.
        advice: what to do about records that no type reads.
    """

    logs: str
    fits: Callable[[Record], bool]
    likely: Callable[[bytes], str | None]
    strictness: Strictness = "strict"
    unit: str = "lines"
    few: int = 3
    advice: str = "look at the object, and correct `logs`"


class CheckedFormat:
    """Implements `ports.Format` over another format.

    Args:
        format_: takes payloads apart.
    """

    def __init__(self, format_: Format, expected: Expected) -> None:
        self._format = format_
        self._expected = expected

    def records(self, payload: Payload) -> Iterator[Record | Rejected]:
        """Return the payload's records, once the first of them were looked at.

        Raises:
            BadInputError: the object is something else, with what it is and what to do; or as the format does.
        """
        sample: list[Record | Rejected] = []
        size, failure = 0, None
        rest: Iterator[Record | Rejected] = iter(())
        try:
            rest = iter(self._format.records(payload))
            for record in rest:
                sample.append(record)
                size += len(record.raw)
                if len(sample) >= _MOST_RECORDS or size >= _MOST_BYTES:
                    break
        except BadInputError as error:
            failure = error
        self._judge(sample, payload.head, failure)
        return itertools.chain(sample, rest if failure is None else _failing(failure))

    def _judge(self, sample: Sequence[Record | Rejected], head: bytes, failure: BadInputError | None) -> None:
        expected = self._expected
        if expected.strictness != "strict" and (kind := kind_of(head)) is not None and kind.table:
            raise _refused(kind, expected)
        if expected.strictness == "any":
            return
        fitting = sum(type(record) is Record and expected.fits(record) for record in sample)
        if not _is_another(fitting, len(sample)) or not (sample or failure):
            return
        kind = kind_of(head)
        if kind is not None and kind.logs != expected.logs and self._is_all(kind, sample):
            raise _refused(kind, expected)
        for lines in ([record.raw for record in sample], _whole_lines(head)):
            likely = self._likely(lines)
            if likely is not None:
                they = "it looks" if len(lines) == 1 else "they look"
                verdict = _verdict(min(fitting, len(lines)), len(lines), expected)
                raise BadInputError(f"{verdict}; {they} like {likely}: set `logs: {likely}`")
        if failure is None and expected.strictness == "strict" and len(sample) >= expected.few:
            verdict = _verdict(fitting, len(sample), expected)
            raise BadInputError(f"{verdict}, and they look like no other: {expected.advice}")

    def _is_all(self, kind: Kind, sample: Sequence[Record | Rejected]) -> bool:
        """Whether all of the sample is of a kind; of a loose type some line may well be, as text of an application."""
        if self._expected.strictness == "strict" or kind.table or len(sample) <= 1:
            return True
        return all(kind_of(record.raw[:LIKELY_BYTES]) == kind for record in sample)

    def _likely(self, lines: Sequence[bytes]) -> str | None:
        """Return the other type that reads most of some lines."""
        found = Counter(self._expected.likely(line[:LIKELY_BYTES]) for line in lines)
        for name, count in found.most_common(1):
            if name is not None and name != self._expected.logs and count * 2 > len(lines):
                return name
        return None


def _whole_lines(head: bytes) -> list[bytes]:
    """Return the lines of a text's beginning; the last may be cut off."""
    found = [line.removesuffix(b"\r") for line in head.split(b"\n")[: _MOST_RECORDS + 1]]
    return [line for line in (found[:-1] or found) if line.strip()]


def _is_another(fitting: int, count: int) -> bool:
    return fitting * 2 < count if count >= _ENOUGH else fitting == 0


def _verdict(fitting: int, count: int, expected: Expected) -> str:
    unit = expected.unit.removesuffix("s") if count == 1 else expected.unit
    first = "the first " if count >= _MOST_RECORDS else ""
    return f"{fitting} of {first}{count} {unit} {'is' if count == 1 else 'are'} of type {expected.logs}"


def _refused(kind: Kind, expected: Expected) -> BadInputError:
    return BadInputError(f"this is {kind.name}, not {expected.logs}: {kind.advice}")


def _failing(error: BadInputError) -> Iterator[Record | Rejected]:
    yield from ()
    raise error
