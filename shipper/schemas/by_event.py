"""Chooses each event's schema by its log group and message: for envelopes, which may hold events of any group."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from shipper.model import Document, Origin, Record
from shipper.ports import Encoder, Schema

TypeOf = Callable[[str, str], str]
"""(log group's name, message) → log type. A pure function: a second reading must write to the same place."""


class ByEvent:
    """Implements `ports.Schema` over those of several log types. Safe to use from many threads.

    Args:
        schemas: by log type.
        type_of: tells an event's; all its answers are keys of `schemas`.
        other: the type of lines that are in no envelope.
    """

    def __init__(self, schemas: Mapping[str, Schema], type_of: TypeOf, other: str) -> None:
        self._schemas = dict(schemas)
        self._type_of = type_of
        self._other = other

    def each(self, change: Callable[[str, Schema], Schema]) -> ByEvent:
        """The same over other schemas.

        Args:
            change: makes the schema of a log type of the one that was there.
        """
        changed = {name: change(name, schema) for name, schema in self._schemas.items()}
        return ByEvent(changed, self._type_of, self._other)

    def encoder(self, origin: Origin) -> Encoder:
        """Return the mapping for one object's events; see `ports.Schema`."""
        encoders: dict[str, Encoder] = {}

        def encode(record: Record) -> Document | None:
            name = self._other
            if record.event is not None:
                name = self._type_of(record.event.stream.group, record.raw.decode("utf-8", "replace"))
            chosen = encoders.get(name)
            if chosen is None:
                chosen = encoders[name] = self._schemas[name].encoder(origin)
            return chosen(record)

        return encode
