"""Chooses each event's schema by what vouches for its type: for envelopes, which may hold events of any group."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from shipper.model import Document, Origin, Record
from shipper.ports import Encoder, Schema

TypeOf = Callable[[Record], tuple[str, str | None]]
"""record → its log type, and the log type that it only looks like, or None.

A pure function of the record: a second reading must write to the same place.
"""
Mark = Callable[[Document, str], Document]
"""(document, log type) → the document of a record that looks like that type, although nothing vouches for it."""
Note = Callable[[str, str], None]
"""(log group, log type) → nothing: an event of the group looks like that type."""


class ByEvent:
    """Implements `ports.Schema` over those of several log types. Safe to use from many threads.

    Args:
        schemas: by log type.
        type_of: tells a record's type; all its answers are keys of `schemas`.
        mark: tags documents.
        note: is told of each event that is tagged; None for nobody.
    """

    def __init__(self, schemas: Mapping[str, Schema], type_of: TypeOf, mark: Mark, note: Note | None = None) -> None:
        self._schemas = dict(schemas)
        self._type_of = type_of
        self._mark = mark
        self._note = note

    def each(self, change: Callable[[str, Schema], Schema]) -> ByEvent:
        """The same over other schemas.

        Args:
            change: makes the schema of a log type of the one that was there.
        """
        changed = {name: change(name, schema) for name, schema in self._schemas.items()}
        return ByEvent(changed, self._type_of, self._mark, self._note)

    def by(self, type_of: TypeOf, note: Note | None) -> ByEvent:
        """Return the same with other types for events; the arguments are the constructor's."""
        return ByEvent(self._schemas, type_of, self._mark, note)

    def encoder(self, origin: Origin) -> Encoder:
        """Return the mapping for one object's events; see `ports.Schema`."""
        encoders: dict[str, Encoder] = {}

        def encode(record: Record) -> Document | None:
            name, likely = self._type_of(record)
            chosen = encoders.get(name)
            if chosen is None:
                chosen = encoders[name] = self._schemas[name].encoder(origin)
            document = chosen(record)
            if likely is None or document is None:
                return document
            if self._note is not None:
                self._note(record.event.stream.group if record.event is not None else "", likely)
            return self._mark(document, likely)

        return encode
